//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// bookinfo by VirtualService and DestinationRule, behind an Istio Gateway.

var reviews = []string{"v1", "v2", "v3"}

const bookinfoHost = "bookinfo.example"

// startBookinfo applies the example.
func startBookinfo(t *testing.T, opts ...rig.Option) *rig.Scenario {
	t.Helper()
	opts = append(opts, rig.Example("bookinfo-virtualservice"), rig.More("ingressgateway"), rig.GatewayEnv(keys))
	return rig.Start(t, "bookinfo", opts...)
}

func TestBookinfoWithIstioAlone(t *testing.T) {
	t.Parallel()
	s := startBookinfo(t)
	gateway := s.Gateway("ingressgateway")
	// Not just a route of that name: for a moment, istiod may still have the weights of the scenario before.
	gateway.AwaitRoute("reviews", rig.Contains(`"weight": 60`))
	visitor := visitorAt(gateway, bookinfoHost)
	versions := versionsOf(visitor, newcomers, "/reviews/1")
	expectShares(t, "Istio alone, 60/30/10", versions, map[string]int{"v1": 60, "v2": 30, "v3": 10})
}

// A visitor stays with the version that she came to, on any of its pods, whatever becomes of the weights.
func TestBookinfoStaysWithTheVersion(t *testing.T) {
	t.Parallel()
	s := startBookinfo(t)
	gateway := s.Gateway("ingressgateway")
	s.Deploy()
	visitor := visitorAt(gateway, bookinfoHost)
	testers := versionsOf(visitor, 100, "/reviews/1", rig.Header("Cookie", "usertype=tester"))
	expectShares(t, "testers", testers, map[string]int{"v3": 1})
	versions := versionsOf(visitor, newcomers, "/reviews/1")
	expectShares(t, "sticky, 60/30/10", versions, map[string]int{"v1": 60, "v2": 30, "v3": 10})

	readers := readersOf(t, gateway)
	for _, weights := range [][]int{{90, 10, 0}, {0, 0, 100}} {
		weigh(s, "reviews", "reviews", "reviews", reviews, weights...)
		s.Deploy()
		pods := map[string]map[string]int{}
		for reader, first := range readers {
			for range 6 {
				reply := reader.Get("/reviews/1")
				if reply.Version != first.Version {
					t.Fatalf("weights %v: a reader of %s reached %q", weights, first.Version, reply.Version)
				}
				if pods[first.Version] == nil {
					pods[first.Version] = map[string]int{}
				}
				pods[first.Version][reply.Pod]++
			}
		}
		t.Logf("weights %v: all of %d readers stayed with their version, on the pods %v", weights, len(readers), pods)
		if reached := pods["v1"]; len(reached) != 2 { // with about 24 readers of v1; v3 may have a single one
			t.Errorf("weights %v: of the two pods of v1, %v were reached", weights, reached)
		}
		versions := versionsOf(visitor, newcomers, "/reviews/1")
		expectShares(t, "after the change", versions, map[string]int{"v1": weights[0], "v2": weights[1], "v3": weights[2]})
	}
	expectHarmless(t, s)
}

// The same with a session on the pod.
func TestBookinfoStaysWithThePod(t *testing.T) {
	t.Parallel()
	s := startBookinfo(t, rig.GatewayAPI(rig.GatewayAPI12))
	gateway := s.Gateway("ingressgateway")
	s.Delete("mooring.dev/v1alpha1", "CanaryPolicy", "reviews")
	s.ApplyFile("policies/session.yaml")
	s.Deploy()
	readers := readersOf(t, gateway)
	weigh(s, "reviews", "reviews", "reviews", reviews, 90, 10, 0)
	s.Deploy()
	for reader, first := range readers {
		expectPinned(t, reader, "/reviews/1", first.Pod, 5)
	}
	t.Logf("90/10/0: all of %d sessions are on their pods", len(readers))
	versions := versionsOf(visitorAt(gateway, bookinfoHost), newcomers, "/reviews/1")
	expectShares(t, "after the change", versions, map[string]int{"v1": 90, "v2": 10, "v3": 0})
	expectHarmless(t, s)
}

// readersOf are visitors with a session, and where they came to first; some of them on each version.
func readersOf(t *testing.T, gateway *rig.Gateway) map[*rig.Client]rig.Reply {
	t.Helper()
	readers, versions := map[*rig.Client]rig.Reply{}, map[string]int{}
	for len(versions) < 3 || len(readers) < 40 {
		reader := visitorAt(gateway, bookinfoHost)
		first := reader.Get("/reviews/1")
		sessionOf(t, first)
		readers[reader] = first
		versions[first.Version]++
		if len(readers) > 400 {
			t.Fatalf("no reader of some version: %v", versions)
		}
	}
	t.Logf("%d readers: %v", len(readers), versions)
	return readers
}
