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

// What clients get from a gateway whose module is missing, is corrupt, or traps. docs/failure-modes.md describes the results.

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

// cannotBeLoaded compares what clients get before, with and after a module that Envoy cannot load.
func cannotBeLoaded(t *testing.T, fault, file string) {
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys), scenario.WithRejections())
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.ApplyFile(t, "routes/plain.yaml")
	gateway := s.Gateway(t, "gateway-sp-demo")
	load := traffic.StartLoad(t, loadSize, "/", gateway.Client)
	for _, strategy := range strategies {
		install := func() { s.Mooring.DeployWithoutWaiting(t, "--wasm", "file://"+file, "--fail-strategy", strategy) }
		when := func(when, want string, do func()) traffic.Totals {
			t.Helper()
			return load.During(t, fault+", fail strategy "+strategy+", "+when, loadSize, func() {
				expectResponses(t, gateway, fault, strategy, when, do, want)
			})
		}
		when("when first installed", "500", install)
		when("when the gateway starts", "500", func() { gateway.RestartNotServing(t) })
		s.Mooring.Deploy(t)
		load.Await(t, 2*loadSize)
		expectNothingLost(t, "in an update", when("in an update", "200 with sessions", install))
		repaired := load.During(t, "repaired", loadSize, func() { s.Mooring.Deploy(t) })
		expectNothingLost(t, "repaired", repaired)
		if got := observedResponses(t, gateway); got != "200 with sessions" {
			t.Errorf("repaired: %s", got)
		}
		s.Mooring.Undeploy(t)
	}
}

// expectResponses calls do, which makes Envoy load the faulty module, and compares what clients get then.
func expectResponses(t *testing.T, gateway *gateway.Gateway, fault, strategy, when string, do func(), want string) {
	t.Helper()
	before, log := gateway.Envoy.ExtensionUpdates(t), len(gateway.Envoy.Process.Log())
	do()
	if strings.Contains(gateway.Envoy.Process.Log()[log:], "initializing epoch 0") {
		before = 0 // it has been restarted
	}
	wait.Eventually(t, "the gateway has tried the module", func() error {
		if n := gateway.Envoy.ExtensionUpdates(t); n <= before {
			return fmt.Errorf("%d attempts, as before", n)
		}
		return nil
	})
	gateway.Envoy.AwaitListener(t, "mooring")
	got := observedResponses(t, gateway)
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
	load := traffic.StartLoad(t, loadSize, "/", gateway.Client)
	for _, strategy := range strategies {
		args := []string{"--wasm", "file://" + file}
		if strategy != "open" { // the default
			args = append(args, "--fail-strategy", strategy)
		}
		s.Mooring.Deploy(t, args...)
		if got := observedResponses(t, gateway); got != "200 without sessions" {
			t.Fatalf("before the trap: %s", got)
		}
		load.Await(t, 2*loadSize)
		seen := load.During(t, "trap, fail strategy "+strategy, 4*loadSize, func() { expectTrap(t, gateway, strategy) })
		// Requests in flight on the worker fail too.
		if most := loadSize + 1; strategy == "open" && seen.Failed > most {
			t.Errorf("fail strategy open: %d other requests failed", seen.Failed)
		}
		s.Mooring.Deploy(t)
		if got := observedResponses(t, gateway); got != "200 with sessions" {
			t.Errorf("repaired: %s", got)
		}
	}
	if !strings.Contains(gateway.Envoy.Process.Log(), "Function: proxy_on_request_headers failed") {
		t.Error("Envoy's log has no entry about the trap")
	}
}

// expectTrap makes the module trap and compares the responses after it. A second request that traps shows whether the module runs.
func expectTrap(t *testing.T, gateway *gateway.Gateway, strategy string) {
	t.Helper()
	trap := func() int { return gateway.Client(t).Get(t, "/", manyHeaders).Status }
	if status := trap(); status != 503 {
		t.Errorf("the request that traps: status %d", status)
	}
	if strategy == "reload" {
		began := time.Now()
		wait.Eventually(t, "the module runs again", func() error {
			if got := observedResponses(t, gateway); got != "200 without sessions" {
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
	if got := observedResponses(t, gateway); got != want {
		t.Errorf("after the trap: %s, expected %s", got, want)
	}
	if got := fmt.Sprint(trap()); !strings.HasPrefix(want, got) {
		t.Errorf("without the module, a request like the one that trapped: status %s", got)
	}
}

func manyHeaders(request *http.Request) {
	for n := range wasm.TrapHeaders {
		request.Header.Set(fmt.Sprintf("Filler-%d", n), "x")
	}
}

// observedResponses sends requests of new clients and returns the different kinds of responses.
func observedResponses(t *testing.T, gateway *gateway.Gateway) string {
	t.Helper()
	var got []string
	for range 12 {
		reply, err := gateway.Client(t).Try("/")
		result := fmt.Sprint(reply.Status)
		switch {
		case err != nil:
			result = err.Error()
		case reply.Status == 200 && len(reply.SetCookie) == 1:
			result = "200 with sessions"
		case reply.Status == 200:
			result = "200 without sessions"
		}
		if !slices.Contains(got, result) {
			got = append(got, result)
		}
	}
	return strings.Join(got, ", ")
}
