//go:build mesh

package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
)

// The generator reads the same from the API server as from files of the same objects.
func TestOutputFromTheClusterAndFromFilesIsTheSame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scenario, later string
		namespaces      []string
		opts            []scenario.Option
	}{
		{"sp-demo", "policies/xbackendtrafficpolicy.yaml", nil, nil},
		{"istio-demo", "later/half.yaml", nil, []scenario.Option{reviewsServices, scenario.WithManifests("bookinfo")}},
		{"names", "", []string{"--namespace", "names-pods"}, nil},
		{"conformance-grpc", "", nil, nil},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			s := rig.Start(t, c.scenario, append(c.opts, scenario.WithGatewayEnv(keys))...)
			if c.later != "" {
				s.ApplyFile(t, c.later)
			}
			files := s.Mooring.Generate(t)
			args := append([]string{"generate", "--from-cluster", "--wasm", s.Mooring.ModuleURL(t), "--namespace", c.scenario}, c.namespaces...)
			cluster := s.Mooring.Run(t, args...)
			if files != cluster || !strings.Contains(files, "kind: WasmPlugin") {
				t.Errorf("from files:\n%s\nfrom the cluster:\n%s", files, cluster)
			}
			// What Mooring has made is no input of its own.
			s.Mooring.Deploy(t)
			if again := s.Mooring.Run(t, args...); again != cluster {
				t.Errorf("after it was applied:\n%s", again)
			}
			t.Logf("%d lines from either", strings.Count(files, "\n"))
		})
	}
}

// What is generated for each release of Istio is taken by the API server, and keeps sessions on the newest one.
func TestOutputForEachIstioIsAccepted(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	for minor := 28; minor <= 31; minor++ {
		version := fmt.Sprintf("1.%d", minor)
		s.Mooring.Deploy(t, "--istio-version", version)
		visitor := gateway.Client(t)
		first := visitor.Get(t, "/")
		cookieOf(t, first, "foo-session")
		expectPinned(t, visitor, "/", first.Pod, 10)
		t.Logf("%s: applied, 10 of 10 requests reached %s", version, first.Pod)
	}
	expectHarmless(t, s)
}
