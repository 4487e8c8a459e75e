//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// What happens around a session: hosts and gateways come and go.

func TestAPinnedHostThatLeavesIsReplacedWithinItsBackend(t *testing.T) {
	t.Parallel()
	s, gateway := startHandmade(t)
	addStandIn(s, gateway)
	visitor := gateway.Client()
	pin := rig.Header("decide-host", encode(s.Pod("shop-v1-1")))
	if pod := visitor.Get("/single", pin).Pod; pod != "shop-v1-1" {
		t.Fatalf("pod %q answered", pod)
	}
	s.Remove("shop-v1-1")
	reply := visitor.Get("/single", pin)
	if reply.Version != "v1" || reply.Header.Get("chosen-host") == "" {
		t.Errorf("pod %q answered, chosen host %q", reply.Pod, reply.Header.Get("chosen-host"))
	}
}

func TestADrainingHostKeepsItsSessionsIfItsServiceIsLabelled(t *testing.T) {
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
			addStandIn(s, gateway)
			s.Patch("v1", "Service", "shop-v1", `{"metadata":{"labels":`+c.labels+`}}`)
			if c.kept {
				gateway.AwaitCluster("outbound|80||shop-v1.handmade.svc.cluster.local", "override_host_status")
			}
			s.Drain("shop-v1-1")
			visitor := gateway.Client()
			pin := rig.Header("decide-host", encode(s.Pod("shop-v1-1")))
			if kept := visitor.Get("/single", pin).Pod == "shop-v1-1"; kept != c.kept {
				t.Errorf("the session is kept: %t", kept)
			}
			newcomers := rig.Tally(30, func() string { return gateway.Client().Get("/single").Pod })
			if newcomers["shop-v1-1"] > 0 || newcomers[""] > 0 {
				t.Errorf("newcomers reached %v", newcomers)
			}
		})
	}
}

func TestASecondGatewayGetsTheSameConfiguration(t *testing.T) {
	t.Parallel()
	s, gateway := startHandmade(t)
	addStandIn(s, gateway)
	second := s.AddGateway("front")
	second.AwaitListener("stand-in")
	second.AwaitRoute("handmade.shop.0", rig.Contains("mooring.pin"))
	pin := rig.Header("decide-host", encode(s.Pod("shop-v1-2")))
	for _, g := range s.Gateways("front") {
		if pod := g.Client().Get("/split", pin).Pod; pod != "shop-v1-2" {
			t.Errorf("gateway %s: pod %q answered", g.Name, pod)
		}
	}
	s.Scale("front-istio", 1)
	if _, err := second.Client().Try("/split"); err == nil {
		t.Error("the second gateway is still there")
	}
}
