//go:build mesh

package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/wait"
)

// `mooring generate` warns if it reads only some of the namespaces with routes on a Gateway. It compares its input with the number of
// routes in the Gateway's status, which includes session routes, and with the rules in the existing WasmPlugin.
func TestPartialInputIsReported(t *testing.T) {
	t.Parallel()
	s, _ := startTenants(t)
	s.ApplyFile(t, "attacks/squatter.yaml")
	s.Mooring.Deploy(t)
	partial := func(namespaces ...string) string {
		args := []string{"generate", "--from-cluster", "--wasm", s.Mooring.ModuleURL(t)}
		for _, namespace := range namespaces {
			args = append(args, "--namespace", namespace)
		}
		_, stderr, code := s.Mooring.Try(t, args...)
		if code != 0 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		var found []string
		for _, line := range strings.Split(stderr, "\n") {
			if strings.HasPrefix(line, "warning[PartialInput]") {
				found = append(found, line)
			}
		}
		return strings.Join(found, "\n")
	}

	// The two routes of the shop and the one of the squatter, each with an object of session routes.
	wait.Eventually(t, "the status counts all routes", func() error {
		printed := partial("tenants", "tenants-shop")
		if !strings.Contains(printed, "counts 6 routes on the listener `http`, and the input has 4 of them") {
			return fmt.Errorf("printed: %s", printed)
		}
		return nil
	})
	lost := "the WasmPlugin tenants/mooring-edge of an earlier run holds rules of HTTPRoute tenants-other/squatter, which is not in the input"
	if printed := partial("tenants", "tenants-shop"); !strings.Contains(printed, lost) {
		t.Errorf("no warning about the WasmPlugin:\n%s", printed)
	}
	if printed := partial("tenants", "tenants-shop", "tenants-other"); printed != "" {
		t.Errorf("all namespaces of the Gateway's routes are read:\n%s", printed)
	}
}
