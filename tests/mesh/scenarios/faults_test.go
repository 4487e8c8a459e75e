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

// Crashes under fifty clients, each with a session and an open connection. docs/failure-modes.md describes the results.

const loadSize = 50

func startLoad(t *testing.T, newClient func(testing.TB) *traffic.Client, path string) *traffic.Load {
	t.Helper()
	load := traffic.StartLoad(t, loadSize, path, newClient)
	wait.Eventually(t, "each client has a session", func() error { return atLeast(loadSize, load.Totals().Cookies) })
	load.AwaitAllClients(t)
	return load
}

// expectNothingLost fails if a request has failed or a session has moved. Cookies are allowed: they refresh sessions with an idle
// timeout.
func expectNothingLost(t *testing.T, what string, seen traffic.Totals) {
	t.Helper()
	if seen.Failed > 0 || seen.Moves > 0 {
		t.Errorf("%s: %d failed %v, %d sessions moved", what, seen.Failed, seen.Failures, seen.Moves)
	}
}

// Gateways keep their configuration while a part of the control plane is down, and get updates when it is back.
func TestSessionsStayWhileTheControlPlaneCrashes(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t, scenario.WithGatewayAPI(cluster.GatewayAPI16), scenario.WithExclusiveControlPlane())
	load := startLoad(t, gateway.Client, "/")
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

// With a second gateway, the crash of one fails only the requests in flight, and ends no session.
func TestSessionsStayWhileAGatewayCrashes(t *testing.T) {
	t.Parallel()
	s, _ := startDemo(t)
	s.AddGateway(t, "gateway-sp-demo")
	s.Mooring.AwaitDeployed(t)
	gateways := s.Gateways(t, "gateway-sp-demo")
	load := startLoad(t, gateway.NewBalancer(gateways).Client, "/")
	for _, gateway := range gateways {
		gateway.Crash(t, func() {
			seen := load.During(t, gateway.Name+" is killed", loadSize, func() {})
			if seen.Failed > loadSize || seen.Moves > 0 {
				t.Errorf("%s: %d failed %v, %d sessions moved", gateway.Name, seen.Failed, seen.Failures, seen.Moves)
			}
			seen = load.During(t, "while it is down", 500, func() {})
			expectNothingLost(t, "while "+gateway.Name+" is down", seen)
		})
		// It listens only after it has the routes, and the module is part of the listener.
		seen := load.During(t, "it is back", 500, func() {})
		expectNothingLost(t, gateway.Name+" is back", seen)
	}
	t.Log(load.Stop())
}

// The sessions of a backend that is removed from the rule move to the other backend. Routes and module are separate updates, so a client
// that sends a request between them may move once more. No request fails.
func TestSessionsMoveWhenTheirBackendLeavesTheRule(t *testing.T) {
	t.Parallel()
	s, load := startEvenSplit(t)
	leaving := onVersion(load, "v1")
	seen := load.During(t, "v1 leaves the rule", 500, func() {
		s.Patch(t, gatewayGroup, "HTTPRoute", "checkout", `{"spec":{"rules":[{"name":"checkout",
			"backendRefs":[{"name":"checkout-v2","port":80}],"sessionPersistence":{"sessionName":"checkout-session"}}]}}`)
		s.Mooring.Deploy(t)
		load.AwaitAllClients(t)
	})
	t.Logf("%d of %d sessions were on v1; %d clients moved, %d times", leaving, loadSize, seen.MovedClients, seen.Moves)
	expectNothingLost(t, "after that", load.During(t, "after that", 500, func() {}))
	if seen.Failed > 0 || seen.MovedClients < leaving || onVersion(load, "v2") != loadSize {
		t.Errorf("%d failed %v, %d moves of %d clients, %d cookies, %d on v2",
			seen.Failed, seen.Failures, seen.Moves, seen.MovedClients, seen.Cookies, onVersion(load, "v2"))
	}
	t.Log(load.Stop())
}

// startEvenSplit starts a load on a rule with two backends of the same weight.
func startEvenSplit(t *testing.T) (*scenario.Scenario, *traffic.Load) {
	t.Helper()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Patch(t, gatewayGroup, "HTTPRoute", "checkout", `{"spec":{"rules":[{"name":"checkout","backendRefs":[
		{"name":"checkout-v1","port":80,"weight":1},{"name":"checkout-v2","port":80,"weight":1}],
		"sessionPersistence":{"sessionName":"checkout-session"}}]}}`)
	s.Mooring.Deploy(t)
	awaitWeights(t, s.Gateway(t, "shop"), "checkout", map[string]int{"checkout-v1": 1, "checkout-v2": 1})
	return s, startLoad(t, s.Gateway(t, "shop").Client, "/checkout/")
}

func onVersion(load *traffic.Load, version string) int {
	n := 0
	for pod, clients := range load.ClientsByPod() {
		if strings.Contains(pod, "-"+version+"-") {
			n += clients
		}
	}
	return n
}
