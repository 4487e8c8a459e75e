//go:build mesh

package scenarios

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// The walk-through of BackendLBPolicy with kubectl alone, under fifty clients: the policy is created, patched, replaced and deleted, again and
// again. No request fails, and sessions of another route stay. CONTROLLER_ROUNDS is how often; CONTROLLER_SECONDS makes slower changes fail.
func TestControllerWalkThroughWithKubectl(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayAPI(cluster.GatewayAPI12), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "routes/plain.yaml")
	walk := &walkThrough{
		s: s, controller: s.StartController(t), probe: s.Gateway(t, "gateway-sp-demo").Client(t),
		took: map[string]latencies{}, returned: map[string]latencies{},
	}
	for range setting(t, "CONTROLLER_ROUNDS", 2) {
		walk.round(t)
	}

	// Another route has sessions, which stay while the policy comes, changes and goes.
	s.Apply(t, splitRoute)
	other := startLoad(t, func(t testing.TB) *traffic.Client {
		return s.Gateway(t, "gateway-sp-demo").ClientForHost(t, "half.example")
	}, "/")
	before := other.Totals()
	walk.round(t)
	other.AwaitAllClients(t)
	expectNothingLost(t, "the sessions of another route", other.Totals().Since(before))

	for _, change := range slices.Sorted(maps.Keys(walk.took)) {
		t.Logf("%s: from the start of kubectl %s; from its end %s", change, walk.took[change], walk.returned[change])
		if limit := setting(t, "CONTROLLER_SECONDS", 0); limit > 0 && slices.Max(walk.took[change]) > time.Duration(limit)*time.Second {
			t.Errorf("%s: more than %d s", change, limit)
		}
	}
	t.Log(other.Stop())
}

type walkThrough struct {
	s              *scenario.Scenario
	controller     *scenario.Controller
	probe          *traffic.Client
	load           *traffic.Load        // of the round
	took, returned map[string]latencies // from the start and from the end of kubectl to the first response that shows the change
}

// changed runs kubectl and waits until new clients see the change.
func (w *walkThrough) changed(t *testing.T, what string, args []string, expected func(traffic.Reply) error) traffic.Reply {
	t.Helper()
	written := len(w.controller.Recorder.Writes())
	began := time.Now()
	kubectl(t, w.s, args...)
	ended := time.Now()
	reply := firstReply(t, w.probe, what, expected)
	w.took[what] = append(w.took[what], time.Since(began))
	w.returned[what] = append(w.returned[what], time.Since(ended))
	if args[0] != "delete" {
		for _, condition := range []string{"Accepted", "Programmed"} {
			kubectlWait(t, w.s, "backendlbpolicy/lb-policy", condition, "True")
			awaitCondition(t, w.s, backendLBPolicy, "BackendLBPolicy", "lb-policy", condition, "True", "")
		}
	}
	writes, counts := writesSince(w.controller, written)
	t.Logf("%s: after %s, writes %v", what, time.Since(began).Round(time.Millisecond), counts)
	// One for each of the three pieces, and two of the status.
	if len(writes) > 5 {
		t.Errorf("%s: %d writes: %v", what, len(writes), writes)
	}
	return reply
}

// round creates, patches, replaces and deletes the policy, under clients without cookies of an earlier round: those would end ten seconds after
// its patch.
func (w *walkThrough) round(t *testing.T) {
	t.Helper()
	policy := rig.Env.RepositoryFile("examples/backend-lb-policy/policy.yaml")
	w.load = traffic.StartLoad(t, loadSize, "/", w.s.Gateway(t, "gateway-sp-demo").Client)
	w.load.AwaitAllClients(t)
	w.changed(t, "1 created", []string{"apply", "--filename", policy}, withMaxAge(3600))
	w.expectSessionsStay(t, "1h")
	reply := w.changed(t, "2 patched", []string{"patch", "backendlbpolicy", "lb-policy", "--type", "merge", "--patch",
		`{"spec":{"sessionPersistence":{"absoluteTimeout":"10s"}}}`}, withMaxAge(10))
	if again := w.probe.Get(t, "/"); again.Pod != reply.Pod {
		t.Errorf("a session of %s reached %s", reply.Pod, again.Pod)
	}
	w.changed(t, "3 replaced", []string{"replace", "--filename", sessionLifetimePolicy(t)}, withMaxAge(0))
	// A client that got its cookie before deletes it after ten seconds, so only new ones are to stay.
	expectOnPod(t, w.probe, "/", w.probe.Get(t, "/").Pod, 20)
	w.changed(t, "4 deleted", []string{"delete", "backendlbpolicy", "lb-policy"}, func(reply traffic.Reply) error {
		if len(reply.SetCookie) > 0 {
			return fmt.Errorf("Set-Cookie %q", reply.SetCookie)
		}
		return nil
	})
	w.load.AwaitAllClients(t)
	if seen := w.load.Stop(); seen.Failed > 0 {
		t.Errorf("%s", seen)
	}
}

// expectSessionsStay waits until all clients have a session, which those on old connections get later, and expects that none moves.
func (w *walkThrough) expectSessionsStay(t *testing.T, what string) {
	t.Helper()
	wait.Eventually(t, "sessions stay", func() error {
		before := w.load.Totals()
		w.load.AwaitAllClients(t)
		if seen := w.load.Totals().Since(before); seen.Moves > 0 {
			return fmt.Errorf("%d moves", seen.Moves)
		}
		return nil
	})
	before := w.load.Totals()
	w.load.AwaitAllClients(t)
	expectNothingLost(t, what, w.load.Totals().Since(before))
}

// withMaxAge expects the cookie of the policy, with this lifetime; 0 is none.
func withMaxAge(seconds int) func(traffic.Reply) error {
	return func(reply traffic.Reply) error {
		if len(reply.SetCookie) != 1 || !strings.HasPrefix(reply.SetCookie[0], "foo-session=") {
			return fmt.Errorf("Set-Cookie %q", reply.SetCookie)
		}
		cookie, err := http.ParseSetCookie(reply.SetCookie[0])
		if err == nil && (cookie.MaxAge != seconds || cookie.RawExpires != "") {
			err = fmt.Errorf("Set-Cookie %q", reply.SetCookie)
		}
		return err
	}
}

// sessionLifetimePolicy writes the policy of the example with lifetimeType Session and no timeout, and returns the file.
func sessionLifetimePolicy(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(rig.Env.RepositoryFile("examples/backend-lb-policy/policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("    absoluteTimeout: 1h\n", "", "Permanent", "Session").Replace(string(text))
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
