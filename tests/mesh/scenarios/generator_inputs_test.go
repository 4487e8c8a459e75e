//go:build mesh

package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
)

// `mooring generate` prints the same for the objects of a cluster and for files of the same objects.
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
			// Generated objects are not input of the next run.
			s.Mooring.Deploy(t)
			if again := s.Mooring.Run(t, args...); again != cluster {
				t.Errorf("after it was applied:\n%s", again)
			}
			t.Logf("%d lines from either", strings.Count(files, "\n"))
		})
	}
}

// The API server accepts the output for each release of Istio, and it keeps sessions on the newest one.
func TestOutputForEachIstioIsAccepted(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	for minor := 28; minor <= 31; minor++ {
		version := fmt.Sprintf("1.%d", minor)
		s.Mooring.Deploy(t, "--istio-version", version)
		client := gateway.Client(t)
		first := client.Get(t, "/")
		cookieOf(t, first, "foo-session")
		expectOnPod(t, client, "/", first.Pod, 10)
		t.Logf("%s: applied, 10 of 10 requests reached %s", version, first.Pod)
	}
	expectNoFindings(t, s)
}
