//go:build mesh

package scenarios

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"mooring.dev/tests/mesh/rig"
)

// VirtualServices on a gateway have their session routes before the user's own, by patches. What that means for weights, and for what is
// applied or removed in the wrong order.

const vsHost = "vs.example"

func startVSplit(t *testing.T) (*rig.Scenario, *rig.Gateway, func() *rig.Client) {
	t.Helper()
	s := rig.Start(t, "vsplit", rig.More("ingressgateway"), rig.Beside(), rig.GatewayEnv(keys))
	gateway := s.Gateway("ingressgateway")
	return s, gateway, func() *rig.Client { return visitorAt(gateway, vsHost) }
}

// shiftVirtualService changes the weights of one route, and nothing else.
func shiftVirtualService(s *rig.Scenario, route, v1, v2 int) {
	s.PatchJSON(istioGroup, "VirtualService", "web", fmt.Sprintf(`[
		{"op":"replace","path":"/spec/http/%d/route/0/weight","value":%d},
		{"op":"replace","path":"/spec/http/%d/route/1/weight","value":%d}]`, route, v1, route, v2))
}

// A route with a match and a catch-all: their weights are in force at once, and sessions stay.
func TestWeightsOfAVirtualServiceAreInForceAtOnce(t *testing.T) {
	t.Parallel()
	s, gateway, newcomer := startVSplit(t)
	s.Deploy()
	const beta, main = 0, 1
	paths, names := []string{"/beta", "/"}, []string{"beta", "main"}
	weights := func(v1, v2 int) map[string]int { return map[string]int{"|v1|": v1, "|v2|": v2} }
	var loads []*rig.Load
	for _, path := range paths {
		loads = append(loads, rig.StartLoad(t, 25, path, newcomer))
	}
	everybody := func() {
		for _, load := range loads {
			load.AwaitEverybody()
		}
	}
	everybody()
	at := []map[string]int{loads[beta].At(), loads[main].At()}
	t.Logf("fifty visitors: %v", at)
	for _, route := range []int{beta, main} {
		shiftVirtualService(s, route, 100, 0)
		awaitOnly(t, newcomer, paths[route], "v1")
		everybody()
		patched := time.Now()
		shiftVirtualService(s, route, 0, 100)
		first := awaitOnly(t, newcomer, paths[route], "v2")
		t.Logf("%s: from the patch of the weights to the first new session that follows: %.2f s",
			names[route], first.Sub(patched).Seconds())
		everybody()
		for _, v1 := range []int{30, 90} {
			shiftVirtualService(s, route, v1, 100-v1)
			awaitWeights(gateway, names[route], weights(v1, 100-v1))
			versions := versionsOf(newcomer(), newcomers, paths[route])
			expectShares(t, fmt.Sprintf("%s, %d/%d", names[route], v1, 100-v1), versions, map[string]int{"v1": v1, "v2": 100 - v1})
			everybody()
		}
	}
	for i, load := range loads {
		total := load.Stop()
		t.Logf("%s: %s", names[i], total)
		expectNothingLost(t, names[i], total)
		if !maps.Equal(at[i], load.At()) {
			t.Errorf("%s: the visitors are at %v", names[i], load.At())
		}
	}
	expectHarmless(t, s)
}

// A client's own key chooses nothing, and a rule that the user inserts in front changes nothing for those behind it.
func TestNamedRoutesOfAVirtualService(t *testing.T) {
	t.Parallel()
	s, gateway, newcomer := startVSplit(t)
	s.Deploy()
	shiftVirtualService(s, 1, 100, 0)
	awaitOnly(t, newcomer, "/", "v1")
	sessions := map[string]*rig.Client{"/beta": newcomer(), "/": newcomer()}
	firsts := map[string]rig.Reply{}
	for path, visitor := range sessions {
		firsts[path] = visitor.Get(path)
		sessionOf(t, firsts[path])
	}
	s.PatchJSON(istioGroup, "VirtualService", "web", `[{"op":"add","path":"/spec/http/0","value":{
		"match":[{"uri":{"prefix":"/beta"},"headers":{"team":{"exact":"blue"}}}],
		"route":[{"destination":{"host":"web","subset":"v2"}}]}}]`)
	gateway.AwaitRoute("beta", nil)
	blue := rig.Header("team", "blue")
	awaitOnly(t, func() *rig.Client { return newcomer() }, "/", "v1")
	rig.Eventually(t, "the inserted route is there", func() error {
		for range 20 {
			if reply := newcomer().Get("/beta", blue); reply.Version != "v2" || len(reply.SetCookie) > 0 {
				return fmt.Errorf("pod %s, Set-Cookie %q", reply.Pod, reply.SetCookie)
			}
		}
		return nil
	})
	for path, visitor := range sessions {
		expectPinned(t, visitor, path, firsts[path].Pod, tries)
	}
	for _, version := range []string{"v1", "v2"} {
		for _, route := range []string{"beta", "main"} {
			id := "VirtualService/" + s.Namespace + "/web/" + route
			key := rig.Header("x-mooring-backend", id+"/web."+s.Namespace+":80/"+version)
			expectShares(t, "a client asks for "+version, versionsOf(newcomer(), 100, "/", key), map[string]int{"v1": 1})
		}
	}
}

// The session routes of a VirtualService come by the EnvoyFilter, the decisions by the plugin. Fifty visitors go on while one of the two
// is missing, in either order: they are served, and when both are there their sessions are where they were.
func TestTheHalvesComeAndGoInAnyOrder(t *testing.T) {
	t.Parallel()
	s, _, newcomer := startVSplit(t)
	s.Deploy()
	expectAnyOrder(t, s, rig.StartLoad(t, 50, "/beta", newcomer), map[string][]string{
		"the EnvoyFilter": {"WasmPlugin"},
		"the plugin":      {"EnvoyFilter"},
	})
}

// The right order, three times, under fifty visitors.
func TestMooringComesAndGoesOnAVirtualService(t *testing.T) {
	t.Parallel()
	s, _, newcomer := startVSplit(t)
	load := rig.StartLoad(t, 50, "/beta", newcomer)
	load.AwaitEverybody()
	for range 3 {
		s.Deploy()
		load.AwaitEverybody()
		before := load.SoFar()
		load.AwaitEverybody()
		expectNothingLost(t, "with Mooring", load.SoFar().Since(before))
		s.Undeploy()
		load.AwaitEverybody()
	}
	total := load.Stop()
	t.Logf("three times applied and removed: %s", total)
	if total.Failed > 0 {
		t.Errorf("%d failed: %v", total.Failed, total.Failures)
	}
}
