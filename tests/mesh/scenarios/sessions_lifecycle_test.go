//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// What becomes of sessions when pods, gateways and the control plane come and go.

func startDemo(t *testing.T, opts ...rig.Option) (*rig.Scenario, *rig.Gateway) {
	t.Helper()
	s := rig.Start(t, "sp-demo", append(opts, rig.Beside(), rig.GatewayEnv(keys))...)
	s.ApplyFile("policies/xbackendtrafficpolicy.yaml")
	s.Deploy()
	return s, s.Gateway("gateway-sp-demo")
}

// visitorOf is a visitor with a session on this pod.
func visitorOf(t *testing.T, gateway *rig.Gateway, pod string) *rig.Client {
	t.Helper()
	for range 100 {
		if visitor := gateway.Client(); visitor.Get("/").Pod == pod {
			return visitor
		}
	}
	t.Fatalf("none of 100 visitors reached %s", pod)
	return nil
}

func TestADrainingPodKeepsItsSessionsIfItsServiceIsLabelled(t *testing.T) {
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
			s.Patch("v1", "Service", "sp-demo", `{"metadata":{"labels":`+c.labels+`}}`)
			if c.kept {
				gateway.AwaitCluster("outbound|80||sp-demo."+s.Namespace+".svc.cluster.local", "override_host_status")
			}
			verdict := s.Mooring("validate", "--file", s.Manifests())
			if told := strings.Contains(verdict, "sessions leave a pod as soon as it terminates"); told == c.kept {
				t.Errorf("mooring validate says: %s", verdict)
			}
			leaving, other := visitorOf(t, gateway, "sp-demo-1"), visitorOf(t, gateway, "sp-demo-0")
			s.Drain("sp-demo-1")
			if c.kept {
				expectPinned(t, leaving, "/", "sp-demo-1", 20)
				s.Remove("sp-demo-1")
			}
			moved := leaving.Get("/")
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
	s.Patch("v1", "Service", "sp-demo", `{"metadata":{"labels":{"istio.io/persistent-session": "mooring"}}}`)
	gateway.AwaitCluster("outbound|80||sp-demo."+s.Namespace+".svc.cluster.local", "override_host_status")
	s.Drain("sp-demo-1")
	pods := rig.Tally(60, func() string { return gateway.Client().Get("/").Pod })
	t.Logf("60 newcomers while sp-demo-1 drains: %v", pods)
	if len(pods) != 2 || pods["sp-demo-1"] > 0 || pods[""] > 0 {
		t.Errorf("newcomers reached %v", pods)
	}
}

// Thirty visitors, each request of whom meets the other of two gateways, while everything around them is exchanged in good order.
func TestNoRequestFailsWhilePodsAndGatewaysComeAndGo(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	s.AddGateway("gateway-sp-demo")
	s.AwaitDeployed()
	gateways := s.Gateways("gateway-sp-demo")
	balancer := s.Balance(gateways)
	load := rig.StartLoad(t, 30, "/", balancer.Client)
	load.Await(100)

	// Sessions may move once, and only if their pod is gone.
	step := func(what string, mayMove bool, change func()) {
		t.Helper()
		if seen := load.During(what, 150, change); seen.Moves > 0 && !mayMove {
			t.Errorf("%s: %d sessions moved", what, seen.Moves)
		}
	}
	step("nothing happens", false, func() {})
	step("a pod more", false, func() { s.Scale("sp-demo", 4) })
	step("a pod is scaled away", true, func() { s.Retire("sp-demo-1") })
	for _, g := range gateways {
		step("gateway "+g.Name+" restarts", false, func() {
			balancer.TakeOut(g)
			g.Restart()
			s.AwaitDeployed()
			balancer.PutBack(g)
		})
	}
	step("a policy changes", false, func() {
		s.Patch(xGroup, "XBackendTrafficPolicy", "lb-policy", `{"spec":{"sessionPersistence":{"absoluteTimeout":"2h"}}}`)
		s.Deploy()
	})
	total := load.Stop()
	t.Log(total)
	if total.Failed > 0 || total.Moves != total.Movers {
		t.Errorf("%d failed: %v; %d moves of %d visitors", total.Failed, total.Failures, total.Moves, total.Movers)
	}
	if cookies := 30 + total.Movers; total.Cookies != cookies {
		t.Errorf("%d cookies were set, expected %d", total.Cookies, cookies)
	}
	served := gateway.Stat("wasmcustom.mooring_session_resumed_total")
	if served == 0 {
		t.Error("the first gateway has resumed no session")
	}
}

// A pod that dies tells nobody; its sessions move with the request that finds out.
func TestSessionsOfACrashedPodMoveWithoutAnError(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	visitor := visitorOf(t, gateway, "sp-demo-2")
	s.Pod("sp-demo-2").Crash()
	moved := visitor.Get("/")
	cookieOf(t, moved, "foo-session")
	if moved.Status != 200 || moved.Pod == "sp-demo-2" {
		t.Fatalf("status %d, pod %q", moved.Status, moved.Pod)
	}
	expectPinned(t, visitor, "/", moved.Pod, 20)
}
