//go:build mesh

package scenarios

import (
	"maps"
	"os"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// The walk-throughs of Istio's traffic management call services from a pod in the mesh. What the tests of them share.

// callers makes clients that call one host through a proxy and keep a session in a header.
func callers(t *testing.T, from scenario.Caller, host, header string) func(testing.TB) *traffic.Client {
	t.Helper()
	return func(testing.TB) *traffic.Client {
		client := from.ClientForHost(t, host)
		client.KeepHeader(header)
		return client
	}
}

// A population is callers with a session, and their first replies.
type population map[*traffic.Client]traffic.Reply

// settle returns n callers with a session. Each of the versions has some of them.
func settle(t *testing.T, newClient func(testing.TB) *traffic.Client, path, header string, n int, versions ...string) population {
	t.Helper()
	settled, of := population{}, map[string]int{}
	enough := func() bool {
		for _, version := range versions {
			if of[version] == 0 {
				return false
			}
		}
		return len(settled) >= n
	}
	for !enough() {
		if len(settled) > 10*n {
			t.Fatalf("%d callers reached only %v", len(settled), of)
		}
		client := newClient(t)
		first := client.Get(t, path)
		if first.Status != 200 || first.Header.Get(header) == "" {
			t.Fatalf("status %d from %q, without a header %s", first.Status, first.Pod, header)
		}
		settled[client] = first
		of[first.Version]++
	}
	t.Logf("%d callers with a session: %v", len(settled), of)
	return settled
}

// What a session binds a caller to.
func toPod(reply traffic.Reply) string     { return reply.Pod }
func toVersion(reply traffic.Reply) string { return reply.Version }

// expectNoMoves sends n requests of each caller. None may fail or leave what its session binds it to.
func (p population) expectNoMoves(t *testing.T, what, path string, n int, bound func(traffic.Reply) string, opts ...traffic.RequestOption) {
	t.Helper()
	requests, moves, failed := 0, 0, 0
	for client, first := range p {
		for range n {
			reply := client.Get(t, path, opts...)
			requests++
			if reply.Status != 200 {
				failed++
			} else if bound(reply) != bound(first) {
				moves++
			}
		}
	}
	t.Logf("%s: %d callers with a session, %d requests, %d moves, %d failed", what, len(p), requests, moves, failed)
	if moves > 0 || failed > 0 {
		t.Errorf("%s: sessions moved or failed", what)
	}
}

// expectMovedOnce sends n requests of each caller. A caller on a pod or version of gone moves with its first request and stays there; all
// others stay. None may fail.
func (p population) expectMovedOnce(t *testing.T, what, path string, n int, bound func(traffic.Reply) string, gone ...string) {
	t.Helper()
	requests, moves, failed, to := 0, 0, 0, map[string]int{}
	for client, at := range maps.Clone(p) {
		was := bound(at)
		for i := range n {
			reply := client.Get(t, path)
			requests++
			if reply.Status != 200 {
				failed++
				continue
			}
			if bound(reply) == bound(p[client]) {
				continue
			}
			moves++
			if i > 0 || !slices.Contains(gone, was) || slices.Contains(gone, bound(reply)) {
				t.Errorf("%s: request %d of a session on %s reached %s", what, i, was, bound(reply))
			}
			to[reply.Version]++
			p[client] = reply
		}
		if slices.Contains(gone, bound(p[client])) {
			t.Errorf("%s: a session is still on %s", what, bound(p[client]))
		}
	}
	t.Logf("%s: %d callers with a session, %d requests, %d moves, to %v, %d failed", what, len(p), requests, moves, to, failed)
	if failed > 0 {
		t.Errorf("%s: %d of %d requests failed", what, failed, requests)
	}
}

// readJSON reads a YAML file of the repository as JSON.
func readJSON(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(rig.Env.RepositoryFile(path))
	if err == nil {
		text, err = yaml.YAMLToJSON(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
