//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/traffic"
)

func TestIstioRoutesAVirtualService(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "classic")
	gateway := s.Gateway(t, "ingress")
	// What a VirtualService's routes are called: no namespace, no name of the VirtualService.
	gateway.Envoy.AwaitRoute(t, "testers", envoy.Containing("outbound|9080|v2|club.classic.svc.cluster.local"))
	gateway.Envoy.AwaitRoute(t, "everyone", nil)
	gateway.Envoy.AwaitRoute(t, "everyone.bee", nil)

	visitor := gateway.Client(t)
	visitor.Host = "classic.example"
	if version := visitor.Get(t, "/").Version; version != "v1" {
		t.Errorf("a visitor reached version %q", version)
	}
	if version := visitor.Get(t, "/", traffic.WithHeader("Cookie", "a=b; usertype=tester")).Version; version != "v2" {
		t.Errorf("a tester reached version %q", version)
	}
	visitor.Host = "elsewhere.example"
	if status := visitor.Get(t, "/").Status; status != 404 {
		t.Errorf("a host that the Gateway has not: status %d", status)
	}
}

// Persistence has to reach a backend that the weights no longer do.
func TestWeightZeroLeavesTheRouteButNotTheClusters(t *testing.T) {
	t.Parallel()
	gateway := rig.Start(t, "classic").Gateway(t, "ingress")
	const subset = "outbound|9080|v2|club.classic.svc.cluster.local"
	route := gateway.Envoy.AwaitRoute(t, "everyone", nil)
	if strings.Contains(string(route.Raw), subset) {
		t.Errorf("the route has the backend of weight 0: %s", route.Raw)
	}
	if !strings.Contains(gateway.Envoy.ConfigDump(t), subset) {
		t.Errorf("cluster %s is gone", subset)
	}
}
