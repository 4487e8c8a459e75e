//go:build mesh

package scenarios

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Patches insert the session routes of a VirtualService before the user's routes. These tests change weights and routes, and apply and remove
// generated objects in different orders.

const vsHost = "vs.example"

func startVSplit(t *testing.T) (*scenario.Scenario, *gateway.Gateway, func(testing.TB) *traffic.Client) {
	t.Helper()
	s := rig.Start(t, "vsplit", scenario.WithManifests("ingressgateway"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "ingressgateway")
	return s, gateway, func(testing.TB) *traffic.Client { return gateway.ClientForHost(t, vsHost) }
}

// shiftVirtualService changes only the weights of one route.
func shiftVirtualService(t *testing.T, s *scenario.Scenario, route, v1, v2 int) {
	t.Helper()
	s.PatchJSON(t, istioGroup, "VirtualService", "web", fmt.Sprintf(`[
		{"op":"replace","path":"/spec/http/%d/route/0/weight","value":%d},
		{"op":"replace","path":"/spec/http/%d/route/1/weight","value":%d}]`, route, v1, route, v2))
}

// The weights of a route with a match and of a catch-all apply at once, and sessions stay.
func TestWeightsOfAVirtualServiceApplyAtOnce(t *testing.T) {
	t.Parallel()
	s, gateway, newClient := startVSplit(t)
	s.Mooring.Deploy(t)
	const beta, main = 0, 1
	paths, names := []string{"/beta", "/"}, []string{"beta", "main"}
	weights := func(v1, v2 int) map[string]int { return map[string]int{"|v1|": v1, "|v2|": v2} }
	var loads []*traffic.Load
	for _, path := range paths {
		loads = append(loads, traffic.StartLoad(t, 25, path, newClient))
	}
	awaitAll := func() {
		for _, load := range loads {
			load.AwaitAllClients(t)
		}
	}
	awaitAll()
	at := []map[string]int{loads[beta].ClientsByPod(), loads[main].ClientsByPod()}
	t.Logf("fifty clients: %v", at)
	for _, route := range []int{beta, main} {
		shiftVirtualService(t, s, route, 100, 0)
		awaitOnly(t, newClient, paths[route], "v1")
		awaitAll()
		patched := time.Now()
		shiftVirtualService(t, s, route, 0, 100)
		first := awaitOnly(t, newClient, paths[route], "v2")
		t.Logf("%s: from the patch of the weights to the first new session that follows: %.2f s",
			names[route], first.Sub(patched).Seconds())
		awaitAll()
		for _, v1 := range []int{30, 90} {
			shiftVirtualService(t, s, route, v1, 100-v1)
			awaitWeights(t, gateway, names[route], weights(v1, 100-v1))
			versions := versionsOf(t, newClient(t), sampleSize, paths[route])
			expectShares(t, fmt.Sprintf("%s, %d/%d", names[route], v1, 100-v1), versions, map[string]int{"v1": v1, "v2": 100 - v1})
			awaitAll()
		}
	}
	for i, load := range loads {
		total := load.Stop()
		t.Logf("%s: %s", names[i], total)
		expectNothingLost(t, names[i], total)
		if !maps.Equal(at[i], load.ClientsByPod()) {
			t.Errorf("%s: the clients are at %v", names[i], load.ClientsByPod())
		}
	}
	expectNoFindings(t, s)
}

// A client's own key has no effect, and a route that the user inserts first does not change the others.
func TestNamedRoutesOfAVirtualService(t *testing.T) {
	t.Parallel()
	s, gateway, newClient := startVSplit(t)
	s.Mooring.Deploy(t)
	shiftVirtualService(t, s, 1, 100, 0)
	awaitOnly(t, newClient, "/", "v1")
	sessions := map[string]*traffic.Client{"/beta": newClient(t), "/": newClient(t)}
	firsts := map[string]traffic.Reply{}
	for path, client := range sessions {
		firsts[path] = client.Get(t, path)
		sessionOf(t, firsts[path])
	}
	s.PatchJSON(t, istioGroup, "VirtualService", "web", `[{"op":"add","path":"/spec/http/0","value":{
		"match":[{"uri":{"prefix":"/beta"},"headers":{"team":{"exact":"blue"}}}],
		"route":[{"destination":{"host":"web","subset":"v2"}}]}}]`)
	gateway.Envoy.AwaitRoute(t, "beta", nil)
	blue := traffic.WithHeader("team", "blue")
	awaitOnly(t, func(testing.TB) *traffic.Client { return newClient(t) }, "/", "v1")
	wait.Eventually(t, "the inserted route is there", func() error {
		for range 20 {
			if reply := newClient(t).Get(t, "/beta", blue); reply.Version != "v2" || len(reply.SetCookie) > 0 {
				return fmt.Errorf("pod %s, Set-Cookie %q", reply.Pod, reply.SetCookie)
			}
		}
		return nil
	})
	for path, client := range sessions {
		expectOnPod(t, client, path, firsts[path].Pod, tries)
	}
	for _, version := range []string{"v1", "v2"} {
		for _, route := range []string{"beta", "main"} {
			id := "VirtualService/" + s.Namespace + "/web/" + route
			key := traffic.WithHeader("x-mooring-backend", id+"/web."+s.Namespace+":80/"+version)
			expectShares(t, "a client asks for "+version, versionsOf(t, newClient(t), 100, "/", key), map[string]int{"v1": 1})
		}
	}
}

// The EnvoyFilter has the session routes of a VirtualService, the plugin makes the decisions. Either is removed and applied first or last,
// under fifty clients: no request fails, and with both objects the clients are on the pods of their sessions.
func TestGeneratedObjectsOfAVirtualServiceComeAndGoInAnyOrder(t *testing.T) {
	t.Parallel()
	s, _, newClient := startVSplit(t)
	s.Mooring.Deploy(t)
	expectAnyOrder(t, s, traffic.StartLoad(t, 50, "/beta", newClient), map[string][]string{
		"the EnvoyFilter": {"WasmPlugin"},
		"the plugin":      {"EnvoyFilter"},
	})
}

// Mooring is installed and removed in the right order, three times, under fifty clients.
func TestMooringIsInstalledAndRemovedOnAVirtualService(t *testing.T) {
	t.Parallel()
	s, _, newClient := startVSplit(t)
	load := traffic.StartLoad(t, 50, "/beta", newClient)
	load.AwaitAllClients(t)
	installAndRemove(t, s, load, 3)
}
