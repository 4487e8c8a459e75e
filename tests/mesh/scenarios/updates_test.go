package scenarios

import (
	"testing"
	"time"

	"mooring.dev/tests/mesh/rig"
)

// Fifty connections send requests while the policy goes through istiod twenty times: some changes are for the filter alone,
// some for the routes too.
func TestTwentyUpdatesUnderFiftyConnections(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	load := rig.StartLoad(t, 50, "/", gateway.Client)
	load.Await(500)
	changes := []string{
		`{"spec":{"sessionPersistence":{"absoluteTimeout":"2h"}}}`,
		`{"metadata":{"annotations":{"mooring.dev/strict":"true"}}}`,
		`{"spec":{"sessionPersistence":{"idleTimeout":"20m"}}}`,
		`{"metadata":{"annotations":{"mooring.dev/strict":"false"}}}`,
		`{"spec":{"sessionPersistence":{"absoluteTimeout":"1h","idleTimeout":null}}}`,
	}
	began := time.Now()
	for i := range 20 {
		s.Patch(xGroup, "XBackendTrafficPolicy", "lb-policy", changes[i%len(changes)])
		s.Deploy()
	}
	took := time.Since(began)
	load.Await(500)
	total := load.Stop()
	t.Logf("20 updates in %s: %s", took.Round(time.Millisecond), total)
	if total.Failed > 0 || total.Moves > 0 || total.Cookies < 50 {
		t.Errorf("%d failed, %d moves, %d cookies of 50 visitors: %v", total.Failed, total.Moves, total.Cookies, total.Failures)
	}
	if n := gateway.ModuleAttempts(); n < 10 {
		t.Errorf("the filter was configured only %d times", n)
	}
}

// Mooring comes to a gateway that serves, and goes again.
func TestInstallingAndRemovingUnderFiftyConnections(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", rig.Beside(), rig.GatewayEnv(keys))
	s.ApplyFile("policies/xbackendtrafficpolicy.yaml")
	load := rig.StartLoad(t, 50, "/", s.Gateway("gateway-sp-demo").Client)
	load.Await(500)
	s.Deploy()
	load.Await(500)
	before := load.SoFar()
	load.Await(500)
	with := load.SoFar()
	s.Undeploy()
	load.Await(500)
	total := load.Stop()
	t.Logf("%d requests before and while it came, %d with it, %d while and after it went: %s",
		before.Requests, with.Requests-before.Requests, total.Requests-with.Requests, total)
	if total.Failed > 0 || total.Cookies != 50 || with.Moves > before.Moves {
		t.Errorf("%d failed %v, %d cookies of 50 visitors, %d moves with sessions",
			total.Failed, total.Failures, total.Cookies, with.Moves-before.Moves)
	}
}
