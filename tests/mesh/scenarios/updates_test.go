package scenarios

import (
	"testing"
	"time"

	"mooring.dev/tests/mesh/rig"
)

// Fifty connections send requests while the policy goes through istiod twenty times: some changes are for the filter alone,
// some for the routes too.
func TestTwentyUpdatesUnderFiftyConnections(t *testing.T) {
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
	if total.Failed > 0 || total.Moves > 0 || total.Cookies != 50 {
		t.Errorf("%d failed, %d moves, %d cookies of 50 visitors: %v", total.Failed, total.Moves, total.Cookies, total.Failures)
	}
	if n := gateway.ModuleAttempts(); n < 10 {
		t.Errorf("the filter was configured only %d times", n)
	}
}
