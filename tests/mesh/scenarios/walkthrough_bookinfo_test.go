//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// bookinfo, whose productpage calls reviews in the mesh: the examples mesh-bookinfo and mesh-bookinfo-gateway-api.

const (
	reviewsHost   = "reviews:9080"
	reviewsHeader = "reviews-session"
)

// VirtualService and DestinationRule, 60/30/10.
func TestWalkThroughBookinfoFromProductpage(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "mesh-bookinfo", scenario.WithNamespace("bookinfo"), scenario.WithManifests("bookinfo"), scenario.WithGatewayEnv(keys),
		scenario.WithExample("bookinfo-virtualservice/app.yaml", "bookinfo-virtualservice/subsets.yaml", "mesh-bookinfo"))
	productpage := s.From(t, scenario.FromSidecar("productpage"))
	newClient := callers(t, productpage, reviewsHost, reviewsHeader)
	weights := map[string]int{"|v1|": 60, "|v2|": 30, "|v3|": 10}
	awaitWeightsIn(t, productpage.Proxy(), "reviews", weights)
	shares := func(v1, v2, v3 int) map[string]int { return map[string]int{"v1": v1, "v2": v2, "v3": v3} }
	expectShares(t, "Istio alone, 60/30/10", versionsOf(t, newClient(t), sampleSize, "/reviews/0"), shares(60, 30, 10))

	s.Mooring.Deploy(t, "--callers", "bookinfo/app=productpage")
	expectShares(t, "new callers, 60/30/10", versionsOf(t, newClient(t), sampleSize, "/reviews/0"), shares(60, 30, 10))
	settled := settle(t, newClient, "/reviews/0", reviewsHeader, 40, reviews...)
	settled.expectNoMoves(t, "60/30/10", "/reviews/0", 10, toPod)

	s.PatchJSON(t, istioGroup, "VirtualService", "reviews", `[
		{"op":"replace","path":"/spec/http/0/route/0/weight","value":0},
		{"op":"replace","path":"/spec/http/0/route/1/weight","value":0},
		{"op":"replace","path":"/spec/http/0/route/2/weight","value":100}]`)
	awaitWeightsIn(t, productpage.Proxy(), "reviews", map[string]int{"|v1|": 0, "|v2|": 0, "|v3|": 100})
	settled.expectNoMoves(t, "0/0/100, not generated again", "/reviews/0", 10, toPod)
	expectShares(t, "new callers, 0/0/100", versionsOf(t, newClient(t), 200, "/reviews/0"), shares(0, 0, 100))
	expectNoFindings(t, s)
}

// HTTPRoute with the Service as its parent.
func TestWalkThroughBookinfoGatewayAPIFromProductpage(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "mesh-bookinfo", scenario.WithNamespace("istio-demo"), scenario.WithManifests("bookinfo"), scenario.WithGatewayEnv(keys),
		scenario.WithExample("bookinfo-gateway-api/app.yaml", "mesh-bookinfo-gateway-api"))
	walkBookinfoGatewayAPI(t, s, s.From(t, scenario.FromSidecar("productpage")), "--callers", "istio-demo/app=productpage")
}

// The same through a waypoint: productpage has no sidecar.
func TestWalkThroughBookinfoGatewayAPIThroughAWaypoint(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "mesh-bookinfo-waypoint", scenario.WithAmbientMesh(), scenario.WithNamespace("istio-demo"),
		scenario.WithManifests("bookinfo"), scenario.WithGatewayEnv(keys),
		scenario.WithExample("bookinfo-gateway-api/app.yaml", "mesh-bookinfo-gateway-api"))
	walkBookinfoGatewayAPI(t, s, s.From(t, scenario.FromWaypoint("productpage")))
}

// walkBookinfoGatewayAPI follows the walk-through: vijay on v2 and all others on v1, then 50/50 over v1 and v3, then all on v3.
func walkBookinfoGatewayAPI(t *testing.T, s *scenario.Scenario, from scenario.Caller, args ...string) {
	t.Helper()
	const path = "/reviews/0"
	newClient, newVijay := callers(t, from, reviewsHost, reviewsHeader), callers(t, from, reviewsHost, "vijay-session")
	asVijay := traffic.WithHeader("end-user", "vijay")
	s.Mooring.Deploy(t, args...)
	expectShares(t, "vijay", versionsOf(t, newVijay(t), 100, path, asVijay), map[string]int{"v2": 1})
	expectShares(t, "others", versionsOf(t, newClient(t), 100, path), map[string]int{"v1": 1})
	vijays := population{}
	for range 10 {
		client := newVijay(t)
		vijays[client] = client.Get(t, path, asVijay)
	}
	others := settle(t, newClient, path, reviewsHeader, 20, "v1")
	expectKept := func(what string) {
		t.Helper()
		vijays.expectNoMoves(t, what+", vijay", path, 5, toPod, asVijay)
		others.expectNoMoves(t, what+", others", path, 10, toPod)
	}
	expectKept("all on v1")

	patch := func(file string) {
		t.Helper()
		s.PatchJSON(t, gatewayGroup, "HTTPRoute", "reviews", readJSON(t, "examples/mesh-bookinfo-gateway-api/"+file))
	}
	// A rule with a second backend needs session routes, and these a new generation.
	patch("half.patch")
	awaitWeightsIn(t, from.Proxy(), "reviews", map[string]int{"reviews-v1": 50, "reviews-v3": 50})
	s.Mooring.Deploy(t, args...)
	expectKept("50/50")
	expectShares(t, "new callers, 50/50", versionsOf(t, newClient(t), sampleSize, path), map[string]int{"v1": 50, "v3": 50})
	more := settle(t, newClient, path, reviewsHeader, 20, "v1", "v3")
	for client, first := range more {
		others[client] = first
	}

	patch("v3.patch")
	awaitWeightsIn(t, from.Proxy(), "reviews", map[string]int{"reviews-v1": 0, "reviews-v3": 100})
	expectKept("0/100, not generated again")
	expectShares(t, "new callers, 0/100", versionsOf(t, newClient(t), 100, path), map[string]int{"v3": 1})

	// Without v1 in the rule, its sessions move.
	s.PatchJSON(t, gatewayGroup, "HTTPRoute", "reviews", `[{"op":"remove","path":"/spec/rules/1/backendRefs/0"}]`)
	s.Mooring.Deploy(t, args...)
	others.expectMovedOnce(t, "v1 is removed from the rule", path, 5, toVersion, "v1")
	vijays.expectNoMoves(t, "v1 is removed from the rule, vijay", path, 5, toPod, asVijay)
	expectNoFindings(t, s)
}
