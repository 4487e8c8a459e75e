//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// What breaks without a word, under fifty visitors who each have a session and an open connection. docs/failure-modes.md is these
// tests in words.

const crowd = 50

func startCrowd(t *testing.T, newClient func() *rig.Client, path string) *rig.Load {
	t.Helper()
	load := rig.StartLoad(t, crowd, path, newClient)
	rig.Eventually(t, "everybody has a session", func() error { return short(crowd, load.SoFar().Cookies) })
	load.AwaitEverybody()
	return load
}

// expectNothingLost fails if a visitor has seen an error or lost a session. A cookie alone tells neither: sessions with an idle
// timeout are refreshed by the clock.
func expectNothingLost(t *testing.T, what string, seen rig.Totals) {
	t.Helper()
	if seen.Failed > 0 || seen.Moves > 0 {
		t.Errorf("%s: %d failed %v, %d sessions moved", what, seen.Failed, seen.Failures, seen.Moves)
	}
}

// Gateways serve by what they know while a part of the control plane is gone, and learn again when it is back.
func TestTheControlPlaneCrashes(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t, rig.GatewayAPI(rig.GatewayAPI16), rig.Alone())
	load := startCrowd(t, gateway.Client, "/")
	for _, part := range []*rig.Process{s.Cluster.Istiod, s.Cluster.APIServer, s.Cluster.Etcd} {
		seen := load.During(part.Name+" is killed and started again", 200, func() {
			if err := s.Cluster.Crash(part, func() { load.Await(500) }); err != nil {
				t.Fatal(err)
			}
		})
		expectNothingLost(t, part.Name, seen)
		seen = load.During("after it, a pod comes and goes", 200, func() {
			s.Scale("sp-demo", 4)
			s.Scale("sp-demo", 3)
		})
		expectNothingLost(t, "after "+part.Name, seen)
	}
	t.Log(load.Stop())
}

// With another gateway beside it, a gateway that is killed takes with it only the requests that it was answering, and no session.
func TestAGatewayCrashes(t *testing.T) {
	t.Parallel()
	s, _ := startDemo(t)
	s.AddGateway("gateway-sp-demo")
	s.AwaitDeployed()
	gateways := s.Gateways("gateway-sp-demo")
	load := startCrowd(t, s.Balance(gateways).Client, "/")
	for _, gateway := range gateways {
		gateway.Crash(func() {
			seen := load.During(gateway.Name+" is killed", crowd, func() {})
			if seen.Failed > crowd || seen.Moves > 0 {
				t.Errorf("%s: %d failed %v, %d sessions moved", gateway.Name, seen.Failed, seen.Failures, seen.Moves)
			}
			seen = load.During("while it is away", 500, func() {})
			expectNothingLost(t, "while "+gateway.Name+" is away", seen)
		})
		// It listens only when it has the routes; the module comes with the listener.
		seen := load.During("it is back", 500, func() {})
		expectNothingLost(t, gateway.Name+" is back", seen)
	}
	t.Log(load.Stop())
}

// A backend that leaves the rule gives up its sessions to the other one. The routes and the module are two updates, so who asks
// between them may move once more; nobody sees an error.
func TestABackendLeavesTheRule(t *testing.T) {
	t.Parallel()
	s, load := startHalves(t)
	leaving := onVersion(load, "v1")
	seen := load.During("v1 leaves the rule", 500, func() {
		s.Patch(gatewayGroup, "HTTPRoute", "checkout", `{"spec":{"rules":[{"name":"checkout",
			"backendRefs":[{"name":"checkout-v2","port":80}],"sessionPersistence":{"sessionName":"checkout-session"}}]}}`)
		s.Deploy()
		load.AwaitEverybody()
	})
	t.Logf("%d of %d sessions were on v1; %d visitors moved, %d times", leaving, crowd, seen.Movers, seen.Moves)
	expectNothingLost(t, "after that", load.During("after that", 500, func() {}))
	if seen.Failed > 0 || seen.Movers < leaving || onVersion(load, "v2") != crowd {
		t.Errorf("%d failed %v, %d moves of %d visitors, %d cookies, %d on v2",
			seen.Failed, seen.Failures, seen.Moves, seen.Movers, seen.Cookies, onVersion(load, "v2"))
	}
	t.Log(load.Stop())
}

// startHalves starts a crowd at a rule with two backends, to each of which goes one half.
func startHalves(t *testing.T) (*rig.Scenario, *rig.Load) {
	t.Helper()
	s := rig.Start(t, "examples", rig.Example("split"), rig.Beside(), rig.GatewayEnv(keys))
	s.Patch(gatewayGroup, "HTTPRoute", "checkout", `{"spec":{"rules":[{"name":"checkout","backendRefs":[
		{"name":"checkout-v1","port":80,"weight":1},{"name":"checkout-v2","port":80,"weight":1}],
		"sessionPersistence":{"sessionName":"checkout-session"}}]}}`)
	s.Deploy()
	awaitWeights(s.Gateway("shop"), "checkout", map[string]int{"checkout-v1": 1, "checkout-v2": 1})
	return s, startCrowd(t, s.Gateway("shop").Client, "/checkout/")
}

func onVersion(load *rig.Load, version string) int {
	n := 0
	for pod, visitors := range load.At() {
		if strings.Contains(pod, "-"+version+"-") {
			n += visitors
		}
	}
	return n
}
