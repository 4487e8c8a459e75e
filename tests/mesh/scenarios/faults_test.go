//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/process"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// What breaks without a word, under fifty visitors who each have a session and an open connection. docs/failure-modes.md is these
// tests in words.

const crowd = 50

func startCrowd(t *testing.T, newClient func(testing.TB) *traffic.Client, path string) *traffic.Load {
	t.Helper()
	load := traffic.StartLoad(t, crowd, path, newClient)
	wait.Eventually(t, "everybody has a session", func() error { return short(crowd, load.Totals().Cookies) })
	load.AwaitAllClients(t)
	return load
}

// expectNothingLost fails if a visitor has seen an error or lost a session. A cookie alone tells neither: sessions with an idle
// timeout are refreshed by the clock.
func expectNothingLost(t *testing.T, what string, seen traffic.Totals) {
	t.Helper()
	if seen.Failed > 0 || seen.Moves > 0 {
		t.Errorf("%s: %d failed %v, %d sessions moved", what, seen.Failed, seen.Failures, seen.Moves)
	}
}

// Gateways serve by what they know while a part of the control plane is gone, and learn again when it is back.
func TestSessionsStayWhileTheControlPlaneCrashes(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t, scenario.WithGatewayAPI(cluster.GatewayAPI16), scenario.WithExclusiveControlPlane())
	load := startCrowd(t, gateway.Client, "/")
	for _, part := range []*process.Process{s.Cluster.Istiod, s.Cluster.APIServer, s.Cluster.Etcd} {
		seen := load.During(t, part.Name+" is killed and started again", 200, func() {
			if err := s.Cluster.Crash(part, func() { load.Await(t, 500) }); err != nil {
				t.Fatal(err)
			}
		})
		expectNothingLost(t, part.Name, seen)
		seen = load.During(t, "after it, a pod comes and goes", 200, func() {
			s.Pods.Scale(t, "sp-demo", 4)
			s.Pods.Scale(t, "sp-demo", 3)
		})
		expectNothingLost(t, "after "+part.Name, seen)
	}
	t.Log(load.Stop())
}

// With another gateway beside it, a gateway that is killed takes with it only the requests that it was answering, and no session.
func TestSessionsStayWhileAGatewayCrashes(t *testing.T) {
	t.Parallel()
	s, _ := startDemo(t)
	s.AddGateway(t, "gateway-sp-demo")
	s.Mooring.AwaitDeployed(t)
	gateways := s.Gateways(t, "gateway-sp-demo")
	load := startCrowd(t, gateway.NewBalancer(gateways).Client, "/")
	for _, gateway := range gateways {
		gateway.Crash(t, func() {
			seen := load.During(t, gateway.Name+" is killed", crowd, func() {})
			if seen.Failed > crowd || seen.Moves > 0 {
				t.Errorf("%s: %d failed %v, %d sessions moved", gateway.Name, seen.Failed, seen.Failures, seen.Moves)
			}
			seen = load.During(t, "while it is away", 500, func() {})
			expectNothingLost(t, "while "+gateway.Name+" is away", seen)
		})
		// It listens only when it has the routes; the module comes with the listener.
		seen := load.During(t, "it is back", 500, func() {})
		expectNothingLost(t, gateway.Name+" is back", seen)
	}
	t.Log(load.Stop())
}

// A backend that leaves the rule gives up its sessions to the other one. The routes and the module are two updates, so who asks
// between them may move once more; nobody sees an error.
func TestSessionsMoveWhenTheirBackendLeavesTheRule(t *testing.T) {
	t.Parallel()
	s, load := startHalves(t)
	leaving := onVersion(load, "v1")
	seen := load.During(t, "v1 leaves the rule", 500, func() {
		s.Patch(t, gatewayGroup, "HTTPRoute", "checkout", `{"spec":{"rules":[{"name":"checkout",
			"backendRefs":[{"name":"checkout-v2","port":80}],"sessionPersistence":{"sessionName":"checkout-session"}}]}}`)
		s.Mooring.Deploy(t)
		load.AwaitAllClients(t)
	})
	t.Logf("%d of %d sessions were on v1; %d visitors moved, %d times", leaving, crowd, seen.MovedClients, seen.Moves)
	expectNothingLost(t, "after that", load.During(t, "after that", 500, func() {}))
	if seen.Failed > 0 || seen.MovedClients < leaving || onVersion(load, "v2") != crowd {
		t.Errorf("%d failed %v, %d moves of %d visitors, %d cookies, %d on v2",
			seen.Failed, seen.Failures, seen.Moves, seen.MovedClients, seen.Cookies, onVersion(load, "v2"))
	}
	t.Log(load.Stop())
}

// startHalves starts a crowd at a rule with two backends, to each of which goes one half.
func startHalves(t *testing.T) (*scenario.Scenario, *traffic.Load) {
	t.Helper()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Patch(t, gatewayGroup, "HTTPRoute", "checkout", `{"spec":{"rules":[{"name":"checkout","backendRefs":[
		{"name":"checkout-v1","port":80,"weight":1},{"name":"checkout-v2","port":80,"weight":1}],
		"sessionPersistence":{"sessionName":"checkout-session"}}]}}`)
	s.Mooring.Deploy(t)
	awaitWeights(t, s.Gateway(t, "shop"), "checkout", map[string]int{"checkout-v1": 1, "checkout-v2": 1})
	return s, startCrowd(t, s.Gateway(t, "shop").Client, "/checkout/")
}

func onVersion(load *traffic.Load, version string) int {
	n := 0
	for pod, visitors := range load.ClientsByPod() {
		if strings.Contains(pod, "-"+version+"-") {
			n += visitors
		}
	}
	return n
}
