//go:build mesh

package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// The generator reads the same from the API server as from files of the same objects.
func TestTheClusterAndFilesSayTheSame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scenario, later string
		namespaces      []string
		opts            []rig.Option
	}{
		{"sp-demo", "policies/xbackendtrafficpolicy.yaml", nil, nil},
		{"istio-demo", "later/half.yaml", nil, []rig.Option{reviewsServices, rig.More("bookinfo")}},
		{"names", "", []string{"--namespace", "names-pods"}, nil},
		{"conformance-grpc", "", nil, nil},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			s := rig.Start(t, c.scenario, append(c.opts, rig.GatewayEnv(keys))...)
			if c.later != "" {
				s.ApplyFile(c.later)
			}
			files := s.Generate()
			args := append([]string{"generate", "--from-cluster", "--wasm", s.ModuleURL(), "--namespace", c.scenario}, c.namespaces...)
			cluster := s.Mooring(args...)
			if files != cluster || !strings.Contains(files, "kind: WasmPlugin") {
				t.Errorf("from files:\n%s\nfrom the cluster:\n%s", files, cluster)
			}
			// What Mooring has made is no input of its own.
			s.Deploy()
			if again := s.Mooring(args...); again != cluster {
				t.Errorf("after it was applied:\n%s", again)
			}
			t.Logf("%d lines from either", strings.Count(files, "\n"))
		})
	}
}

// What is generated for each release of Istio is taken by the API server, and keeps sessions on the newest one.
func TestTheOutputForEachIstio(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	for minor := 28; minor <= 31; minor++ {
		version := fmt.Sprintf("1.%d", minor)
		s.Deploy("--istio-version", version)
		visitor := gateway.Client()
		first := visitor.Get("/")
		cookieOf(t, first, "foo-session")
		expectPinned(t, visitor, "/", first.Pod, 10)
		t.Logf("%s: applied, 10 of 10 requests reached %s", version, first.Pod)
	}
	expectHarmless(t, s)
}
