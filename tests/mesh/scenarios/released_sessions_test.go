//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// A CanaryPolicy releases sessions on a backend whose weight is 0. The route has the current weights; the module's configuration has the
// backends whose sessions are released.

const releasePolicy = `
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: checkout}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: checkout}
  whenWeightZero: Release
`

// weighCheckout changes the weights of the two versions and waits until they apply.
func weighCheckout(t *testing.T, s *scenario.Scenario, v1, v2 int) {
	t.Helper()
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

// After a rollback is generated, every session on the backend moves once, and no request fails. The weight is then raised again without
// a new generation, so the module has an outdated mark: no session moves back and forth. When the weight is 0 again, the sessions
// are released without a new generation.
func TestRollbackReleasesSessions(t *testing.T) {
	t.Parallel()
	s, load := startEvenSplit(t)
	s.Apply(t, releasePolicy)
	expectNothingLost(t, "the policy is applied", load.During(t, "the policy is applied", 200, func() { s.Mooring.Deploy(t) }))
	leaving := onVersion(load, "v2")

	kept := load.During(t, "the weight of v2 is 0", 300, func() { weighCheckout(t, s, 100, 0) })
	expectNothingLost(t, "the weight of v2 is 0", kept)
	released := load.During(t, "it is generated again", 300, func() {
		s.Mooring.Deploy(t)
		awaitNoneOn(t, load, "v2")
	})
	t.Logf("%d of %d sessions were on v2; %d clients moved, %d times, with %d cookies",
		leaving, loadSize, released.MovedClients, released.Moves, released.Cookies)
	if released.Failed > 0 || released.MovedClients != leaving || released.Moves != leaving {
		t.Errorf("%d failed %v, %d moves of %d clients, %d sessions were on v2",
			released.Failed, released.Failures, released.Moves, released.MovedClients, leaving)
	}
	after := load.During(t, "after that", 300, func() {})
	expectNothingLost(t, "after that", after)

	// From here on, `mooring generate` does not run.
	raised := load.During(t, "the weight of v2 is raised again", 300, func() { weighCheckout(t, s, 50, 50) })
	expectNothingLost(t, "the weight of v2 is raised again", raised)
	others := startLoad(t, s.Gateway(t, "shop").Client, "/checkout/")
	others.Await(t, 500)
	first := others.Totals()
	on := onVersion(others, "v2")
	steady := others.During(t, "new sessions with an outdated mark", 1000, func() {})
	expectNothingLost(t, "new sessions with an outdated mark", steady)
	t.Logf("with an outdated mark, %d of %d new sessions are on v2; before, %d clients moved, %d times", on, loadSize, first.MovedClients, first.Moves)
	if on < 5 || first.Failed > 0 || first.Moves > first.MovedClients || onVersion(others, "v2") != on {
		t.Errorf("%d, then %d sessions on v2; %d failed, %d moves of %d clients",
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
