//go:build mesh

package scenarios

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// A backend loses all its pods while fifty clients have sessions, some of them on it: at the end of a Flagger run, when an Argo Rollout
// aborts, when all pods restart at once. docs/failure-modes.md describes the results.

// workers is the number of worker threads of a gateway.
const workers = 2

// intervals returns how many requests of each worker may fail within a time: one at once, and one after each interval of 1, 2, 4, 8
// seconds and so on.
func intervals(within time.Duration) int {
	n := 1
	for interval, end := time.Second, time.Second; end <= within; n++ {
		interval *= 2
		end += interval
	}
	return n
}

// expectFailover calls change, which removes all pods of a backend. Each session on this backend must move once, to the other backend,
// and no other session may move. At most one request for each worker and interval may fail.
func expectFailover(t *testing.T, load *traffic.Load, what, gone, left string, change func()) {
	t.Helper()
	affected := onVersion(load, gone)
	if affected == 0 || affected == loadSize {
		t.Fatalf("%d of %d sessions are on %s", affected, loadSize, gone)
	}
	began := time.Now()
	seen := load.During(t, what, 250, func() {
		change()
		load.AwaitAllClients(t)
	})
	took := time.Since(began)
	most := workers * intervals(took)
	t.Logf("%s: %d of %d sessions moved, %d requests failed in %s, at most %d allowed", what, affected, loadSize, seen.Failed, took.Round(time.Second), most)
	if seen.Failed > most {
		t.Errorf("%s: %d failed, at most %d allowed: %v", what, seen.Failed, most, seen.Failures)
	}
	for pod, failed := range seen.FailedByPod {
		if !strings.Contains(pod, "-"+gone+"-") {
			t.Errorf("%s: %d requests of sessions on %s failed", what, failed, pod)
		}
	}
	if seen.Moves != affected || seen.MovedClients != affected || onVersion(load, left) != loadSize {
		t.Errorf("%s: %d moves of %d clients, %d are on %s", what, seen.Moves, seen.MovedClients, onVersion(load, left), left)
	}
	expectNothingLost(t, "after it", load.During(t, "after it", 500, func() {}))
}

// shiftAs is shift by the field manager of a controller.
func shiftAs(t *testing.T, s *scenario.Scenario, manager, route string, v1, v2 int) {
	t.Helper()
	s.PatchJSONAs(t, manager, gatewayGroup, "HTTPRoute", route, fmt.Sprintf(`[
		{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":%d},
		{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":%d}]`, v1, v2))
}

// Flagger resets the weights to 100/0, and scales the canary to zero one step later. The next run uses the same Services.
func TestSessionsFailOverAtTheEndOfAFlaggerRun(t *testing.T) {
	t.Parallel()
	s, load := startEvenSplit(t)
	newClient := s.Gateway(t, "shop").Client
	back := load.During(t, "weights 100/0", 250, func() {
		shiftAs(t, s, "flagger", "checkout", 100, 0)
		awaitOnly(t, newClient, "/checkout/", "v1")
		load.AwaitAllClients(t)
	})
	expectNothingLost(t, "weights 100/0", back)
	expectFailover(t, load, "the canary is scaled to zero", "v2", "v1", func() { s.Pods.RetireAll(t, "checkout-v2") })
	next := load.During(t, "the next run", 500, func() {
		s.Pods.Scale(t, "checkout-v2", 2)
		shiftAs(t, s, "flagger", "checkout", 75, 25)
		awaitWeights(t, s.Gateway(t, "shop"), "checkout", map[string]int{"checkout-v1": 75, "checkout-v2": 25})
		load.AwaitAllClients(t)
	})
	expectNothingLost(t, "the next run", next)
	versions := versionsOf(t, newClient(t), sampleSize, "/checkout/")
	expectShares(t, "new clients of the next run", versions, map[string]int{"v1": 75, "v2": 25})
	t.Log(load.Stop())
}

// Argo Rollouts resets the weights at once, does not change the canary's Service, and removes its pods later: after 30 s, here after each
// client has had two more answers.
func TestSessionsFailOverWhenAnArgoRolloutAborts(t *testing.T) {
	t.Parallel()
	t.Run("HTTPRoute", func(t *testing.T) {
		s, load := startEvenSplit(t)
		back := load.During(t, "aborted", 250, func() {
			shiftAs(t, s, "rollouts-controller", "checkout", 100, 0)
			awaitOnly(t, s.Gateway(t, "shop").Client, "/checkout/", "v1")
			load.AwaitAllClients(t)
		})
		expectNothingLost(t, "aborted", back)
		expectFailover(t, load, "its pods are removed", "v2", "v1", func() { s.Pods.RetireAll(t, "checkout-v2") })
		t.Log(load.Stop())
	})
	t.Run("VirtualService", func(t *testing.T) {
		s, _, newClient := startVSplit(t)
		s.Mooring.Deploy(t)
		load := startLoad(t, newClient, "/beta")
		back := load.During(t, "aborted", 250, func() {
			s.PatchJSONAs(t, "rollouts-controller", istioGroup, "VirtualService", "web", `[
				{"op":"replace","path":"/spec/http/0/route/0/weight","value":100},
				{"op":"replace","path":"/spec/http/0/route/1/weight","value":0}]`)
			awaitOnly(t, newClient, "/beta", "v1")
			load.AwaitAllClients(t)
		})
		expectNothingLost(t, "aborted", back)
		expectFailover(t, load, "its pods are removed", "v2", "v1", func() { s.Pods.RetireAll(t, "web-v2") })
		t.Log(load.Stop())
	})
}

// All pods of a backend are replaced at once, while the route keeps sending new clients to it. Its sessions have moved to the other backend
// by then, and stay there.
func TestSessionsFailOverWhenAllPodsOfABackendAreReplaced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, gone, left string
		v1, v2           int
	}{
		{"one half", "v2", "v1", 50, 50},
		{"nine tenths", "v1", "v2", 90, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, load := startEvenSplit(t)
			gateway := s.Gateway(t, "shop")
			shift(t, s, "checkout", c.v1, c.v2)
			awaitWeights(t, gateway, "checkout", map[string]int{"checkout-v1": c.v1, "checkout-v2": c.v2})
			// Each worker has seen decisions with the new weights.
			for range 100 {
				gateway.Client(t).Get(t, "/checkout/")
			}
			expectFailover(t, load, "all pods are removed", c.gone, c.left, func() { s.Pods.RetireAll(t, "checkout-"+c.gone) })
			back := load.During(t, "new pods are added", 500, func() {
				s.Pods.Scale(t, "checkout-"+c.gone, 2)
				load.AwaitAllClients(t)
			})
			expectNothingLost(t, "new pods are added", back)
			versions := versionsOf(t, gateway.Client(t), sampleSize, "/checkout/")
			expectShares(t, "new clients", versions, map[string]int{"v1": c.v1, "v2": c.v2})
			t.Log(load.Stop())
		})
	}
}

// Sessions in the metadata of gRPC calls fail over too.
func TestGRPCSessionsFailOver(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "grpc-canary", scenario.WithExample("grpc-canary"), scenario.WithUniqueNamespace(), scenario.WithWorkers(1), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	client, err := s.Gateway(t, "front").GRPCClient("catalog.example")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const session = "catalog-version"
	var token string
	wait.Eventually(t, "a session on v2", func() error {
		reply, err := client.Call()
		if err == nil && reply.Version != "v2" {
			err = fmt.Errorf("it is on %s", reply.Version)
		}
		token = reply.Header.Get(session)
		return err
	})
	s.Pods.RetireAll(t, "catalog-v2")
	if reply, err := client.Call(session, token); err == nil {
		t.Errorf("%s has answered", reply.Pod)
	}
	// The module tries the backend again after a pause; that call fails too.
	var moved traffic.Reply
	wait.Eventually(t, "a call succeeds", func() error {
		moved, err = client.Call(session, token)
		return err
	})
	if moved.Version != "v1" || moved.Header.Get(session) == "" {
		t.Fatalf("moved to %s, %v", moved.Pod, moved.Header)
	}
	s.Pods.Scale(t, "catalog-v2", 2)
	token = moved.Header.Get(session)
	for range 20 {
		if again, err := client.Call(session, token); err != nil || again.Version != "v1" || again.Header.Get(session) != "" {
			t.Errorf("when v2 is back: %s, %v, %v", again.Pod, again.Header, err)
		}
	}
}
