//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Callers in the mesh: their sidecars route what they send. Of the callers of testdata/sidecars, productpage is one that keeps sessions,
// and batch is not.

// startCallers starts the callers with the routes of a subfolder, in a namespace that nothing else uses.
func startCallers(t *testing.T, routes string, opts ...scenario.Option) *scenario.Scenario {
	t.Helper()
	opts = append(opts, scenario.WithManifests("sidecars/"+routes), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	return rig.Start(t, "sidecars", opts...)
}

// clientsOf makes clients of the reviews that call from a Deployment.
func clientsOf(t testing.TB, s *scenario.Scenario, deployment string) func(testing.TB) *traffic.Client {
	t.Helper()
	caller := s.From(t, scenario.FromSidecar(deployment))
	return func(t testing.TB) *traffic.Client {
		t.Helper()
		return caller.ClientForHost(t, "reviews."+s.Namespace+":9080") // callers of other namespaces do not know the short name
	}
}

// Sessions of an HTTPRoute whose parent is the Service.
func TestCallersKeepSessionsOfAnHTTPRoute(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route")
	s.Mooring.Deploy(t, "--callers", s.Namespace+"/app=productpage")
	newClient := clientsOf(t, s, "productpage")
	clients := expectSessions(t, "/", newClient)
	expectNoSessions(t, "a caller that is not selected", "/", clientsOf(t, s, "batch"))

	// Another pod of the caller, which starts with Mooring, has the same keys.
	s.Pods.Scale(t, "productpage", 2)
	s.Mooring.AwaitDeployed(t)
	other := s.Sidecars(t, "productpage")[1]
	for client, pod := range clients {
		again := other.ClientForHost(t, "reviews:9080")
		again.SetCookie("reviews-session", client.Cookies("/")["reviews-session"])
		expectOnPod(t, again, "/", pod, 1)
	}

	shift(t, s, "reviews", 0, 100)
	awaitOnly(t, newClient, "/", "v2")
	expectStayed(t, "/", clients)
	s.Pods.Drain(t, "reviews-v1-1")
	expectStayed(t, "/", clients)
	s.Pods.Remove(t, "reviews-v1-1")
	expectMovesFrom(t, "reviews-v1-1", "/", clients)

	s.Mooring.Undeploy(t)
	expectNoSessions(t, "without Mooring", "/", newClient)
}

// Sessions of a VirtualService without a gateway, each of whose routes is a split of subsets.
func TestCallersKeepSessionsOfAVirtualService(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "virtual-service")
	s.Mooring.Deploy(t, "--callers", s.Namespace+"/app=productpage")
	newClient := clientsOf(t, s, "productpage")
	for _, path := range []string{"/beta", "/"} {
		clients := expectSessions(t, path, newClient)
		expectNoSessions(t, "a caller that is not selected", path, clientsOf(t, s, "batch"))
		s.Patch(t, istioGroup, "VirtualService", "reviews", `{"spec":{"http":[
			{"name":"beta","match":[{"uri":{"prefix":"/beta"}}],"route":[{"destination":{"host":"reviews","subset":"v2"}}]},
			{"name":"main","route":[{"destination":{"host":"reviews","subset":"v2"}}]}]}}`)
		awaitOnly(t, newClient, path, "v2")
		expectStayed(t, path, clients)
		s.ApplyFile(t, "virtual-service/reviews.yaml")
		for _, route := range []string{"beta", "main"} {
			awaitWeightsIn(t, s.From(t, scenario.FromSidecar("productpage")).Proxy(), route, map[string]int{"|v1|": 50, "|v2|": 50})
		}
	}
	clients := expectSessions(t, "/", newClient)
	s.Pods.Drain(t, "reviews-v1-1") // istiod does not let clusters of subsets use draining pods
	expectMovesFrom(t, "reviews-v1-1", "/", clients)
	s.Mooring.Undeploy(t)
	expectNoSessions(t, "without Mooring", "/", newClient)
}

// Sessions in a header, which a caller sends back as other services do.
func TestCallersKeepSessionsInAHeader(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "header")
	s.Mooring.Deploy(t, "--callers", s.Namespace+"/app=productpage")
	const header = "x-reviews-session"
	newClient := func(t testing.TB) *traffic.Client {
		client := clientsOf(t, s, "productpage")(t)
		client.KeepHeader(header)
		return client
	}
	clients := map[*traffic.Client]string{}
	for range 40 {
		client := newClient(t)
		first := client.Get(t, "/")
		if first.Header.Get(header) == "" || len(first.SetCookie) > 0 {
			t.Fatalf("status %d, header %q, Set-Cookie %q", first.Status, first.Header.Get(header), first.SetCookie)
		}
		clients[client] = first.Pod
	}
	expectStayed(t, "/", clients)
	shift(t, s, "reviews", 0, 100)
	awaitOnly(t, newClient, "/", "v2")
	expectStayed(t, "/", clients)
}

// Sessions of a GRPCRoute whose parent is the Service, in metadata.
func TestCallersKeepSessionsOfAGRPCRoute(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "grpc")
	s.Mooring.Deploy(t, "--callers", s.Namespace+"/app=productpage")
	call := func(deployment string, metadata ...string) traffic.Reply {
		t.Helper()
		client, err := s.Sidecars(t, deployment)[0].GRPCClient("catalog:9000")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		reply, err := client.Call(metadata...)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	expectGRPCSessions(t, func(metadata ...string) traffic.Reply { return call("productpage", metadata...) })
	if reply := call("batch"); reply.Header.Get(catalogSession) != "" {
		t.Error("a caller that is not selected has a session")
	}
}

// Mooring is installed and removed in the right order, twice, while callers send requests.
func TestMooringIsInstalledAndRemovedForCallers(t *testing.T) {
	t.Parallel()
	for _, routes := range []string{"http-route", "virtual-service"} {
		t.Run(routes, func(t *testing.T) {
			t.Parallel()
			s := startCallers(t, routes)
			load := traffic.StartLoad(t, 30, "/beta", clientsOf(t, s, "productpage"))
			load.AwaitAllClients(t)
			total := installAndRemove(t, s, load, 2, "--callers", s.Namespace+"/app=productpage")
			if total.Cookies == 0 {
				t.Error("no cookies")
			}
		})
	}
}

// expectSessions starts 40 clients. Each must stay on the pod that its first request reaches, and two versions must take part.
func expectSessions(t *testing.T, path string, newClient func(testing.TB) *traffic.Client) map[*traffic.Client]string {
	t.Helper()
	clients, pods, versions := map[*traffic.Client]string{}, map[string]int{}, map[string]bool{}
	for range 40 {
		client := newClient(t)
		first := client.Get(t, path)
		if first.Status != 200 || len(first.SetCookie) != 1 {
			t.Fatalf("status %d, Set-Cookie %q", first.Status, first.SetCookie)
		}
		expectNoInternalHeaders(t, first)
		clients[client] = first.Pod
		pods[first.Pod]++
		versions[first.Version] = true
	}
	if len(versions) != 2 {
		t.Errorf("40 clients reached only %v", versions)
	}
	expectStayed(t, path, clients)
	t.Logf("40 clients: %v", pods)
	return clients
}

// expectStayed sends nine requests of each client, all of which must reach the pod of its session.
func expectStayed(t *testing.T, path string, clients map[*traffic.Client]string) {
	t.Helper()
	for client, pod := range clients {
		expectOnPod(t, client, path, pod, 9)
	}
}

// expectNoSessions fails unless clients get responses without cookies.
func expectNoSessions(t *testing.T, what, path string, newClient func(testing.TB) *traffic.Client) {
	t.Helper()
	for range 20 {
		if reply := newClient(t).Get(t, path); reply.Status != 200 || len(reply.SetCookie) > 0 {
			t.Fatalf("%s: status %d, Set-Cookie %q", what, reply.Status, reply.SetCookie)
		}
	}
}

// expectMovesFrom fails unless each session on a pod moves once, to the other pod of its version, and the others stay.
func expectMovesFrom(t *testing.T, pod, path string, clients map[*traffic.Client]string) {
	t.Helper()
	moved := 0
	for client, on := range clients {
		if on != pod {
			continue
		}
		reply := client.Get(t, path)
		cookieOf(t, reply, "reviews-session")
		if reply.Version != "v1" || reply.Pod == pod {
			t.Errorf("from %s to %q of %q", pod, reply.Pod, reply.Version)
		}
		clients[client] = reply.Pod
		moved++
	}
	expectStayed(t, path, clients)
	t.Logf("%d sessions moved once, %d stayed", moved, len(clients)-moved)
}
