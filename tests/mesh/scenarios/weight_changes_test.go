//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// A session keeps its Service and its pod while the weights change; new sessions follow the weights.
func TestSessionsStayWhenTheWeightsChange(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "shop")
	s.Mooring.Deploy(t)
	clients := map[*traffic.Client]traffic.Reply{}
	for range 60 {
		client := gateway.Client(t)
		first := client.Get(t, "/checkout/")
		cookieOf(t, first, "checkout-session")
		clients[client] = first
	}
	versions := map[string]int{}
	for _, first := range clients {
		versions[first.Version]++
	}
	expectShares(t, "90/10", versions, map[string]int{"v1": 90, "v2": 10})
	for _, weights := range [][2]int{{10, 90}, {0, 100}} {
		v1, v2 := weights[0], weights[1]
		s.Patch(t, gatewayGroup, "HTTPRoute", "checkout", fmt.Sprintf(`{"spec":{"rules":[{"name":"checkout","backendRefs":[
			{"name":"checkout-v1","port":80,"weight":%d},{"name":"checkout-v2","port":80,"weight":%d}],
			"sessionPersistence":{"sessionName":"checkout-session"}}]}}`, v1, v2))
		s.Mooring.Deploy(t)
		awaitWeights(t, gateway, "checkout", map[string]int{"checkout-v1": v1, "checkout-v2": v2})
		for client, first := range clients {
			expectOnPodRefreshed(t, client, "/checkout/", first.Pod, 3)
		}
		t.Logf("weights %d/%d: 180 of 180 requests of 60 sessions on their pods", v1, v2)
		versions := versionsOf(t, gateway.Client(t), 100, "/checkout/")
		expectShares(t, "after the change", versions, map[string]int{"v1": v1, "v2": v2})
	}
	expectNoFindings(t, s)
}
