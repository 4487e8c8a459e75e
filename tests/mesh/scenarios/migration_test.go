package scenarios

import (
	"os"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// A gateway that has what Mooring generated before there were session routes gets the new objects under fifty visitors: the session
// routes first, then the EnvoyFilters and the plugin, and the old EnvoyFilters go last. MOORING_OLD_WASM names a module of that time;
// without it, the new module serves by the old objects too.

func oldModule(s *rig.Scenario) string {
	if path := os.Getenv("MOORING_OLD_WASM"); path != "" {
		return "file://" + path
	}
	return s.ModuleURL()
}

// A token that the module of that time made for a session on web-v2, with the keys of these tests. It was issued on 2024-01-01 and has no end.
const oldToken = "Ab5xEGEgbm9uY2UgdGhhdCBpcyB1c2VkIDEgeL9LxfdK_fumj4PgSNUGNA9Eum65Xm7CG4T9jaCQ25n-NnWG8230uBf-yyk5xk04XTzlIRN4"

func TestAGatewayWithTheOldObjectsGetsTheNewOnes(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "migration", rig.GatewayEnv(keys))
	gateway := s.Gateway("front")
	s.DeployFile("old/generated.yaml", oldModule(s))
	readers := map[*rig.Client]string{}
	for range 20 {
		reader := gateway.Client()
		first := reader.Get("/beta")
		cookieOf(t, first, "beta-version")
		readers[reader] = first.Version
	}
	expectOld := func() {
		t.Helper()
		for range tries {
			reply := gateway.Client().Get("/beta", rig.Header("Cookie", "beta-version="+oldToken))
			if reply.Version != "v2" || len(reply.SetCookie) > 0 {
				t.Fatalf("the old token leads to %s, Set-Cookie %q", reply.Pod, reply.SetCookie)
			}
		}
	}
	expectOld()
	migrate(t, s, gateway.Client, "/shop", "/beta", "/single")
	for reader, version := range readers {
		if reply := reader.Get("/beta"); reply.Version != version || len(reply.SetCookie) > 0 {
			t.Errorf("from %s to %s, Set-Cookie %q", version, reply.Version, reply.SetCookie)
		}
	}
	expectOld()
	expectHarmless(t, s)
}

func TestAVirtualServiceWithTheOldObjectsGetsTheNewOnes(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "vsplit", rig.More("ingressgateway"), rig.GatewayEnv(keys))
	gateway := s.Gateway("ingressgateway")
	s.DeployFile("old/generated.yaml", oldModule(s))
	migrate(t, s, func() *rig.Client { return visitorAt(gateway, vsHost) }, "/beta", "/")
	expectHarmless(t, s)
}

// migrate deploys the new objects over the old ones while visitors of each path go on.
func migrate(t *testing.T, s *rig.Scenario, newcomer func() *rig.Client, paths ...string) {
	t.Helper()
	var loads []*rig.Load
	for _, path := range paths {
		load := rig.StartLoad(t, 50/len(paths)+1, path, newcomer)
		load.AwaitEverybody()
		load.AwaitEverybody()
		loads = append(loads, load)
		// Otherwise there would be nothing to lose.
		if seen := load.SoFar(); seen.Cookies == 0 {
			t.Errorf("%s: no session by the old objects: %s", path, seen)
		}
	}
	s.DeployInSteps()
	for i, load := range loads {
		load.AwaitEverybody()
		load.AwaitEverybody()
		total := load.Stop()
		t.Logf("%s: %s", paths[i], total)
		if total.Failed > 0 {
			t.Errorf("%s: %d failed: %v", paths[i], total.Failed, total.Failures)
		}
		if paths[i] != "/beta" || s.Namespace == "vsplit" { // there, sessions are of a version
			expectNothingLost(t, paths[i], total)
		}
		if most := 50/len(paths) + 1; total.Cookies != most {
			t.Errorf("%s: %d cookies of %d visitors", paths[i], total.Cookies, most)
		}
	}
}
