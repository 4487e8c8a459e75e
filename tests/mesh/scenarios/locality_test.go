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

// Two regions and three zones with two pods each; the gateway is in east/zone1. A pod's version is its zone.

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

func helloClient(t *testing.T, gateway *gateway.Gateway) *traffic.Client {
	t.Helper()
	return gateway.ClientForHost(t, "helloworld.example")
}

// helloSessions returns n clients with a session, and their pods.
func helloSessions(t *testing.T, gateway *gateway.Gateway, n int) map[*traffic.Client]string {
	t.Helper()
	sessions := map[*traffic.Client]string{}
	for range n {
		client := helloClient(t, gateway)
		first := client.Get(t, "/hello")
		cookieOf(t, first, "hello-session")
		sessions[client] = first.Pod
	}
	return sessions
}

// expectMoved fails unless each session stays on a pod that still serves, and each session of a pod that is gone moves once, to the zone
// if that is not empty. No request may fail.
func expectMoved(t *testing.T, what string, sessions map[*traffic.Client]string, gone map[string]bool, zone string) {
	t.Helper()
	stayed, moved := 0, map[string]int{}
	for client, pod := range maps.Clone(sessions) {
		if !gone[pod] {
			expectOnPod(t, client, "/hello", pod, 3)
			stayed++
			continue
		}
		reply := client.Get(t, "/hello")
		cookieOf(t, reply, "hello-session")
		if reply.Status != 200 || gone[reply.Pod] || zone != "" && reply.Version != zone {
			t.Errorf("%s: from %s to %q of %q, status %d", what, pod, reply.Pod, reply.Version, reply.Status)
		}
		moved[reply.Version]++
		sessions[client] = reply.Pod
		expectOnPod(t, client, "/hello", reply.Pod, 3)
	}
	t.Logf("%s: %d sessions stayed, moved once: %v", what, stayed, moved)
}

func zonesOf(t *testing.T, gateway *gateway.Gateway, n int) map[string]int {
	t.Helper()
	return versionsOf(t, helloClient(t, gateway), n, "/hello")
}

func TestSessionsDuringALocalityFailover(t *testing.T) {
	t.Parallel()
	s, gateway := startLocality(t, "")
	s.Mooring.Deploy(t)
	expectShares(t, "all pods are ready", zonesOf(t, gateway, 200), map[string]int{"zone1": 1})
	sessions := helloSessions(t, gateway, 20)
	gone := map[string]bool{}
	expectMoved(t, "all pods are ready", sessions, gone, "")

	// A draining pod keeps its sessions. For new clients, its zone has half of its capacity.
	s.Pods.Drain(t, "helloworld-zone1-1")
	expectMoved(t, "zone1-1 drains", sessions, gone, "")
	fresh := helloClient(t, gateway)
	pods := traffic.Tally(500, func() string {
		fresh.ForgetCookies()
		return fresh.Get(t, "/hello").Pod
	})
	t.Logf("500 new clients while zone1-1 drains: %v", pods)
	if pods["helloworld-zone1-1"] > 0 || pods[""] > 0 {
		t.Errorf("new clients while zone1-1 drains: %v", pods)
	}

	s.Pods.Remove(t, "helloworld-zone1-1")
	gone["helloworld-zone1-1"] = true
	expectMoved(t, "zone1-1 is gone", sessions, gone, "")
	s.Pods.Remove(t, "helloworld-zone1-0")
	gone["helloworld-zone1-0"] = true
	expectMoved(t, "zone1 is gone", sessions, gone, "zone2")
	expectShares(t, "zone1 is gone", zonesOf(t, gateway, 200), map[string]int{"zone2": 1})

	// zone2 crashes, and only outlier detection notices.
	var crashed []string
	for i := range 2 {
		pod := s.Pod(t, fmt.Sprintf("helloworld-zone2-%d", i))
		pod.Crash()
		gone[pod.Name] = true
		crashed = append(crashed, pod.IP)
	}
	gateway.Envoy.AwaitEjected(t, helloCluster, func() {
		fresh.ForgetCookies()
		fresh.Get(t, "/hello")
	}, crashed...)
	expectMoved(t, "zone2 has crashed", sessions, gone, "zone3")
	expectShares(t, "zone2 has crashed", zonesOf(t, gateway, 200), map[string]int{"zone3": 1})

	// zone1 is back: new clients go there, sessions stay where they are.
	s.Pods.Scale(t, "helloworld-zone1", 2)
	clear(gone)
	expectMoved(t, "zone1 is back", sessions, gone, "")
	expectShares(t, "zone1 is back", zonesOf(t, gateway, 200), map[string]int{"zone1": 1})
	expectNoFindings(t, s)
}

// The shares of localities are as configured, with and without sessions.
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
			// The gateway may know the endpoints before the weights of their localities.
			wait.Eventually(t, "the weights of the localities are in force", func() error {
				zones := zonesOf(t, gateway, 100)
				for zone, weight := range weights {
					if off := zones[zone] - weight; off < -5 || off > 5 {
						return fmt.Errorf("100 new clients: %v", zones)
					}
				}
				return nil
			})
			expectShares(t, "Istio alone", zonesOf(t, gateway, sampleSize), weights)
			s.Mooring.Deploy(t)
			expectShares(t, "with sessions", zonesOf(t, gateway, sampleSize), weights)
			expectMoved(t, "all pods are ready", helloSessions(t, gateway, 20), nil, "")
			expectNoFindings(t, s)
		})
	}
}

// A locality in a rule consists of region, zone and subzone. The other destinations share the weight of a destination that matches no
// endpoint, and istiod does not send endpoints that no destination matches.
func TestLocalityDistributionWithoutAMatchingEndpoint(t *testing.T) {
	t.Parallel()
	s, gateway := startLocality(t, "distribute.patch")
	s.Mooring.Deploy(t)
	fresh := helloClient(t, gateway)
	wait.Eventually(t, "zone3 has a share", func() error {
		fresh.ForgetCookies()
		if zone := fresh.Get(t, "/hello").Version; zone != "zone3" {
			return fmt.Errorf("zone %q", zone)
		}
		return nil
	})
	sessions := helloSessions(t, gateway, 30)
	s.PatchFile(t, istioGroup, "DestinationRule", "helloworld", distributeElsewhere)
	gone := map[string]bool{"helloworld-zone3-0": true, "helloworld-zone3-1": true}
	wait.Eventually(t, "zone3 gets nothing", func() error {
		if zones := zonesOf(t, gateway, 50); zones["zone3"] > 0 {
			return fmt.Errorf("it gets %d of 50", zones["zone3"])
		}
		return nil
	})
	expectShares(t, "us/west/zone3 is not west/zone3", zonesOf(t, gateway, sampleSize), map[string]int{"zone1": 10, "zone2": 10})
	expectMoved(t, "zone3 is not a destination", sessions, gone, "")
}
