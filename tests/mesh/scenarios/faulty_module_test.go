//go:build mesh

package scenarios

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
	"mooring.dev/tests/mesh/internal/wasm"
)

// What clients get from a gateway whose module is not there, is no module, or traps. docs/failure-modes.md is these
// tests in words.

var strategies = []string{"open", "close", "reload"}

func TestMissingModule(t *testing.T) {
	t.Parallel()
	cannotBeLoaded(t, "missing", filepath.Join(t.TempDir(), "missing.wasm"))
}

func TestCorruptModule(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "corrupt.wasm")
	if err := os.WriteFile(file, []byte("\x00asm\x01\x00\x00\x00 and then nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	cannotBeLoaded(t, "corrupt", file)
}

// cannotBeLoaded compares what clients get before, with and after a module file that Envoy cannot load.
func cannotBeLoaded(t *testing.T, fault, file string) {
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys), scenario.WithRejections())
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.ApplyFile(t, "routes/plain.yaml")
	gateway := s.Gateway(t, "gateway-sp-demo")
	load := traffic.StartLoad(t, crowd, "/", gateway.Client)
	for _, strategy := range strategies {
		install := func() { s.Mooring.DeployWithoutWaiting(t, "--wasm", "file://"+file, "--fail-strategy", strategy) }
		when := func(when, want string, do func()) traffic.Totals {
			t.Helper()
			return load.During(t, fault+", fail strategy "+strategy+", "+when, crowd, func() {
				expectAfter(t, gateway, fault, strategy, when, do, want)
			})
		}
		when("when first installed", "500", install)
		when("when the gateway starts", "500", func() { gateway.RestartNotServing(t) })
		s.Mooring.Deploy(t)
		load.Await(t, 2*crowd)
		expectNothingLost(t, "in an update", when("in an update", "200 with sessions", install))
		mended := load.During(t, "mended", crowd, func() { s.Mooring.Deploy(t) })
		expectNothingLost(t, "mended", mended)
		if got := whatClientsGet(t, gateway); got != "200 with sessions" {
			t.Errorf("mended: %s", got)
		}
		s.Mooring.Undeploy(t)
	}
}

// expectAfter does something that makes Envoy try the faulty module, and compares what clients get then.
func expectAfter(t *testing.T, gateway *gateway.Gateway, fault, strategy, when string, do func(), want string) {
	t.Helper()
	before, log := gateway.Envoy.ExtensionUpdates(t), len(gateway.Envoy.Process.Log())
	do()
	if strings.Contains(gateway.Envoy.Process.Log()[log:], "initializing epoch 0") {
		before = 0 // it was started anew
	}
	wait.Eventually(t, "the gateway has tried the module", func() error {
		if n := gateway.Envoy.ExtensionUpdates(t); n <= before {
			return fmt.Errorf("%d attempts, as before", n)
		}
		return nil
	})
	gateway.Envoy.AwaitListener(t, "mooring")
	got := whatClientsGet(t, gateway)
	t.Logf("%s, fail strategy %s, %s: %s", fault, strategy, when, got)
	if got != want {
		t.Errorf("expected %s", want)
	}
	plain := gateway.Client(t)
	plain.Host = "plain.example"
	if status := plain.Get(t, "/").Status; status != http.StatusOK {
		t.Errorf("a route without a rule: status %d", status)
	}
}

func TestTrappingModule(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "traps.wasm")
	if err := os.WriteFile(file, wasm.TrappingModule(), 0o644); err != nil {
		t.Fatal(err)
	}
	// With one worker there is one instance of the module, and one trap is enough.
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys), scenario.WithWorkers(1))
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	gateway := s.Gateway(t, "gateway-sp-demo")
	load := traffic.StartLoad(t, crowd, "/", gateway.Client)
	for _, strategy := range strategies {
		args := []string{"--wasm", "file://" + file}
		if strategy != "open" { // the default
			args = append(args, "--fail-strategy", strategy)
		}
		s.Mooring.Deploy(t, args...)
		if got := whatClientsGet(t, gateway); got != "200 without sessions" {
			t.Fatalf("before the trap: %s", got)
		}
		load.Await(t, 2*crowd)
		seen := load.During(t, "trap, fail strategy "+strategy, 4*crowd, func() { expectTrap(t, gateway, strategy) })
		// Those that the worker was answering fail too.
		if most := crowd + 1; strategy == "open" && seen.Failed > most {
			t.Errorf("fail strategy open: %d requests of others failed", seen.Failed)
		}
		s.Mooring.Deploy(t)
		if got := whatClientsGet(t, gateway); got != "200 with sessions" {
			t.Errorf("mended: %s", got)
		}
	}
	if !strings.Contains(gateway.Envoy.Process.Log(), "Function: proxy_on_request_headers failed") {
		t.Error("Envoy's log says nothing about it")
	}
}

// expectTrap makes the module trap and looks at what comes after it; at the end, a request that traps tells whether the module
// runs.
func expectTrap(t *testing.T, gateway *gateway.Gateway, strategy string) {
	t.Helper()
	trap := func() int { return gateway.Client(t).Get(t, "/", manyHeaders).Status }
	if status := trap(); status != 503 {
		t.Errorf("the request that traps: status %d", status)
	}
	if strategy == "reload" {
		began := time.Now()
		wait.Eventually(t, "the module runs again", func() error {
			if got := whatClientsGet(t, gateway); got != "200 without sessions" {
				return errors.New(got)
			}
			return nil
		})
		t.Logf("the module runs again %s after the trap", time.Since(began).Round(10*time.Millisecond))
		if status := trap(); status != 503 {
			t.Errorf("the module does not run again: status %d", status)
		}
		return
	}
	want := map[string]string{"open": "200 without sessions", "close": "503"}[strategy]
	if got := whatClientsGet(t, gateway); got != want {
		t.Errorf("after the trap: %s, expected %s", got, want)
	}
	if got := fmt.Sprint(trap()); !strings.HasPrefix(want, got) {
		t.Errorf("without the module, a request like that which trapped: status %s", got)
	}
}

func manyHeaders(request *http.Request) {
	for n := range wasm.TrapHeaders {
		request.Header.Set(fmt.Sprintf("Filler-%d", n), "x")
	}
}

// whatClientsGet sends requests of new visitors and says what came back, each thing once.
func whatClientsGet(t *testing.T, gateway *gateway.Gateway) string {
	var got []string
	for range 12 {
		reply, err := gateway.Client(t).Try("/")
		outcome := fmt.Sprint(reply.Status)
		switch {
		case err != nil:
			outcome = err.Error()
		case reply.Status == 200 && len(reply.SetCookie) == 1:
			outcome = "200 with sessions"
		case reply.Status == 200:
			outcome = "200 without sessions"
		}
		if !slices.Contains(got, outcome) {
			got = append(got, outcome)
		}
	}
	return strings.Join(got, ", ")
}
