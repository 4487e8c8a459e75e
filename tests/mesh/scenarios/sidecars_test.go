//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Callers in the mesh: their sidecars route what they send. Of the callers of testdata/sidecars, productpage is one that keeps sessions,
// and batch is not.

// startCallers starts the callers with the routes of a subfolder, in a namespace that nothing else uses.
func startCallers(t *testing.T, routes string, opts ...scenario.Option) *scenario.Scenario {
	t.Helper()
	opts = append(opts, scenario.WithManifests("sidecars/"+routes), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	return rig.Start(t, "sidecars", opts...)
}

// withDoors adds the other ways by which requests reach the namespace: a gateway, and the sidecars' inbound listeners.
func withDoors() scenario.Option { return scenario.WithManifests("sidecars/doors") }

// clientsOf makes clients of the reviews that call from a Deployment.
func clientsOf(t testing.TB, s *scenario.Scenario, deployment string) func(testing.TB) *traffic.Client {
	t.Helper()
	caller := s.From(t, scenario.FromSidecar(deployment))
	return func(t testing.TB) *traffic.Client {
		t.Helper()
		return caller.ClientForHost(t, "reviews."+s.Namespace+":9080") // callers of other namespaces do not know the short name
	}
}

// The rig: sidecars route like those of a mesh, without Mooring.
func TestSidecarsRouteByHTTPRoutesOfTheMesh(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route")
	for _, from := range []scenario.Origin{scenario.FromSidecar("productpage"), scenario.FromSidecar("batch")} {
		caller := s.From(t, from)
		caller.Proxy().AwaitRoute(t, "reviews", nil)
		for _, host := range []string{"reviews:9080", "reviews." + s.Namespace + ":9080", "reviews." + s.Namespace + ".svc.cluster.local:9080"} {
			client := caller.ClientForHost(t, host)
			expectShares(t, from.String()+" calls "+host, versionsOf(t, client, 200, "/"), map[string]int{"v1": 50, "v2": 50})
		}
		if reply := caller.ClientForHost(t, "elsewhere:9080").Get(t, "/"); reply.Status != 502 {
			t.Errorf("%s: a host outside of the registry: status %d, pod %s", from, reply.Status, reply.Pod)
		}
	}
}

// The rig: a sidecar listens on the port of a ServiceEntry that is applied later, and follows the outboundTrafficPolicy of the user.
func TestSidecarsReachServiceEntries(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route", withDoors())
	caller := s.From(t, scenario.FromSidecar("batch"))
	s.Apply(t, fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner}
spec:
  hosts: [api.partner.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 8090, name: http, protocol: HTTP, targetPort: 9080}]
  endpoints: [{address: %s}]
`, s.Pod(t, "reviews-v1-0").IP))
	if reply := caller.ClientForHost(t, "api.partner.test:8090").Get(t, "/"); reply.Pod != "reviews-v1-0" {
		t.Errorf("api.partner.test: status %d, pod %q", reply.Status, reply.Pod)
	}
	status := func() int { return caller.ClientForHost(t, "elsewhere.test:8090").Get(t, "/").Status }
	if got := status(); got != 502 {
		t.Errorf("REGISTRY_ONLY, a host outside of the registry: status %d", got)
	}
	s.Patch(t, istioGroup, "Sidecar", "default", `{"spec":{"outboundTrafficPolicy":{"mode":"ALLOW_ANY"}}}`)
	wait.Eventually(t, "hosts outside of the registry are allowed", func() error {
		// No original destination leads there without iptables.
		if got := status(); got != 503 {
			return fmt.Errorf("status %d", got)
		}
		return nil
	})
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
	const session = "catalog-session"
	sessions, pods := map[string]string{}, map[string]int{}
	for range 40 {
		first := call("productpage")
		expectNoInternalHeaders(t, first)
		sessions[first.Header.Get(session)] = first.Pod
		pods[first.Pod]++
	}
	for token, pod := range sessions {
		for range 9 {
			if again := call("productpage", session, token); again.Pod != pod || again.Header.Get(session) != "" {
				t.Fatalf("from %s to %s, new session %q", pod, again.Pod, again.Header.Get(session))
			}
		}
	}
	if len(sessions) != 40 || len(pods) != 4 {
		t.Errorf("%d sessions of 40 calls, on %v", len(sessions), pods)
	}
	if reply := call("batch"); reply.Header.Get(session) != "" {
		t.Error("a caller that is not selected has a session")
	}
}

// A consumer route, in another namespace than the Service, gives sessions to the callers of its own namespace only.
func TestConsumerRouteIsForTheCallersOfItsNamespace(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sidecars", scenario.WithManifests("sidecars/consumer"), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t, "--callers", "sidecars", "--callers", "sidecars-shop")
	expectSessions(t, "/", clientsOf(t, s, "shop"))
	expectNoSessions(t, "a caller in the namespace of the Service", "/", clientsOf(t, s, "productpage"))
}

// All pods of a namespace are callers, and with them its gateway, whose routes have no sessions.
func TestAllPodsOfANamespaceAreCallers(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route", withDoors())
	s.Mooring.Deploy(t, "--callers", s.Namespace)
	expectNothingAtOtherDoors(t, s)
	for _, deployment := range []string{"productpage", "batch"} {
		expectSessions(t, "/", clientsOf(t, s, deployment))
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
			for range 2 {
				s.Mooring.Deploy(t, "--callers", s.Namespace+"/app=productpage")
				load.AwaitAllClients(t)
				before := load.Totals()
				load.AwaitAllClients(t)
				expectNothingLost(t, "with Mooring", load.Totals().Since(before))
				s.Mooring.Undeploy(t)
				load.AwaitAllClients(t)
			}
			total := load.Stop()
			t.Logf("twice applied and removed: %s", total)
			if total.Failed > 0 || total.Cookies == 0 {
				t.Errorf("%d failed %v, %d cookies", total.Failed, total.Failures, total.Cookies)
			}
		})
	}
}

// The root namespace stands for all pods of the mesh. On a control plane that no other scenario uses at the same time.
func TestAllPodsOfTheMeshAreCallers(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route", scenario.WithManifests("sidecars/all"), withDoors(),
		scenario.WithGatewayAPI(cluster.GatewayAPI12), scenario.WithExclusiveControlPlane())
	s.Mooring.Deploy(t, "--callers", cluster.RootNamespace)
	expectNothingAtOtherDoors(t, s)
	for _, deployment := range []string{"productpage", "batch", "shop"} {
		expectSessions(t, "/", clientsOf(t, s, deployment))
	}
	s.Mooring.Undeploy(t)
	expectNoSessions(t, "without Mooring", "/", clientsOf(t, s, "shop"))
}

// The keys come into the container of the sidecar as docs/mesh.md describes it, by the templates of Istio's own chart.
func TestInjectedSidecarGetsItsKeys(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "keys", scenario.WithAmbientMesh())
	pod := s.Inject(t, "keyed")
	var found []corev1.Container
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if container.Name == "istio-proxy" {
			found = append(found, container)
		}
	}
	if len(found) != 1 || found[0].Image == "auto" || !slices.Contains(found[0].Args, "sidecar") {
		t.Fatalf("the containers named istio-proxy are %v", found)
	}
	variables := map[string]*corev1.EnvVarSource{}
	for _, variable := range found[0].Env {
		variables[variable.Name] = variable.ValueFrom
	}
	source := variables["MOORING_KEYS"]
	if source == nil || source.SecretKeyRef == nil || source.SecretKeyRef.Name != "mooring-keys" {
		t.Errorf("MOORING_KEYS is from %v", source)
	}
	if _, ok := variables["PROXY_CONFIG"]; !ok {
		t.Errorf("the container lacks what the injector adds: %v", found[0].Env)
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

// expectNothingAtOtherDoors fails if what others send to the callers' pods, or through a gateway of their namespace, gets a session.
func expectNothingAtOtherDoors(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	caller := s.Sidecars(t, "productpage")[0]
	inbound := func(t testing.TB) *traffic.Client { return caller.InboundClient(t, 9080) }
	expectNoSessions(t, "inbound", "/", inbound)
	expectNoSessions(t, "a gateway of the namespace", "/", s.Gateway(t, "front").Client)
	for address, listener := range listenersOf(t, caller.Envoy) {
		has := strings.Contains(listener, "mooring")
		if want := address == caller.ListenIP; has != want {
			t.Errorf("the sidecar's listener on %s has filters of Mooring: %t", address, has)
		}
	}
	// The module is in the gateway too: istiod counts a gateway as a client.
	gateway := s.Gateway(t, "front").Envoy
	gateway.Await(t, "the module is disabled in the gateway", func() error { return isModuleDisabled(gateway) })
}

// isModuleDisabled returns an error unless all routes have the module disabled.
func isModuleDisabled(e *envoy.Envoy) error {
	var dump struct {
		Configs []struct {
			Routes struct {
				Filters map[string]struct {
					Disabled bool `json:"disabled"`
				} `json:"typed_per_filter_config"`
			} `json:"route_config"`
		} `json:"configs"`
	}
	if err := e.Dump("dynamic_route_configs", &dump); err != nil {
		return err
	}
	for _, config := range dump.Configs {
		disabled := false
		for name, filter := range config.Routes.Filters {
			disabled = disabled || filter.Disabled && strings.Contains(name, "mooring-callers")
		}
		if !disabled {
			return fmt.Errorf("it is not in %v", config.Routes.Filters)
		}
	}
	return nil
}

// listenersOf returns the listeners of an Envoy as JSON, by their addresses without the ports.
func listenersOf(t *testing.T, e *envoy.Envoy) map[string]string {
	t.Helper()
	var dump struct {
		Configs []struct {
			Active struct {
				Listener struct {
					Address struct {
						Socket struct {
							Address string `json:"address"`
						} `json:"socket_address"`
					} `json:"address"`
					Chains json.RawMessage `json:"filter_chains"`
				} `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	if err := e.Dump("dynamic_listeners", &dump); err != nil {
		t.Fatal(err)
	}
	listeners := map[string]string{}
	for _, config := range dump.Configs {
		listener := config.Active.Listener
		listeners[listener.Address.Socket.Address] += string(listener.Chains)
	}
	return listeners
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
