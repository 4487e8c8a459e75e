//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// bookinfo with VirtualService and DestinationRule, behind an Istio Gateway.

var reviews = []string{"v1", "v2", "v3"}

const bookinfoHost = "bookinfo.example"

// startBookinfo applies the example.
func startBookinfo(t *testing.T, opts ...scenario.Option) *scenario.Scenario {
	t.Helper()
	opts = append(opts, scenario.WithExample("bookinfo-virtualservice"), scenario.WithManifests("ingressgateway"), scenario.WithGatewayEnv(keys))
	return rig.Start(t, "bookinfo", opts...)
}

func TestBookinfoWithIstioAlone(t *testing.T) {
	t.Parallel()
	s := startBookinfo(t)
	gateway := s.Gateway(t, "ingressgateway")
	// Not only a route of that name: istiod may still have the weights of the previous scenario for a moment.
	gateway.Envoy.AwaitRoute(t, "reviews", envoy.Containing(`"weight": 60`))
	client := gateway.ClientForHost(t, bookinfoHost)
	versions := versionsOf(t, client, sampleSize, "/reviews/1")
	expectShares(t, "Istio alone, 60/30/10", versions, map[string]int{"v1": 60, "v2": 30, "v3": 10})
}

// A client stays on its version, on any pod of it, while the weights change.
func TestBookinfoStaysWithTheVersion(t *testing.T) {
	t.Parallel()
	s := startBookinfo(t)
	gateway := s.Gateway(t, "ingressgateway")
	s.Mooring.Deploy(t)
	client := gateway.ClientForHost(t, bookinfoHost)
	testers := versionsOf(t, client, 100, "/reviews/1", traffic.WithHeader("Cookie", "usertype=tester"))
	expectShares(t, "testers", testers, map[string]int{"v3": 1})
	versions := versionsOf(t, client, sampleSize, "/reviews/1")
	expectShares(t, "sticky, 60/30/10", versions, map[string]int{"v1": 60, "v2": 30, "v3": 10})

	readers := readersOf(t, gateway)
	for _, weights := range [][]int{{90, 10, 0}, {0, 0, 100}} {
		weigh(t, s, "reviews", "reviews", "reviews", reviews, weights...)
		s.Mooring.Deploy(t)
		pods := map[string]map[string]int{}
		for reader, first := range readers {
			for range 6 {
				reply := reader.Get(t, "/reviews/1")
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
		versions := versionsOf(t, client, sampleSize, "/reviews/1")
		expectShares(t, "after the change", versions, map[string]int{"v1": weights[0], "v2": weights[1], "v3": weights[2]})
	}
	expectNoFindings(t, s)
}

// A session policy keeps the client on its pod.
func TestBookinfoStaysWithThePod(t *testing.T) {
	t.Parallel()
	s := startBookinfo(t, scenario.WithGatewayAPI(cluster.GatewayAPI12))
	gateway := s.Gateway(t, "ingressgateway")
	s.Delete(t, "mooring.dev/v1alpha1", "CanaryPolicy", "reviews")
	s.ApplyFile(t, "policies/session.yaml")
	s.Mooring.Deploy(t)
	readers := readersOf(t, gateway)
	weigh(t, s, "reviews", "reviews", "reviews", reviews, 90, 10, 0)
	s.Mooring.Deploy(t)
	for reader, first := range readers {
		expectOnPod(t, reader, "/reviews/1", first.Pod, 5)
	}
	t.Logf("90/10/0: all of %d sessions are on their pods", len(readers))
	versions := versionsOf(t, gateway.ClientForHost(t, bookinfoHost), sampleSize, "/reviews/1")
	expectShares(t, "after the change", versions, map[string]int{"v1": 90, "v2": 10, "v3": 0})
	expectNoFindings(t, s)
}

// readersOf returns clients with a session and their first replies. Each version has some of them.
func readersOf(t *testing.T, gateway *gateway.Gateway) map[*traffic.Client]traffic.Reply {
	t.Helper()
	readers, versions := map[*traffic.Client]traffic.Reply{}, map[string]int{}
	for len(versions) < 3 || len(readers) < 40 {
		reader := gateway.ClientForHost(t, bookinfoHost)
		first := reader.Get(t, "/reviews/1")
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
