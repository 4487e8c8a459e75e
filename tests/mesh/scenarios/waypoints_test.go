//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
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
	s.Mooring.DeployFile(t, "objects/backends.yaml", s.Mooring.ModuleURL(t))
	versions := map[*traffic.Client]string{}
	for range 40 {
		client := newClient(t)
		first := client.Get(t, "/")
		cookieOf(t, first, "reviews-session")
		versions[client] = first.Version
	}
	expectVersions(t, "40 clients", versions)
	expectOwnHeadersHaveNoEffect(t, s, newClient, map[string]int{"v1": 50, "v2": 50})
	expectNoSessions(t, "another Service", "/", ambientClients(t, s, "ratings"))

	s.PatchJSON(t, gatewayGroup, "HTTPRoute", "reviews", `[
		{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":0},
		{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":0},
		{"op":"replace","path":"/spec/rules/0/backendRefs/2/weight","value":100}]`)
	awaitOnly(t, newClient, "/", "v3")
	expectVersions(t, "after the change of weights", versions)
	expectNothingLeaks(t, s)
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
	s.Mooring.DeployFile(t, "objects/hosts.yaml", s.Mooring.ModuleURL(t))
	clients := expectSessions(t, "/", newClient)
	expectOwnHeadersHaveNoEffect(t, s, newClient, map[string]int{"v1": 50, "v2": 50})
	expectNoSessions(t, "another Service", "/", ambientClients(t, s, "ratings"))

	s.PatchJSON(t, gatewayGroup, "HTTPRoute", "reviews", `[
		{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":0},
		{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":0},
		{"op":"replace","path":"/spec/rules/0/backendRefs/2/weight","value":100}]`)
	awaitOnly(t, newClient, "/", "v3")
	expectStayed(t, "/", clients)
	for _, pod := range []string{"reviews-v1-1", "reviews-v2-1"} {
		s.Pods.Remove(t, pod)
		expectMovesToSibling(t, pod, clients)
	}
	expectNothingLeaks(t, s)
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
	pod := s.Pod(t, "reviews-v1-0")
	for _, version := range []string{"v1", "v3"} {
		key := traffic.WithHeader("x-mooring-backend", "HTTPRoute/"+s.Namespace+"/reviews/reviews/reviews-"+version+"."+s.Namespace+":9080")
		expectShares(t, "a client's own key of "+version, versionsOf(t, newClient(t), 200, "/", key), weights)
		for _, host := range []string{pod.IP + ":9080", "envoy://connect_originate/" + pod.IP + ":9080"} {
			host := traffic.WithHeader("x-mooring-host", host)
			pods := traffic.Tally(100, func() string { return newClient(t).Get(t, "/", key, host).Pod })
			t.Logf("a client's own key and host: %v", pods)
			if len(pods) != 4 {
				t.Errorf("with a host of the client, the pods are %v", pods)
			}
		}
	}
}

// expectNothingLeaks fails if a pod has received an internal header or a token.
func expectNothingLeaks(t *testing.T, s *scenario.Scenario) {
	t.Helper()
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
