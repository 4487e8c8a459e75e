//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
)

// Without Mooring, requests from the ambient mesh go through the waypoint of the Service, and follow the weights.
func TestWaypointWithoutMooring(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "waypoints", scenario.WithAmbientMesh())
	client := s.From(t, scenario.FromWaypoint("productpage")).ClientForHost(t, "reviews:9080")
	expectShares(t, "the weights", versionsOf(t, client, sampleSize, "/"), map[string]int{"v1": 50, "v2": 50})
}
