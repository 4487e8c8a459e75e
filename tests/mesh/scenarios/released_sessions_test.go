//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Sessions on a backend whose weight is 0, where a CanaryPolicy releases them. The weights are live in the route; which backends are
// released stands in the configuration of the module.

const releasePolicy = `
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: checkout}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: checkout}
  whenWeightZero: Release
`

// weighCheckout changes the weights of the two versions and waits until they are in force.
func weighCheckout(t *testing.T, s *scenario.Scenario, v1, v2 int) {
	s.Patch(t, gatewayGroup, "HTTPRoute", "checkout", fmt.Sprintf(`{"spec":{"rules":[{"name":"checkout","backendRefs":[
		{"name":"checkout-v1","port":80,"weight":%d},{"name":"checkout-v2","port":80,"weight":%d}],
		"sessionPersistence":{"sessionName":"checkout-session"}}]}}`, v1, v2))
	awaitWeights(t, s.Gateway(t, "shop"), "checkout", map[string]int{"checkout-v1": v1, "checkout-v2": v2})
}

func awaitNoneOn(t *testing.T, load *traffic.Load, version string) {
	t.Helper()
	wait.Eventually(t, "no session is on "+version, func() error {
		if left := onVersion(load, version); left > 0 {
			return fmt.Errorf("%d are", left)
		}
		return nil
	})
}

// A rollback moves every session on the backend once, when it is generated, and no request fails. Afterwards the weight is raised
// again and nothing is generated, so that the module goes by an old mark: no session goes back and forth. When the weight is 0
// again, the sessions leave without a new generation.
func TestRollbackReleasesSessions(t *testing.T) {
	t.Parallel()
	s, load := startHalves(t)
	s.Apply(t, releasePolicy)
	expectNothingLost(t, "the policy comes", load.During(t, "the policy comes", 200, func() { s.Mooring.Deploy(t) }))
	leaving := onVersion(load, "v2")

	kept := load.During(t, "the weight of v2 is 0", 300, func() { weighCheckout(t, s, 100, 0) })
	expectNothingLost(t, "the weight of v2 is 0", kept)
	released := load.During(t, "it is generated again", 300, func() {
		s.Mooring.Deploy(t)
		awaitNoneOn(t, load, "v2")
	})
	t.Logf("%d of %d sessions were on v2; %d visitors moved, %d times, with %d cookies",
		leaving, crowd, released.MovedClients, released.Moves, released.Cookies)
	if released.Failed > 0 || released.MovedClients != leaving || released.Moves != leaving {
		t.Errorf("%d failed %v, %d moves of %d visitors, %d sessions were on v2",
			released.Failed, released.Failures, released.Moves, released.MovedClients, leaving)
	}
	after := load.During(t, "after that", 300, func() {})
	expectNothingLost(t, "after that", after)

	// Nothing is generated from here on.
	raised := load.During(t, "the weight of v2 is raised again", 300, func() { weighCheckout(t, s, 50, 50) })
	expectNothingLost(t, "the weight of v2 is raised again", raised)
	others := startCrowd(t, s.Gateway(t, "shop").Client, "/checkout/")
	others.Await(t, 500)
	first := others.Totals()
	on := onVersion(others, "v2")
	steady := others.During(t, "new sessions by an old mark", 1000, func() {})
	expectNothingLost(t, "new sessions by an old mark", steady)
	t.Logf("by an old mark, %d of %d new sessions are on v2; before, %d visitors moved, %d times", on, crowd, first.MovedClients, first.Moves)
	if on < 5 || first.Failed > 0 || first.Moves > first.MovedClients || onVersion(others, "v2") != on {
		t.Errorf("%d, then %d sessions on v2; %d failed, %d moves of %d visitors",
			on, onVersion(others, "v2"), first.Failed, first.Moves, first.MovedClients)
	}

	again := others.During(t, "the weight of v2 is 0 again", 300, func() {
		weighCheckout(t, s, 100, 0)
		awaitNoneOn(t, others, "v2")
	})
	if again.Failed > 0 || again.Moves != on {
		t.Errorf("%d failed %v, %d moves, %d sessions were on v2", again.Failed, again.Failures, again.Moves, on)
	}
	t.Log(load.Stop(), others.Stop())
}
