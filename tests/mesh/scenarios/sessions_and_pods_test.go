//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// What becomes of sessions when pods, gateways and the control plane come and go.

func startDemo(t *testing.T, opts ...scenario.Option) (*scenario.Scenario, *gateway.Gateway) {
	t.Helper()
	s := rig.Start(t, "sp-demo", append(opts, scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))...)
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.Mooring.Deploy(t)
	return s, s.Gateway(t, "gateway-sp-demo")
}

// visitorOf is a visitor with a session on this pod.
func visitorOf(t *testing.T, gateway *gateway.Gateway, pod string) *traffic.Client {
	t.Helper()
	for range 100 {
		if visitor := gateway.Client(t); visitor.Get(t, "/").Pod == pod {
			return visitor
		}
	}
	t.Fatalf("none of 100 visitors reached %s", pod)
	return nil
}

func TestDrainingPodOfALabelledServiceKeepsItsSessions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, labels string
		kept         bool
	}{
		{"with the label", `{"istio.io/persistent-session": "mooring"}`, true},
		{"without it", `{}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, gateway := startDemo(t)
			s.Patch(t, "v1", "Service", "sp-demo", `{"metadata":{"labels":`+c.labels+`}}`)
			if c.kept {
				gateway.Envoy.AwaitCluster(t, "outbound|80||sp-demo."+s.Namespace+".svc.cluster.local", "override_host_status")
			}
			verdict := s.Mooring.Run(t, "validate", "--file", s.Mooring.Manifests(t))
			if told := strings.Contains(verdict, "sessions leave a pod as soon as it terminates"); told == c.kept {
				t.Errorf("mooring validate says: %s", verdict)
			}
			leaving, other := visitorOf(t, gateway, "sp-demo-1"), visitorOf(t, gateway, "sp-demo-0")
			s.Pods.Drain(t, "sp-demo-1")
			if c.kept {
				expectPinned(t, leaving, "/", "sp-demo-1", 20)
				s.Pods.Remove(t, "sp-demo-1")
			}
			moved := leaving.Get(t, "/")
			cookieOf(t, moved, "foo-session")
			if moved.Status != 200 || moved.Pod == "sp-demo-1" {
				t.Errorf("after the pod: status %d, pod %q", moved.Status, moved.Pod)
			}
			expectPinned(t, leaving, "/", moved.Pod, 20)
			expectPinned(t, other, "/", "sp-demo-0", 20)
		})
	}
}

func TestNewSessionsAvoidADrainingPod(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	s.Patch(t, "v1", "Service", "sp-demo", `{"metadata":{"labels":{"istio.io/persistent-session": "mooring"}}}`)
	gateway.Envoy.AwaitCluster(t, "outbound|80||sp-demo."+s.Namespace+".svc.cluster.local", "override_host_status")
	s.Pods.Drain(t, "sp-demo-1")
	pods := traffic.Tally(60, func() string { return gateway.Client(t).Get(t, "/").Pod })
	t.Logf("60 newcomers while sp-demo-1 drains: %v", pods)
	if len(pods) != 2 || pods["sp-demo-1"] > 0 || pods[""] > 0 {
		t.Errorf("newcomers reached %v", pods)
	}
}

// Thirty visitors, each request of whom meets the other of two gateways, while everything around them is exchanged in good order.
func TestNoRequestFailsWhilePodsAndGatewaysAreReplaced(t *testing.T) {
	t.Parallel()
	s, first := startDemo(t)
	s.AddGateway(t, "gateway-sp-demo")
	s.Mooring.AwaitDeployed(t)
	gateways := s.Gateways(t, "gateway-sp-demo")
	balancer := gateway.NewBalancer(gateways)
	load := traffic.StartLoad(t, 30, "/", balancer.Client)
	load.Await(t, 100)

	// Sessions may move once, and only if their pod is gone.
	step := func(what string, mayMove bool, change func()) {
		t.Helper()
		if seen := load.During(t, what, 150, change); seen.Moves > 0 && !mayMove {
			t.Errorf("%s: %d sessions moved", what, seen.Moves)
		}
	}
	step("nothing happens", false, func() {})
	step("a pod more", false, func() { s.Pods.Scale(t, "sp-demo", 4) })
	step("a pod is scaled away", true, func() { s.Pods.Retire(t, "sp-demo-1") })
	for _, g := range gateways {
		step("gateway "+g.Name+" restarts", false, func() {
			balancer.Remove(t, g)
			g.Restart(t)
			s.Mooring.AwaitDeployed(t)
			balancer.Add(g)
		})
	}
	step("a policy changes", false, func() {
		s.Patch(t, xGroup, "XBackendTrafficPolicy", "lb-policy", `{"spec":{"sessionPersistence":{"absoluteTimeout":"2h"}}}`)
		s.Mooring.Deploy(t)
	})
	total := load.Stop()
	t.Log(total)
	if total.Failed > 0 || total.Moves != total.MovedClients {
		t.Errorf("%d failed: %v; %d moves of %d visitors", total.Failed, total.Failures, total.Moves, total.MovedClients)
	}
	if cookies := 30 + total.MovedClients; total.Cookies != cookies {
		t.Errorf("%d cookies were set, expected %d", total.Cookies, cookies)
	}
	served := first.Envoy.Stat(t, "wasmcustom.mooring_session_resumed_total")
	if served == 0 {
		t.Error("the first gateway has resumed no session")
	}
}

// A pod that dies tells nobody; its sessions move with the request that finds out.
func TestSessionsOfACrashedPodMove(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	visitor := visitorOf(t, gateway, "sp-demo-2")
	s.Pod(t, "sp-demo-2").Crash()
	moved := visitor.Get(t, "/")
	cookieOf(t, moved, "foo-session")
	if moved.Status != 200 || moved.Pod == "sp-demo-2" {
		t.Fatalf("status %d, pod %q", moved.Status, moved.Pod)
	}
	expectPinned(t, visitor, "/", moved.Pod, 20)
}
