package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// A session keeps its Service and its pod whatever becomes of the weights; new sessions follow them.
func TestSessionsStayWhenTheWeightsChange(t *testing.T) {
	s := rig.Start(t, "split", rig.GatewayEnv(keys))
	gateway := s.Gateway("front")
	s.Deploy()
	visitors := map[*rig.Client]rig.Reply{}
	for range 60 {
		visitor := gateway.Client()
		first := visitor.Get("/")
		cookieOf(t, first, "checkout-session")
		visitors[visitor] = first
	}
	versions := map[string]int{}
	for _, first := range visitors {
		versions[first.Version]++
	}
	t.Logf("60 sessions at 50/50: %v", versions)
	if versions["v1"] < 15 || versions["v2"] < 15 || versions["v1"]+versions["v2"] != 60 {
		t.Errorf("not half and half: %v", versions)
	}
	for _, weights := range [][2]string{{"10", "90"}, {"0", "100"}} {
		v1, v2 := weights[0], weights[1]
		s.Patch(gatewayGroup, "HTTPRoute", "checkout", `{"spec":{"rules":[{"name":"checkout","backendRefs":[
			{"name":"checkout-v1","port":80,"weight":`+v1+`},{"name":"checkout-v2","port":80,"weight":`+v2+`}],
			"sessionPersistence":{"sessionName":"checkout-session"}}]}}`)
		s.Deploy()
		for visitor, first := range visitors {
			expectPinned(t, visitor, "/", first.Pod, 3)
		}
		newcomers := rig.Tally(60, func() string { return gateway.Client().Get("/").Version })
		t.Logf("weights %s/%s: 180 of 180 requests of 60 sessions on their pods, 60 newcomers: %v", v1, v2, newcomers)
		if v1 == "0" && newcomers["v2"] != 60 {
			t.Errorf("weights %s/%s: newcomers reached %v", v1, v2, newcomers)
		}
	}
	expectHarmless(t, s)
}
