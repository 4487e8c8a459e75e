//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Callers in the mesh: their sidecars route what they send.

func TestSidecarsRouteByHTTPRoutesOfTheMesh(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sidecars", scenario.WithUniqueNamespace())
	for _, from := range []scenario.Origin{scenario.FromSidecar("productpage"), scenario.FromSidecar("batch")} {
		caller := s.From(t, from)
		caller.Proxy().AwaitRoute(t, "reviews", nil)
		for _, host := range []string{"reviews:9080", "reviews", "reviews." + s.Namespace, "reviews." + s.Namespace + ".svc.cluster.local:9080"} {
			client := caller.ClientForHost(t, host)
			expectShares(t, from.String()+" calls "+host, versionsOf(t, client, 200, "/"), map[string]int{"v1": 50, "v2": 50})
		}
		if reply := caller.ClientForHost(t, "elsewhere:9080").Get(t, "/"); reply.Status != 502 {
			t.Errorf("%s: a host outside of the registry: status %d, pod %s", from, reply.Status, reply.Pod)
		}
	}
}

func TestSidecarsKeepSessions(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sidecars", scenario.WithGatewayEnv(keys))
	s.Mooring.DeployFile(t, "objects/httproute.yaml", s.Mooring.ModuleURL(t))
	selected, other := s.From(t, scenario.FromSidecar("productpage")), s.From(t, scenario.FromSidecar("batch"))
	first := selected.ClientForHost(t, "reviews:9080")
	reply := first.Get(t, "/")
	cookieOf(t, reply, "reviews-session")
	expectOnPod(t, first, "/", reply.Pod, 20)
	if reply := other.ClientForHost(t, "reviews:9080").Get(t, "/"); len(reply.SetCookie) > 0 {
		t.Errorf("not selected: %q", reply.SetCookie)
	}
	clients := map[*traffic.Client]string{}
	for range 40 {
		client := selected.ClientForHost(t, "reviews:9080")
		clients[client] = client.Get(t, "/").Pod
	}
	for client, pod := range clients {
		expectOnPod(t, client, "/", pod, 9)
	}
	shift(t, s, "reviews", 0, 100)
	awaitOnly(t, func(t testing.TB) *traffic.Client { return selected.ClientForHost(t, "reviews:9080") }, "/", "v2")
	for client, pod := range clients {
		expectOnPod(t, client, "/", pod, 9)
	}
	s.Mooring.Undeploy(t)
}
