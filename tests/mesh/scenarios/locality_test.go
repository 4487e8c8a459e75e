//go:build mesh

package scenarios

import (
	"fmt"
	"maps"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Two regions, three zones, two pods in each; the gateway is in east/zone1. A pod's version is its zone.

const distributeElsewhere = "rules/distribute-us-west.patch"

const helloCluster = "outbound|5000||helloworld.locality.svc.cluster.local"

func startLocality(t *testing.T, rule string) (*scenario.Scenario, *gateway.Gateway) {
	t.Helper()
	s := rig.Start(t, "locality", scenario.WithExample("locality"), scenario.WithGatewayEnv(keys))
	if rule != "" {
		s.PatchFile(t, istioGroup, "DestinationRule", "helloworld", rule)
	}
	gateway := s.Gateway(t, "ingressgateway")
	gateway.Envoy.AwaitCluster(t, helloCluster, `"outlier_detection"`)
	gateway.Envoy.AwaitCluster(t, helloCluster, `"locality_weighted_lb_config"`)
	return s, gateway
}

func helloVisitor(t *testing.T, gateway *gateway.Gateway) *traffic.Client {
	return gateway.ClientForHost(t, "helloworld.example")
}

// helloSessions are n visitors with a session, and their pods.
func helloSessions(t *testing.T, gateway *gateway.Gateway, n int) map[*traffic.Client]string {
	t.Helper()
	sessions := map[*traffic.Client]string{}
	for range n {
		visitor := helloVisitor(t, gateway)
		first := visitor.Get(t, "/hello")
		cookieOf(t, first, "hello-session")
		sessions[visitor] = first.Pod
	}
	return sessions
}

// expectMoved fails unless each session stays whose pod still serves, and each other moves once, to the given zone if
// there is one. No visitor sees an error.
func expectMoved(t *testing.T, what string, sessions map[*traffic.Client]string, gone map[string]bool, zone string) {
	t.Helper()
	stayed, moved := 0, map[string]int{}
	for visitor, pod := range maps.Clone(sessions) {
		if !gone[pod] {
			expectPinned(t, visitor, "/hello", pod, 3)
			stayed++
			continue
		}
		reply := visitor.Get(t, "/hello")
		cookieOf(t, reply, "hello-session")
		if reply.Status != 200 || gone[reply.Pod] || zone != "" && reply.Version != zone {
			t.Errorf("%s: from %s to %q of %q, status %d", what, pod, reply.Pod, reply.Version, reply.Status)
		}
		moved[reply.Version]++
		sessions[visitor] = reply.Pod
		expectPinned(t, visitor, "/hello", reply.Pod, 3)
	}
	t.Logf("%s: %d sessions stayed, moved once: %v", what, stayed, moved)
}

func zonesOf(t *testing.T, gateway *gateway.Gateway, n int) map[string]int {
	return versionsOf(t, helloVisitor(t, gateway), n, "/hello")
}

func TestSessionsDuringALocalityFailover(t *testing.T) {
	t.Parallel()
	s, gateway := startLocality(t, "")
	s.Mooring.Deploy(t)
	expectShares(t, "all is well", zonesOf(t, gateway, 200), map[string]int{"zone1": 1})
	sessions := helloSessions(t, gateway, 20)
	gone := map[string]bool{}
	expectMoved(t, "all is well", sessions, gone, "")

	// A draining pod keeps its sessions. For newcomers its zone counts as half there.
	s.Pods.Drain(t, "helloworld-zone1-1")
	expectMoved(t, "zone1-1 drains", sessions, gone, "")
	stranger := helloVisitor(t, gateway)
	pods := traffic.Tally(500, func() string {
		stranger.ForgetCookies()
		return stranger.Get(t, "/hello").Pod
	})
	t.Logf("500 newcomers while zone1-1 drains: %v", pods)
	if pods["helloworld-zone1-1"] > 0 || pods[""] > 0 {
		t.Errorf("newcomers while zone1-1 drains: %v", pods)
	}

	s.Pods.Remove(t, "helloworld-zone1-1")
	gone["helloworld-zone1-1"] = true
	expectMoved(t, "zone1-1 is gone", sessions, gone, "")
	s.Pods.Remove(t, "helloworld-zone1-0")
	gone["helloworld-zone1-0"] = true
	expectMoved(t, "zone1 is gone", sessions, gone, "zone2")
	expectShares(t, "zone1 is gone", zonesOf(t, gateway, 200), map[string]int{"zone2": 1})

	// zone2 crashes, and only outlier detection tells.
	for i := range 2 {
		pod := fmt.Sprintf("helloworld-zone2-%d", i)
		s.Pod(t, pod).Crash()
		gone[pod] = true
	}
	wait.Eventually(t, "outlier detection has seen it", func() error {
		// One answer from zone3 would not do: while one pod of zone2 is not ejected, it is sent most of the visitors. Nor
		// would one connection: it belongs to one of the gateway's workers, and the other may not have heard of it yet.
		for range 20 {
			stranger.ForgetCookies()
			stranger.Close()
			if reply := stranger.Get(t, "/hello"); reply.Version != "zone3" {
				return fmt.Errorf("status %d, zone %q", reply.Status, reply.Version)
			}
		}
		return nil
	})
	expectMoved(t, "zone2 has crashed", sessions, gone, "zone3")
	expectShares(t, "zone2 has crashed", zonesOf(t, gateway, 200), map[string]int{"zone3": 1})

	// zone1 is back: newcomers go there, sessions stay where they are.
	s.Pods.Scale(t, "helloworld-zone1", 2)
	clear(gone)
	expectMoved(t, "zone1 is back", sessions, gone, "")
	expectShares(t, "zone1 is back", zonesOf(t, gateway, 200), map[string]int{"zone1": 1})
	expectHarmless(t, s)
}

// Shares of localities come out to the visitor as they were asked for, since Envoy takes turns between localities.
func TestSessionsUnderALocalityDistribution(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, remote string }{{"distribute.patch", "zone3"}, {distributeElsewhere, "imported"}} {
		t.Run(c.rule, func(t *testing.T) {
			s, gateway := startLocality(t, c.rule)
			if c.remote == "imported" {
				s.Pods.Scale(t, "helloworld-zone3", 0)
				s.ApplyFile(t, "rules/imported.yaml")
			}
			weights := map[string]int{"zone1": 10, "zone2": 10, c.remote: 80}
			// The endpoints may be known a moment before their localities' weights.
			wait.Eventually(t, "the weights of the localities are in force", func() error {
				zones := zonesOf(t, gateway, 100)
				for zone, weight := range weights {
					if off := zones[zone] - weight; off < -5 || off > 5 {
						return fmt.Errorf("100 newcomers: %v", zones)
					}
				}
				return nil
			})
			expectShares(t, "Istio alone", zonesOf(t, gateway, newcomers), weights)
			s.Mooring.Deploy(t)
			expectShares(t, "with sessions", zonesOf(t, gateway, newcomers), weights)
			expectMoved(t, "all is well", helloSessions(t, gateway, 20), nil, "")
			expectHarmless(t, s)
		})
	}
}

// The parts of a locality in a rule are region, zone and subzone. A destination that fits no endpoint gets nothing,
// the others share what it would have got, and endpoints that no destination fits are not sent to Envoy at all.
func TestLocalityDistributionWithoutAMatchingEndpoint(t *testing.T) {
	t.Parallel()
	s, gateway := startLocality(t, "distribute.patch")
	s.Mooring.Deploy(t)
	stranger := helloVisitor(t, gateway)
	wait.Eventually(t, "zone3 has a share", func() error {
		stranger.ForgetCookies()
		if zone := stranger.Get(t, "/hello").Version; zone != "zone3" {
			return fmt.Errorf("zone %q", zone)
		}
		return nil
	})
	sessions := helloSessions(t, gateway, 30)
	s.PatchFileWithoutWaiting(t, istioGroup, "DestinationRule", "helloworld", distributeElsewhere)
	gone := map[string]bool{"helloworld-zone3-0": true, "helloworld-zone3-1": true}
	wait.Eventually(t, "zone3 gets nothing", func() error {
		if zones := zonesOf(t, gateway, 50); zones["zone3"] > 0 {
			return fmt.Errorf("it gets %d of 50", zones["zone3"])
		}
		return nil
	})
	expectShares(t, "us/west/zone3 is not west/zone3", zonesOf(t, gateway, newcomers), map[string]int{"zone1": 10, "zone2": 10})
	expectMoved(t, "zone3 is no destination", sessions, gone, "")
}
