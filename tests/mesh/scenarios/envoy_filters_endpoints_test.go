//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/traffic"
)

// What happens around a session: hosts and gateways come and go.

func TestStatefulSessionFallsBackWithinTheBackend(t *testing.T) {
	t.Parallel()
	s, gateway := startHandmade(t)
	addStandIn(t, s, gateway)
	visitor := gateway.Client(t)
	pin := traffic.WithHeader("decide-host", encode(s.Pod(t, "shop-v1-1")))
	if pod := visitor.Get(t, "/single", pin).Pod; pod != "shop-v1-1" {
		t.Fatalf("pod %q answered", pod)
	}
	s.Pods.Remove(t, "shop-v1-1")
	reply := visitor.Get(t, "/single", pin)
	if reply.Version != "v1" || reply.Header.Get("chosen-host") == "" {
		t.Errorf("pod %q answered, chosen host %q", reply.Pod, reply.Header.Get("chosen-host"))
	}
}

func TestStatefulSessionReachesADrainingPodOfALabelledService(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, labels string
		kept         bool
	}{
		{"with the label", `{"istio.io/persistent-session": "any"}`, true},
		{"without it", `{}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, gateway := startHandmade(t)
			addStandIn(t, s, gateway)
			s.Patch(t, "v1", "Service", "shop-v1", `{"metadata":{"labels":`+c.labels+`}}`)
			if c.kept {
				gateway.Envoy.AwaitCluster(t, "outbound|80||shop-v1.handmade.svc.cluster.local", "override_host_status")
			}
			s.Pods.Drain(t, "shop-v1-1")
			visitor := gateway.Client(t)
			pin := traffic.WithHeader("decide-host", encode(s.Pod(t, "shop-v1-1")))
			if kept := visitor.Get(t, "/single", pin).Pod == "shop-v1-1"; kept != c.kept {
				t.Errorf("the session is kept: %t", kept)
			}
			newcomers := traffic.Tally(30, func() string { return gateway.Client(t).Get(t, "/single").Pod })
			if newcomers["shop-v1-1"] > 0 || newcomers[""] > 0 {
				t.Errorf("newcomers reached %v", newcomers)
			}
		})
	}
}

func TestASecondGatewayGetsTheSameConfiguration(t *testing.T) {
	t.Parallel()
	s, gateway := startHandmade(t)
	addStandIn(t, s, gateway)
	second := s.AddGateway(t, "front")
	second.Envoy.AwaitListener(t, "stand-in")
	second.Envoy.AwaitRoute(t, "handmade.shop.0", envoy.Containing("mooring.pin"))
	pin := traffic.WithHeader("decide-host", encode(s.Pod(t, "shop-v1-2")))
	for _, g := range s.Gateways(t, "front") {
		if pod := g.Client(t).Get(t, "/split", pin).Pod; pod != "shop-v1-2" {
			t.Errorf("gateway %s: pod %q answered", g.Name, pod)
		}
	}
	s.Pods.Scale(t, "front-istio", 1)
	if _, err := second.Client(t).Try("/split"); err == nil {
		t.Error("the second gateway is still there")
	}
}
