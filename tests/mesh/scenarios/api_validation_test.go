//go:build mesh

package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
)

// The generator's tests state for each row of their validation tables whether an API server accepts it, and with which error. This
// test compares that with a real API server.
func TestAPIServerValidatesAsTheGeneratorExpects(t *testing.T) {
	t.Parallel()
	releases := map[string]string{
		"1.2": cluster.GatewayAPI12, "1.5": cluster.GatewayAPI15, "1.6": cluster.GatewayAPI16, "main": cluster.GatewayAPI17,
	}
	for folder, release := range releases {
		files, err := filepath.Glob("../../../generator/tests/verdicts/*/" + folder + "/*.yaml")
		if err != nil || len(files) < 10 {
			t.Fatalf("files for %s: %v %v", folder, files, err)
		}
		wrong := 0
		for _, file := range files {
			expected := expectedResult(t, file)
			err := rig.CheckCreate(t, release, file)
			accepted := expected == "accepted"
			if accepted != (err == nil) || err != nil && !strings.Contains(err.Error(), expected) {
				wrong++
				t.Errorf("%s: expected %q, the API server answered: %v", file, expected, err)
			}
		}
		t.Logf("Gateway API %s: %d of %d results are as expected", release, len(files)-wrong, len(files))
	}
}

// expectedResult reads the first line of a file: accepted, or a part of the error.
func expectedResult(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	expected, ok := strings.CutPrefix(line, "# API server: ")
	if !ok {
		t.Fatalf("%s has no line about the API server", file)
	}
	return expected
}
