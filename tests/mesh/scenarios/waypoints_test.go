//go:build mesh

package scenarios

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Sessions on a waypoint of the ambient mesh. Clients send requests in tunnels, as ztunnel does. Of the pods, those of version v2 accept
// tunnels and the others plain HTTP.

// startWaypoint starts the waypoint with the route of a subfolder.
func startWaypoint(t *testing.T, routes string, opts ...scenario.Option) *scenario.Scenario {
	t.Helper()
	opts = append(opts, scenario.WithAmbientMesh(), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys), scenario.WithManifests("waypoints/"+routes))
	return rig.Start(t, "waypoints", opts...)
}

// ambientClients makes clients of a Service.
func ambientClients(t *testing.T, s *scenario.Scenario, service string) func(testing.TB) *traffic.Client {
	t.Helper()
	caller := s.From(t, scenario.FromWaypoint("productpage"))
	return func(t testing.TB) *traffic.Client {
		t.Helper()
		return caller.ClientForHost(t, service+":9080")
	}
}

// Sessions that are bound to a backend need no EnvoyFilter: the plugin and the session routes keep them.
func TestWaypointKeepsSessionsOnTheirBackend(t *testing.T) {
	t.Parallel()
	s := startWaypoint(t, "backends")
	newClient := ambientClients(t, s, "reviews")
	expectShares(t, "without Mooring", versionsOf(t, newClient(t), 200, "/"), map[string]int{"v1": 50, "v2": 50})
	s.Mooring.Deploy(t)
	expectNoEnvoyFilter(t, s)
	versions := map[*traffic.Client]string{}
	for range 40 {
		client := newClient(t)
		first := client.Get(t, "/")
		cookieOf(t, first, "reviews-session")
		versions[client] = first.Version
	}
	expectVersions(t, "40 clients", versions)
	expectOwnHeadersHaveNoEffect(t, s, newClient, map[string]int{"v1": 50, "v2": 50})
	expectOtherServicesUntouched(t, s)

	shiftToV3(t, s)
	awaitOnly(t, newClient, "/", "v3")
	expectVersions(t, "after the change of weights", versions)
	expectNothingLeaks(t, s, newClient)
}

// shiftToV3 sends new sessions to a backend that had no weight, and no new session to the others.
func shiftToV3(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	s.PatchJSON(t, gatewayGroup, "HTTPRoute", "reviews", `[
		{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":0},
		{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":0},
		{"op":"replace","path":"/spec/rules/0/backendRefs/2/weight","value":100}]`)
}

// expectOtherServicesUntouched fails if a chain of the waypoint for another Service has anything of Mooring.
func expectOtherServicesUntouched(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	expectNoSessions(t, "another Service", "/", ambientClients(t, s, "ratings"))
	var dump struct {
		Configs []struct {
			Active struct {
				Listener struct {
					Chains []json.RawMessage `json:"filter_chains"`
				} `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	if err := s.Waypoint(t, "wp").Envoy.Dump("dynamic_listeners", &dump); err != nil {
		t.Fatal(err)
	}
	with, without := 0, 0
	for _, config := range dump.Configs {
		for _, chain := range config.Active.Listener.Chains {
			text := string(chain)
			switch of := strings.Contains(text, "inbound-vip|9080|http|reviews."+s.Namespace+"."); {
			case of && strings.Contains(text, "mooring"):
				with++
			case strings.Contains(text, "mooring"):
				t.Errorf("a chain of another Service: %s", text)
			default:
				without++
			}
		}
	}
	if with != 1 {
		t.Errorf("%d chains have the module", with)
	}
	t.Logf("%d chain with the module, %d without", with, without)
}

func expectNoEnvoyFilter(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	for _, generated := range s.Mooring.Generated() {
		if generated.GetKind() == "EnvoyFilter" {
			t.Errorf("%s is generated", kube.Describe(generated))
		}
	}
}

// expectVersions sends nine requests of each client, all of which must reach the version of its session.
func expectVersions(t *testing.T, what string, versions map[*traffic.Client]string) {
	t.Helper()
	moved, pods := 0, map[string]int{}
	for client, version := range versions {
		for range 9 {
			reply := client.Get(t, "/")
			pods[reply.Pod]++
			if reply.Version != version || len(reply.SetCookie) > 0 {
				moved++
			}
		}
	}
	t.Logf("%s: %d of %d requests reached another version; the pods: %v", what, moved, 9*len(versions), pods)
	if moved > 0 {
		t.Errorf("%s: %d of %d requests reached another version", what, moved, 9*len(versions))
	}
}

// Sessions that are bound to a pod.
func TestWaypointKeepsSessionsOnTheirPod(t *testing.T) {
	t.Parallel()
	s := startWaypoint(t, "hosts")
	newClient := ambientClients(t, s, "reviews")
	s.Mooring.Deploy(t)
	clients := expectSessions(t, "/", newClient)
	expectOwnHeadersHaveNoEffect(t, s, newClient, map[string]int{"v1": 50, "v2": 50})
	expectOtherServicesUntouched(t, s)

	s.Mooring.DeployOnly(t, "HTTPRoute", "WasmPlugin")
	expectOwnHeadersHaveNoEffect(t, s, newClient, map[string]int{"v1": 50, "v2": 50})
	s.Mooring.Deploy(t)
	expectStayed(t, "/", clients)

	shiftToV3(t, s)
	awaitOnly(t, newClient, "/", "v3")
	expectStayed(t, "/", clients)
	for _, pod := range []string{"reviews-v1-1", "reviews-v2-1"} {
		s.Pods.Remove(t, pod)
		expectMovesToSibling(t, pod, clients)
	}
	expectNothingLeaks(t, s, newClient)
	s.Mooring.Undeploy(t)
	expectNoSessions(t, "without Mooring", "/", newClient)
}

// expectMovesToSibling fails unless each session on a pod moves once, to the other pod of its version, and the others stay.
func expectMovesToSibling(t *testing.T, pod string, clients map[*traffic.Client]string) {
	t.Helper()
	version, _ := strings.CutSuffix(pod, "-1")
	moved := 0
	for client, on := range clients {
		if on != pod {
			continue
		}
		reply := client.Get(t, "/")
		cookieOf(t, reply, "reviews-session")
		if reply.Pod != version+"-0" {
			t.Errorf("from %s to %q", pod, reply.Pod)
		}
		clients[client] = reply.Pod
		moved++
	}
	expectStayed(t, "/", clients)
	t.Logf("%d sessions of %s moved once, %d stayed", moved, pod, len(clients)-moved)
}

// expectOwnHeadersHaveNoEffect fails if a client selects a backend or a pod by a header of its own.
func expectOwnHeadersHaveNoEffect(t *testing.T, s *scenario.Scenario, newClient func(testing.TB) *traffic.Client, weights map[string]int) {
	t.Helper()
	address := s.Pod(t, "reviews-v1-0").IP + ":9080"
	for _, host := range []string{"", address, "envoy://connect_originate/" + address} {
		for _, version := range []string{"", "v1", "v3"} {
			var own []traffic.RequestOption
			if version != "" {
				key := "HTTPRoute/" + s.Namespace + "/reviews/reviews/reviews-" + version + "." + s.Namespace + ":9080"
				own = append(own, traffic.WithHeader("x-mooring-backend", key))
			}
			if host != "" { // encoded as Envoy encodes it
				own = append(own, traffic.WithHeader("x-mooring-host", base64.StdEncoding.EncodeToString([]byte(host))))
			}
			versions, pods := map[string]int{}, map[string]bool{}
			for range 100 {
				reply := newClient(t).Get(t, "/", own...)
				versions[reply.Version]++
				pods[reply.Pod] = true
			}
			what := fmt.Sprintf("a client's own key of %q and host %q", version, host)
			expectShares(t, what, versions, weights)
			if len(pods) != 4 {
				t.Errorf("%s: the pods are %v", what, pods)
			}
		}
	}
}

// expectNothingLeaks fails if a pod has received an internal header or a token, or if a client gets an internal header. The requests to pods of
// v2 must have gone through tunnels.
func expectNothingLeaks(t *testing.T, s *scenario.Scenario, newClient func(testing.TB) *traffic.Client) {
	t.Helper()
	client := newClient(t)
	for range 10 {
		for name, values := range client.Get(t, "/").Header {
			if strings.HasPrefix(name, "X-Mooring-") {
				t.Errorf("a client received %s: %q", name, values)
			}
		}
	}
	if n := s.Waypoint(t, "wp").Envoy.Stat(t, "cluster.connect_originate;.upstream_rq_total"); n == 0 {
		t.Error("no request has gone through a tunnel to a pod")
	}
	requests := 0
	for _, pod := range []string{"reviews-v1-0", "reviews-v2-0", "reviews-v3-0", "reviews-v3-1"} {
		for _, request := range s.Pod(t, pod).Requests() {
			requests++
			for name := range request.Headers {
				if strings.HasPrefix(name, "X-Mooring-") || name == "Cookie" {
					t.Fatalf("%s received %s: %q", pod, name, request.Headers[name])
				}
			}
		}
	}
	t.Logf("%d requests without internal headers and tokens", requests)
}

// With istio.io/ingress-use-waypoint on a Service, the only host that a gateway has for it is the waypoint. Sessions of the gateway then stay
// on their backend, and the waypoint balances over its pods.
func TestGatewaySendsThroughTheWaypoint(t *testing.T) {
	t.Parallel()
	s := startWaypoint(t, "ingress")
	gateway := s.Gateway(t, "front")
	s.Mooring.Deploy(t)
	clients := expectSessions(t, "/", gateway.Client) // without the label, also on pods that accept tunnels
	waypoint := s.Waypoint(t, "wp")
	for _, service := range []string{"reviews", "reviews-v1", "reviews-v2"} {
		s.Patch(t, "v1", "Service", service, `{"metadata":{"labels":{"istio.io/ingress-use-waypoint":"true"}}}`)
		gateway.Envoy.AwaitEndpoints(t, "outbound|9080||"+service+"."+s.Namespace+".svc.cluster.local", waypoint.IP)
	}
	requests, otherPod, otherBackend, tokens := 0, 0, 0, 0
	for client, pod := range clients {
		for range 9 {
			reply := client.Get(t, "/")
			requests++
			tokens += len(reply.SetCookie)
			if reply.Pod != pod {
				otherPod++
			}
			if !strings.HasPrefix(pod, "reviews-"+reply.Version+"-") {
				otherBackend++
			}
		}
	}
	t.Logf("through the waypoint, of %d requests of 40 sessions %d reached another pod and %d another backend; %d tokens",
		requests, otherPod, otherBackend, tokens)
	if otherBackend > 0 || otherPod == 0 || tokens != len(clients) {
		t.Errorf("%d to another backend, %d to another pod, %d tokens", otherBackend, otherPod, tokens)
	}

	// Sessions of the waypoint keep their pods.
	if err := s.TryApplyFile(t, "hosts/route.yaml"); err != nil {
		t.Fatal(err)
	}
	s.Mooring.Deploy(t)
	expectSessions(t, "/through", gateway.Client)
}

// Istiod merges the ConfigMap of docs/mesh.md into the Deployment of a waypoint. The container keeps Istio's own variables and gets the key
// ring.
func TestDeployedWaypointGetsItsKeys(t *testing.T) {
	t.Parallel()
	s := startWaypoint(t, "hosts")
	file := filepath.Join(t.TempDir(), "waypoint.yaml")
	text := strings.NewReplacer("bookinfo", s.Namespace, "name: waypoint\n", "name: deployed\n").Replace(fileOf(t, rig.Env.RepositoryFile(meshPage), "waypoint.yaml"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.TryApplyFile(t, file); err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	wait.Eventually(t, "istiod deploys the waypoint", func() error {
		obj, err := s.Cluster.Kube.Get(appsv1.SchemeGroupVersion.WithKind("Deployment"), s.Namespace, "deployed")
		if err != nil {
			return err
		}
		return kube.Into(obj, &deployment)
	})
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 || containers[0].Name != "istio-proxy" {
		t.Fatalf("the containers are %v", containers)
	}
	variables := map[string]corev1.EnvVar{}
	for _, variable := range containers[0].Env {
		variables[variable.Name] = variable
	}
	t.Logf("%d variables, args %q", len(variables), containers[0].Args)
	keys := variables["MOORING_KEYS"].ValueFrom
	if keys == nil || keys.SecretKeyRef == nil || keys.SecretKeyRef.Name != "mooring-keys" || keys.SecretKeyRef.Key != "MOORING_KEYS" {
		t.Errorf("MOORING_KEYS is %v", variables["MOORING_KEYS"])
	}
	for _, name := range []string{"POD_NAME", "INSTANCE_IP", "PROXY_CONFIG", "CA_ADDR"} {
		if _, ok := variables[name]; !ok {
			t.Errorf("%s is missing among %v", name, containers[0].Env)
		}
	}
}

// Without the plugin, session routes let a client select a backend of its rule on a waypoint, which has no header sanitizer.
func TestWaypointWithSessionRoutesOnly(t *testing.T) {
	t.Parallel()
	s := startWaypoint(t, "backends")
	s.Mooring.DeployOnly(t, "HTTPRoute")
	key := traffic.WithHeader("x-mooring-backend", "HTTPRoute/"+s.Namespace+"/reviews/reviews/reviews-v3."+s.Namespace+":9080")
	newClient := ambientClients(t, s, "reviews")
	expectShares(t, "a client's own key", versionsOf(t, newClient(t), 100, "/", key), map[string]int{"v3": 1})
	expectShares(t, "other clients", versionsOf(t, newClient(t), 200, "/"), map[string]int{"v1": 50, "v2": 50})
}

// Istio gives EnvoyFilters no access to a VirtualService's routes on a waypoint, so its sessions are refused.
func TestVirtualServiceOfAWaypointIsRefused(t *testing.T) {
	t.Parallel()
	s := startWaypoint(t, "virtual-service")
	messages := s.Mooring.DeployWithExitCode(t, leftOut)
	if !strings.Contains(messages, "waypoint "+s.Namespace+"/wp") {
		t.Errorf("the waypoint is not named: %s", messages)
	}
	expectNoSessions(t, "a refused VirtualService", "/", ambientClients(t, s, "reviews"))
}

// The waypoint is in another namespace than the Service.
func TestWaypointOfAnotherNamespace(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "waypoints-shared", scenario.WithAmbientMesh(), scenario.WithGatewayEnv(keys), scenario.WithManifests("waypoints/hosts"))
	newClient := ambientClients(t, s, "reviews")
	s.Mooring.Deploy(t)
	clients := expectSessions(t, "/", newClient)
	expectOwnHeadersHaveNoEffect(t, s, newClient, map[string]int{"v1": 50, "v2": 50})
	shiftToV3(t, s)
	awaitOnly(t, newClient, "/", "v3")
	expectStayed(t, "/", clients)
}

// A backend loses all its pods, whose tunnels end with them. Its sessions move once, to the backend that the weights name.
func TestWaypointSessionsFailOver(t *testing.T) {
	t.Parallel()
	s := startWaypoint(t, "hosts")
	s.Mooring.Deploy(t)
	newClient := ambientClients(t, s, "reviews")
	load := traffic.StartLoad(t, loadSize, "/", newClient)
	load.AwaitAllClients(t)
	shift(t, s, "reviews", 100, 0)
	awaitOnly(t, newClient, "/", "v1")
	load.AwaitAllClients(t)
	expectFailover(t, load, "the pods of v2 are removed", "v2", "v1", func() { s.Pods.RetireAll(t, "reviews-v2") })
	t.Log(load.Stop())
}
