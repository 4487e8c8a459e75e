//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

var canaryPolicyKind = schema.GroupVersionKind{Group: "mooring.dev", Version: "v1alpha1", Kind: "CanaryPolicy"}

// A real Flagger delivers a release to visitors whose sessions are rebalanced: at each step, as many of them are on the canary as its weight
// says, and none goes back. The next release draws all of them again.
func TestControllerFlaggerRebalance(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "flagger", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	r := startFlagger(t, s, "http-route")
	r.gateway = s.Gateway(t, "web")
	controller := s.StartController(t)
	r.apply(t, "http-route/policy.yaml")
	r.patch(t, canaryPolicyKind, `{"spec":{"rebalance":"OnWeightIncrease"}}`)
	r.d = startDelivery(t, func(t testing.TB) *traffic.Client { return r.gateway.ClientForHost(t, "shop.example.com") }, "/")
	r.d.writes = func() int { return len(controller.Recorder.Writes()) }
	r.d.join(t)

	expectMoves(t, r.d.during(t, "v2 starts", func() { r.begin(t, "v2") }))
	for _, weight := range []int{25, 50} {
		expectMoves(t, r.rebalance(t, "v2", weight), "v1→v2")
		expectShares(t, fmt.Sprintf("visitors at %d", weight), r.d.on(), map[string]int{"v1": 100 - weight, "v2": weight})
	}
	r.d.during(t, "v2 is promoted", func() {
		r.step(t, "Promoting", 0, 0)
		s.AwaitComplete(t, "web-primary")
	})
	expectMoves(t, r.d.during(t, "v2 is final", func() { r.step(t, "Finalising", 0, 0); r.awaitWeights(t, 100, 0) }))
	expectMoves(t, r.d.during(t, "the canary of v2 ends", func() { r.step(t, "Succeeded", 0, 0); s.AwaitComplete(t, "web") }))
	r.d.awaitAllOn(t, "v2")

	expectMoves(t, r.d.during(t, "v3 starts", func() { r.begin(t, "v3") }))
	expectMoves(t, r.rebalance(t, "v3", 25), "v2→v3")
	expectShares(t, "visitors at 25", r.d.on(), map[string]int{"v2": 75, "v3": 25})
	r.d.expectNoFailures(t)
}

// rebalance is a step of Flagger, after which each visitor has been drawn again: all get a token with the new share.
func (r *flaggerRun) rebalance(t *testing.T, version string, weight int) phase {
	t.Helper()
	tokens := func() (count int) {
		for _, load := range r.d.visitors {
			count += load.Totals().Cookies
		}
		return count
	}
	return r.d.during(t, fmt.Sprintf("%s at %d", version, weight), func() {
		before := tokens()
		r.step(t, "Progressing", int64(weight), 0)
		r.awaitWeights(t, 100-weight, weight)
		wait.Eventually(t, "each visitor has a token with the new share", func() error { return atLeast(loadSize, tokens()-before) })
	})
}
