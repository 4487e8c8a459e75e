//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Sessions while pods and gateways are added, drained, removed and restarted.

func startDemo(t *testing.T, opts ...scenario.Option) (*scenario.Scenario, *gateway.Gateway) {
	t.Helper()
	s := rig.Start(t, "sp-demo", append(opts, scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))...)
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.Mooring.Deploy(t)
	return s, s.Gateway(t, "gateway-sp-demo")
}

// clientOn returns a client with a session on this pod.
func clientOn(t *testing.T, gateway *gateway.Gateway, pod string) *traffic.Client {
	t.Helper()
	for range 100 {
		if client := gateway.Client(t); client.Get(t, "/").Pod == pod {
			return client
		}
	}
	t.Fatalf("none of 100 clients reached %s", pod)
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
			output := s.Mooring.Run(t, "validate", "--file", s.Mooring.Manifests(t))
			if warned := strings.Contains(output, "sessions leave a pod as soon as it terminates"); warned == c.kept {
				t.Errorf("mooring validate prints: %s", output)
			}
			leaving, other := clientOn(t, gateway, "sp-demo-1"), clientOn(t, gateway, "sp-demo-0")
			s.Pods.Drain(t, "sp-demo-1")
			if c.kept {
				expectOnPod(t, leaving, "/", "sp-demo-1", 20)
				s.Pods.Remove(t, "sp-demo-1")
			}
			moved := leaving.Get(t, "/")
			cookieOf(t, moved, "foo-session")
			if moved.Status != 200 || moved.Pod == "sp-demo-1" {
				t.Errorf("after the pod: status %d, pod %q", moved.Status, moved.Pod)
			}
			expectOnPod(t, leaving, "/", moved.Pod, 20)
			expectOnPod(t, other, "/", "sp-demo-0", 20)
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
	t.Logf("60 new clients while sp-demo-1 drains: %v", pods)
	if len(pods) != 2 || pods["sp-demo-1"] > 0 || pods[""] > 0 {
		t.Errorf("new clients reached %v", pods)
	}
}

// Thirty clients, whose requests alternate between two gateways, while pods, gateways and the policy are replaced gracefully.
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
	step("no change", false, func() {})
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
		t.Errorf("%d failed: %v; %d moves of %d clients", total.Failed, total.Failures, total.Moves, total.MovedClients)
	}
	if cookies := 30 + total.MovedClients; total.Cookies != cookies {
		t.Errorf("%d cookies were set, expected %d", total.Cookies, cookies)
	}
	served := first.Envoy.Stat(t, "wasmcustom.mooring_session_resumed_total")
	if served == 0 {
		t.Error("the first gateway has resumed no session")
	}
}

// A pod crashes and its endpoint stays. Its sessions move with the first request that fails to connect, without an error.
func TestSessionsOfACrashedPodMove(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	client := clientOn(t, gateway, "sp-demo-2")
	s.Pod(t, "sp-demo-2").Crash()
	moved := client.Get(t, "/")
	cookieOf(t, moved, "foo-session")
	if moved.Status != 200 || moved.Pod == "sp-demo-2" {
		t.Fatalf("status %d, pod %q", moved.Status, moved.Pod)
	}
	expectOnPod(t, client, "/", moved.Pod, 20)
}
