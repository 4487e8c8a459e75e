//go:build mesh

// Package scenarios tests Mooring, and what it relies on, against a real Istio. Each test starts one scenario of ../testdata and
// observes it from outside, as a client or an operator would.
package scenarios

import (
	"os"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/testenv"
)

// rig starts the scenarios of all tests. TestMain sets it.
var rig *scenario.Rig

func TestMain(m *testing.M) {
	os.Exit(testenv.Run("../testdata", func(env *testenv.Env) int {
		rig = scenario.NewRig(env)
		return m.Run()
	}))
}
