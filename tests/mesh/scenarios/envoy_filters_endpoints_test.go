//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Envoy's own filters, configured by hand, while pods and gateways are added and removed.

func TestStatefulSessionFallsBackWithinTheBackend(t *testing.T) {
	t.Parallel()
	s, gateway := startEnvoyFilters(t)
	addStandIn(t, s, gateway)
	client := gateway.Client(t)
	session := traffic.WithHeader("decide-host", encode(s.Pod(t, "shop-v1-1")))
	if pod := client.Get(t, "/single", session).Pod; pod != "shop-v1-1" {
		t.Fatalf("pod %q answered", pod)
	}
	s.Pods.Remove(t, "shop-v1-1")
	reply := client.Get(t, "/single", session)
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
			s, gateway := startEnvoyFilters(t)
			addStandIn(t, s, gateway)
			s.Patch(t, "v1", "Service", "shop-v1", `{"metadata":{"labels":`+c.labels+`}}`)
			if c.kept {
				gateway.Envoy.AwaitCluster(t, "outbound|80||shop-v1.envoy-filters.svc.cluster.local", "override_host_status")
			}
			s.Pods.Drain(t, "shop-v1-1")
			client := gateway.Client(t)
			session := traffic.WithHeader("decide-host", encode(s.Pod(t, "shop-v1-1")))
			if kept := client.Get(t, "/single", session).Pod == "shop-v1-1"; kept != c.kept {
				t.Errorf("the session is kept: %t", kept)
			}
			pods := traffic.Tally(30, func() string { return gateway.Client(t).Get(t, "/single").Pod })
			if pods["shop-v1-1"] > 0 || pods[""] > 0 {
				t.Errorf("new clients reached %v", pods)
			}
		})
	}
}

func TestASecondGatewayGetsTheSameConfiguration(t *testing.T) {
	t.Parallel()
	s, gateway := startEnvoyFilters(t)
	addStandIn(t, s, gateway)
	second := s.AddGateway(t, "front")
	second.Envoy.AwaitListener(t, "stand-in")
	second.Envoy.AwaitRoute(t, "envoy-filters.shop.0", envoy.Containing("mooring.stateful_session"))
	session := traffic.WithHeader("decide-host", encode(s.Pod(t, "shop-v1-2")))
	for _, g := range s.Gateways(t, "front") {
		if pod := g.Client(t).Get(t, "/split", session).Pod; pod != "shop-v1-2" {
			t.Errorf("gateway %s: pod %q answered", g.Name, pod)
		}
	}
	s.Pods.Scale(t, "front-istio", 1)
	if _, err := second.Client(t).Try("/split"); err == nil {
		t.Error("the second gateway is still there")
	}
}
