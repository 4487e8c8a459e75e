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
	s := rig.Start(t, "istio-routing")
	gateway := s.Gateway(t, "ingress")
	// Envoy's names of the routes have neither the namespace nor the name of the VirtualService.
	gateway.Envoy.AwaitRoute(t, "testers", envoy.Containing("outbound|9080|v2|club.istio-routing.svc.cluster.local"))
	gateway.Envoy.AwaitRoute(t, "everyone", nil)
	gateway.Envoy.AwaitRoute(t, "everyone.bee", nil)

	client := gateway.Client(t)
	client.Host = "routing.example"
	if version := client.Get(t, "/").Version; version != "v1" {
		t.Errorf("a client reached version %q", version)
	}
	if version := client.Get(t, "/", traffic.WithHeader("Cookie", "a=b; usertype=tester")).Version; version != "v2" {
		t.Errorf("a tester reached version %q", version)
	}
	client.Host = "elsewhere.example"
	if status := client.Get(t, "/").Status; status != 404 {
		t.Errorf("a host that the Gateway does not have: status %d", status)
	}
}

// Sessions must reach a backend of weight 0.
func TestWeightZeroLeavesTheRouteButNotTheClusters(t *testing.T) {
	t.Parallel()
	gateway := rig.Start(t, "istio-routing").Gateway(t, "ingress")
	const subset = "outbound|9080|v2|club.istio-routing.svc.cluster.local"
	route := gateway.Envoy.AwaitRoute(t, "everyone", nil)
	if strings.Contains(string(route.Raw), subset) {
		t.Errorf("the route has the backend of weight 0: %s", route.Raw)
	}
	if !strings.Contains(gateway.Envoy.ConfigDump(t), subset) {
		t.Errorf("cluster %s is missing", subset)
	}
}
