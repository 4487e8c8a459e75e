//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

func TestClassicGatewayAndVirtualService(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "classic")
	gateway := s.Gateway("ingress")
	// What a VirtualService's routes are called: no namespace, no name of the VirtualService.
	gateway.AwaitRoute("testers", rig.Contains("outbound|9080|v2|club.classic.svc.cluster.local"))
	gateway.AwaitRoute("everyone", nil)
	gateway.AwaitRoute("everyone.bee", nil)

	visitor := gateway.Client()
	visitor.Host = "classic.example"
	if version := visitor.Get("/").Version; version != "v1" {
		t.Errorf("a visitor reached version %q", version)
	}
	if version := visitor.Get("/", rig.Header("Cookie", "a=b; usertype=tester")).Version; version != "v2" {
		t.Errorf("a tester reached version %q", version)
	}
	visitor.Host = "elsewhere.example"
	if status := visitor.Get("/").Status; status != 404 {
		t.Errorf("a host that the Gateway has not: status %d", status)
	}
}

// Persistence has to reach a backend that the weights no longer do.
func TestWeightZeroLeavesTheRouteButNotTheClusters(t *testing.T) {
	t.Parallel()
	gateway := rig.Start(t, "classic").Gateway("ingress")
	const subset = "outbound|9080|v2|club.classic.svc.cluster.local"
	route := gateway.AwaitRoute("everyone", nil)
	if strings.Contains(string(route.Raw), subset) {
		t.Errorf("the route has the backend of weight 0: %s", route.Raw)
	}
	if !strings.Contains(gateway.ConfigDump(), subset) {
		t.Errorf("cluster %s is gone", subset)
	}
}
