//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/scenario"
)

// The READMEs of the examples in the mesh: their commands on Istio, and what these print.

// runReadme runs the commands of an example's README, except those for a local Envoy.
func runReadme(t *testing.T, s *scenario.Scenario, example string) {
	t.Helper()
	commands, err := readme.Commands(rig.Env.RepositoryFile("examples/"+example+"/README.md"), "On this machine")
	if err != nil {
		t.Fatal(err)
	}
	readme.NewTerminal(t, s, rig.Env.RepositoryFile("")).Run(commands)
	expectNoFindings(t, s)
}

func TestReadmeMeshMyweb(t *testing.T) {
	t.Parallel()
	s, _ := startMyweb(t)
	dropHalf(t, s, "retry-v1-0", "retry-v1-1", "retry-v1-2")
	runReadme(t, s, "mesh-myweb")
}

func TestReadmeMeshBookinfo(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "mesh-bookinfo", scenario.WithNamespace("bookinfo"), scenario.WithManifests("bookinfo"), scenario.WithGatewayEnv(keys),
		scenario.WithExample("bookinfo-virtualservice/app.yaml"))
	runReadme(t, s, "mesh-bookinfo")
}

func TestReadmeMeshBookinfoGatewayAPI(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "mesh-bookinfo", scenario.WithNamespace("istio-demo"), scenario.WithManifests("bookinfo"), scenario.WithGatewayEnv(keys),
		scenario.WithExample("bookinfo-gateway-api/app.yaml"))
	runReadme(t, s, "mesh-bookinfo-gateway-api")
}

func TestReadmeMeshLocality(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "mesh-locality", scenario.WithNamespace("sample"), scenario.WithGatewayEnv(keys))
	runReadme(t, s, "mesh-locality")
}
