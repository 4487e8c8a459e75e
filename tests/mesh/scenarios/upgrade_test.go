//go:build mesh

package scenarios

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Upgrades of the module, of the command and of Istio under fifty clients with a session. docs/upgrading.md describes the results.

// otherBuild writes a build of the module with other bytes and the same code: it has one more custom section.
func otherBuild(t *testing.T) string {
	t.Helper()
	module, err := os.ReadFile(rig.Env.Module)
	if err != nil {
		t.Fatal(err)
	}
	content := slices.Concat([]byte{5}, []byte("build"), []byte("another one"))
	module = append(binary.AppendUvarint(append(module, 0), uint64(len(content))), content...)
	file := filepath.Join(t.TempDir(), "other.wasm")
	if err := os.WriteFile(file, module, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// The module, what the command writes for another release of Istio, and both at once.
func TestUpgradesKeepSessions(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	other := "file://" + otherBuild(t)
	s.Mooring.Deploy(t, "--istio-version", "1.28")
	load := startLoad(t, s.Gateway(t, "shop").Client, "/checkout/")
	for _, step := range []struct {
		what string
		args []string
	}{
		{"another module", []string{"--istio-version", "1.28", "--wasm", other}},
		{"another Istio", []string{"--istio-version", "1.31", "--wasm", other}},
		{"both back", []string{"--istio-version", "1.28"}},
	} {
		seen := load.During(t, step.what, 200, func() {
			s.Mooring.Deploy(t, step.args...)
			load.AwaitAllClients(t)
		})
		expectNothingLost(t, step.what, seen)
	}
	t.Log(load.Stop())
}

// Gateways with two builds of the module, and with objects for two releases of Istio, share sessions while a rollout is half done.
func TestGatewaysOfTwoReleasesSideBySide(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.ApplyFile(t, "../upgrade/second.yaml")
	first, second := s.Gateway(t, "gateway-sp-demo"), s.Gateway(t, "second")
	deploy := func(gateway string, args ...string) string {
		return s.Mooring.Generate(t, append([]string{"--gateway", s.Namespace + "/" + gateway}, args...)...)
	}
	both := deploy("gateway-sp-demo", "--istio-version", "1.28") + "---\n" + deploy("second", "--istio-version", "1.31", "--wasm", "file://"+otherBuild(t))
	file := filepath.Join(t.TempDir(), "both.yaml")
	if err := os.WriteFile(file, []byte(both), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Mooring.DeployFile(t, file, "")
	d := newDNS(first)
	load := startLoad(t, d.client, "/")
	for range 3 {
		d.at.Store(second)
		load.AwaitAllClients(t)
		d.at.Store(first)
		load.AwaitAllClients(t)
	}
	total := load.Stop()
	t.Log(total)
	expectNothingLost(t, "both gateways", total)
	if total.Cookies != loadSize {
		t.Errorf("%d cookies for %d clients", total.Cookies, loadSize)
	}
}

// One Gateway gets the new module first, by `--gateway`, although its route is a split that is also on another Gateway. Then all do.
func TestUpgradeOfOneGatewayFirst(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Apply(t, `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: second},
		spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}}`)
	s.Patch(t, gatewayGroup, "HTTPRoute", "checkout", `{"spec":{"parentRefs":[{"name":"shop"},{"name":"second"}]}}`)
	s.Mooring.Deploy(t)
	loads := map[string]*traffic.Load{}
	for _, name := range []string{"shop", "second"} {
		loads[name] = startLoad(t, s.Gateway(t, name).Client, "/checkout/")
	}
	expectCalm := func(what string) {
		t.Helper()
		for name, load := range loads {
			load.AwaitAllClients(t)
			load.Await(t, 200)
			total := load.Totals()
			t.Logf("%s: %s: %s", what, name, total)
			expectNothingLost(t, what+": "+name, total)
		}
	}
	other := "file://" + otherBuild(t)
	readme.NewShell(t, rig.Env, s.Cluster.Kubeconfig).Run([]readme.Command{{Text: "mooring generate --from-cluster --namespace " + s.Namespace +
		" --gateway " + s.Namespace + "/shop --wasm " + other + " | kubectl apply --filename -"}})
	s.Mooring.Adopt(t)
	expectCalm("one Gateway")
	s.Mooring.Deploy(t, "--wasm", other)
	expectCalm("all Gateways")
}

// A configuration with a field that the module does not know, as a newer command could write for an older module.
func TestConfigurationNewerThanTheModule(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys), scenario.WithRejections())
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.ApplyFile(t, "routes/plain.yaml")
	gateway := s.Gateway(t, "gateway-sp-demo")
	s.Mooring.Deploy(t)
	load := startLoad(t, gateway.Client, "/")
	const what, strategy = "newer configuration", "open"
	newer := func() {
		s.Patch(t, "extensions.istio.io/v1alpha1", "WasmPlugin", "mooring-gateway-sp-demo", `{"spec":{"pluginConfig":{"fieldOfTomorrow":true}}}`)
	}
	seen := load.During(t, what, 200, func() { expectResponses(t, gateway, what, strategy, "in an update", newer, "200 with sessions") })
	expectNothingLost(t, what, seen)
	if !strings.Contains(gateway.Envoy.Process.Log(), "fieldOfTomorrow") {
		t.Error("Envoy's log does not name the field")
	}
	// The same with another module, as an update of both that do not fit.
	both := func() {
		s.Patch(t, "extensions.istio.io/v1alpha1", "WasmPlugin", "mooring-gateway-sp-demo", `{"spec":{"url":"file://`+otherBuild(t)+`"}}`)
	}
	seen = load.During(t, "with another module", 200, func() { expectResponses(t, gateway, what, strategy, "with another module", both, "200 with sessions") })
	expectNothingLost(t, "with another module", seen)
	expectResponses(t, gateway, what, strategy, "when the gateway starts", func() { gateway.RestartNotServing(t) }, "200 without sessions")
	if stats, err := gateway.Envoy.Stats("mooring_config_refused"); err != nil || len(stats) != 1 {
		t.Errorf("gauges %v, %v", stats, err)
	} else {
		for name, value := range stats {
			if value == 0 {
				t.Errorf("%s is 0", name)
			}
		}
	}
	s.Patch(t, "extensions.istio.io/v1alpha1", "WasmPlugin", "mooring-gateway-sp-demo", `{"spec":{"pluginConfig":{"fieldOfTomorrow":null}}}`)
	wait.Eventually(t, "sessions work again", func() error {
		if got := observedResponses(t, gateway); got != "200 with sessions" {
			return errors.New(got)
		}
		return nil
	})
	load.AwaitAllClients(t)
	t.Log(load.Stop())
}

// The commands of docs/upgrading.md: the second run of them has no differences.
func TestUpgradingAsThePageSays(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "switch", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "policies/session.yaml")
	s.Mooring.Deploy(t, "--wasm", "file://"+otherBuild(t))
	load := startLoad(t, s.Gateway(t, "web").Client, "/")
	seen := load.During(t, "the commands of the page", 200, func() {
		newPage(t, s, "docs/upgrading.md").run(t, "In short")
		s.Mooring.Adopt(t)
		load.AwaitAllClients(t)
	})
	expectNothingLost(t, "the commands of the page", seen)
	if seen.Cookies > 0 {
		t.Errorf("%d new cookies", seen.Cookies)
	}
}
