//go:build mesh

package scenarios

import (
	"fmt"
	"math"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Measuring shares.

// sampleSize is the number of clients that a share is measured with.
const sampleSize = 1000

// spread is the number of requests that reach each of three random pods: they miss one less than once in ten thousand million times.
const spread = 60

// versionsOf counts the versions that n new clients reach, over one connection.
func versionsOf(t *testing.T, client *traffic.Client, n int, path string, opts ...traffic.RequestOption) map[string]int {
	t.Helper()
	return traffic.Tally(n, func() string {
		client.ForgetCookies()
		reply := client.Get(t, path, opts...)
		if reply.Status != 200 {
			return fmt.Sprintf("status %d", reply.Status)
		}
		return reply.Version
	})
}

// expectShares fails if a share differs from its weight by more than five standard deviations, which happens by chance once in two million
// times.
func expectShares(t *testing.T, what string, counts, weights map[string]int) {
	t.Helper()
	n, sum := 0, 0
	for _, count := range counts {
		n += count
	}
	for _, weight := range weights {
		sum += weight
	}
	text := ""
	for name, count := range counts {
		if weights[name] == 0 && count > 0 {
			t.Errorf("%s: %d of %d went to %s, which has no weight", what, count, n, name)
		}
	}
	for name, weight := range weights {
		share := float64(weight) / float64(sum)
		expected := share * float64(n)
		sigma := math.Sqrt(expected * (1 - share))
		off := 0.0
		if sigma > 0 {
			off = (float64(counts[name]) - expected) / sigma
		} else if float64(counts[name]) != expected {
			off = math.Inf(1)
		}
		text += fmt.Sprintf(", %s %d of %.0f (%+.1fσ)", name, counts[name], expected, off)
		if math.Abs(off) > 5 {
			t.Errorf("%s: %s has %d of %d, expected %.0f±%.0f", what, name, counts[name], n, expected, sigma)
		}
	}
	t.Logf("%s: %d new clients%s", what, n, text)
}

// weigh changes the weights of a VirtualService's only route, whose destinations are subsets of one host, and waits until they apply.
func weigh(t *testing.T, s *scenario.Scenario, virtualService, route, host string, subsets []string, weights ...int) {
	t.Helper()
	text := ""
	for i, subset := range subsets {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(`{"destination":{"host":%q,"subset":%q},"weight":%d}`, host, subset, weights[i])
	}
	s.Patch(t, "networking.istio.io/v1", "VirtualService", virtualService,
		fmt.Sprintf(`{"spec":{"http":[{"name":%q,"route":[%s]}]}}`, route, text))
	want := map[string]int{}
	for i, subset := range subsets {
		want["|"+subset+"|"] = weights[i]
	}
	awaitWeights(t, s.Gateway(t, "ingressgateway"), route, want)
}
