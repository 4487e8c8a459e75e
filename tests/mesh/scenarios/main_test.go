//go:build mesh

// Package scenarios tests Mooring, and what it stands on, against a real Istio. Each test starts one scenario of
// ../testdata and looks at it from outside, as a visitor or an operator would.
package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/rig"
)

func TestMain(m *testing.M) { rig.Main(m, "../testdata") }
