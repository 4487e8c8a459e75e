//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
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
