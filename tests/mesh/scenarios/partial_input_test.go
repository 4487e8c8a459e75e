//go:build mesh

package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/wait"
)

// Who reads some of the namespaces that have routes on a Gateway is told what would be lost: istiod counts the routes in the
// Gateway's status, session routes among them, and the WasmPlugin in the cluster names its rules.
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

	// The shop's two routes and the squatter's, with an object of session routes each.
	wait.Eventually(t, "the status counts all routes", func() error {
		said := partial("tenants", "tenants-shop")
		if !strings.Contains(said, "counts 6 routes on the listener `http`, and the input has 4 of them") {
			return fmt.Errorf("said: %s", said)
		}
		return nil
	})
	lost := "the WasmPlugin tenants/mooring-edge of an earlier run holds rules of HTTPRoute tenants-other/squatter, which is not in the input"
	if said := partial("tenants", "tenants-shop"); !strings.Contains(said, lost) {
		t.Errorf("nothing is said of the WasmPlugin:\n%s", said)
	}
	if said := partial("tenants", "tenants-shop", "tenants-other"); said != "" {
		t.Errorf("all namespaces of the Gateway's routes are read:\n%s", said)
	}
}
