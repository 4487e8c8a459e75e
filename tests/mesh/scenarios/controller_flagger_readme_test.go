//go:build mesh

package scenarios

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// The commands of examples/flagger/README.md, with the real kubectl, Flagger, and a Prometheus from which it reads metrics of Mooring.
func TestControllerReadmeFlagger(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "flagger", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys, annotations), scenario.WithIstioAgent())
	gateway := s.Gateway(t, "web")
	prom := startPrometheus(t, gateway.Envoy)
	s.InstallFlagger(t)
	s.RunWorkloads(t)
	s.StartController(t)
	flagger := s.StartFlagger(t)

	commands, err := readme.Commands(rig.Env.RepositoryFile("examples/flagger/README.md"), "On this machine")
	if err != nil {
		t.Fatal(err)
	}
	shell := readme.NewShell(t, rig.Env, kubeconfigIn(t, s), "GATEWAY="+gateway.AddressFor("shop.example.com"))
	apply, rest, err := readme.Until(commands, "kubectl wait")
	if err != nil {
		t.Fatal(err)
	}
	shell.Run(apply)
	for _, template := range []string{"canary-users", "unreachable"} {
		s.PatchJSON(t, "flagger.app/v1beta1", "MetricTemplate", template,
			fmt.Sprintf(`[{"op":"replace","path":"/spec/provider/address","value":"http://%s"}]`, prom.address))
	}
	shell.Meanwhile = flagger.AdvanceWhenReady(t, "web", 4*time.Second)
	initialize, rest, err := readme.Until(rest, "kubectl patch")
	if err != nil {
		t.Fatal(err)
	}
	shell.Run(initialize)
	users := traffic.StartNewUsers(t, newUsers, "/", func(t testing.TB) *traffic.Client { return gateway.ClientForHost(t, "shop.example.com") })
	shell.Run(rest)
	seen := users.Stop()
	t.Logf("new users: %d requests on %v, %d failed %v", seen.Requests, seen.Versions, seen.Failed, seen.Failures)
	if seen.Failed > 0 || seen.Versions["v1"] == 0 || seen.Versions["v2"] == 0 {
		t.Errorf("new users: %v, %d failed %v", seen.Versions, seen.Failed, seen.Failures)
	}
}

// kubeconfigIn returns a kubeconfig in which the namespace of the scenario is the current one.
func kubeconfigIn(t *testing.T, s *scenario.Scenario) string {
	t.Helper()
	text, err := os.ReadFile(s.Cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(rig.Env.Program("kubectl"), "--kubeconfig", file, "config", "set-context", "--current", "--namespace", s.Namespace)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(err, strings.TrimSpace(string(out)))
	}
	return file
}
