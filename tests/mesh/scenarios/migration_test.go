//go:build mesh

package scenarios

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// A gateway with objects that Mooring generated before it had session routes gets the new objects under fifty clients: session routes and
// EnvoyFilters first, then the plugin; the old EnvoyFilters are deleted last. The clients have old tokens, and must be on their pods at the
// end. The new module does not read the old configuration, so sessions are off until the migration. If MOORING_OLD_WASM names an old module,
// no session may move at any time.

// An oldSession holds what the old tokens of a rule were sealed with.
type oldSession struct {
	rule, name string
	hint       [2]byte // two bytes of a hash of rule and name
}

// token returns an old token, sealed with the keys of these tests, for a session that began in January 2024.
func (o oldSession) token(t *testing.T, backend, host string) string {
	t.Helper()
	id, encoded, _ := strings.Cut(strings.TrimPrefix(keys, "MOORING_KEYS="), ":")
	if id != "be" {
		t.Fatalf("the key's id is %s", id)
	}
	key, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	cipher, err := chacha20poly1305.NewX(key)
	if err != nil {
		t.Fatal(err)
	}
	const version, issued = 1, 1704067200
	prefix := []byte{version, 0xbe, o.hint[0], o.hint[1]}
	nonce := make([]byte, cipher.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	var plain []byte
	plain = binary.BigEndian.AppendUint64(plain, issued)
	plain = binary.BigEndian.AppendUint64(plain, issued) // last seen
	plain = append(plain, 0, byte(len(backend)))
	plain = append(append(plain, backend...), host...)
	context := slices.Concat(prefix, []byte(o.rule), []byte{0}, []byte(o.name))
	sealed := cipher.Seal(nil, nonce, plain, context)
	return base64.RawURLEncoding.EncodeToString(slices.Concat(prefix, nonce, sealed))
}

// oldPods returns the pods of the old sessions with their backends.
func oldPods(t *testing.T, s *scenario.Scenario, backends map[string]string) map[*pods.Pod]string {
	t.Helper()
	pods := map[*pods.Pod]string{}
	for version, backend := range backends {
		for _, n := range []string{"0", "1"} {
			pods[s.Pod(t, "web-"+version+"-"+n)] = backend
		}
	}
	return pods
}

func TestMigrationOfHTTPRouteSessions(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "migration", scenario.WithGatewayEnv(keys))
	newClient := s.Gateway(t, "front").Client
	v1, v2 := "web-v1.migration:80", "web-v2.migration:80"
	migrate(t, s, newClient, []migration{
		{"/shop", oldSession{"HTTPRoute/migration/web/shop", "shop-session", [2]byte{0x48, 0xed}}, map[string]string{"v1": v1, "v2": v2}},
		{"/single", oldSession{"HTTPRoute/migration/web#2", "single-session", [2]byte{0xb3, 0xc8}}, map[string]string{"v1": v1}},
	})
	// A session on a version without a pod.
	beta := oldSession{"HTTPRoute/migration/web/beta", "beta-version", [2]byte{0x71, 0x10}}
	for version, backend := range map[string]string{"v1": v1, "v2": v2} {
		client := newClient(t)
		client.SetCookie(beta.name, beta.token(t, backend, ""))
		for range tries {
			if reply := client.Get(t, "/beta"); reply.Version != version || len(reply.SetCookie) > 0 {
				t.Fatalf("an old token of %s leads to %s, Set-Cookie %q", version, reply.Pod, reply.SetCookie)
			}
		}
	}
	expectNoFindings(t, s)
}

func TestMigrationOfVirtualServiceSessions(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "vsplit", scenario.WithManifests("ingressgateway"), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "ingressgateway")
	migrate(t, s, func(testing.TB) *traffic.Client { return gateway.ClientForHost(t, vsHost) }, []migration{
		{"/beta", oldSession{"VirtualService/vsplit/web/beta", "mooring-8a0ac458", [2]byte{0x36, 0xb7}},
			map[string]string{"v1": "web.vsplit:80/v1", "v2": "web.vsplit:80/v2"}},
	})
	expectNoFindings(t, s)
}

// A migration is one path of a scenario with its old sessions, and its backends by version.
type migration struct {
	path     string
	session  oldSession
	backends map[string]string
}

func migrate(t *testing.T, s *scenario.Scenario, newClient func(testing.TB) *traffic.Client, paths []migration) {
	t.Helper()
	old := os.Getenv("MOORING_OLD_WASM")
	if old == "" {
		s.Mooring.DeployFile(t, "old/generated.yaml", s.Mooring.ModuleURL(t))
	} else {
		s.Mooring.DeployFile(t, "old/generated.yaml", "file://"+old)
	}
	var loads []*traffic.Load
	var at []map[string]int
	for _, path := range paths {
		var clients []*traffic.Client
		count := map[string]int{}
		for pod, backend := range oldPods(t, s, path.backends) {
			for range 50/(2*len(paths)*len(path.backends)) + 1 {
				client := newClient(t)
				client.SetCookie(path.session.name, path.session.token(t, backend, pod.IP+":8080"))
				clients = append(clients, client)
				count[pod.Name]++
			}
		}
		next := 0
		load := traffic.StartLoad(t, len(clients), path.path, func(testing.TB) *traffic.Client { next++; return clients[next-1] })
		load.AwaitAllClients(t)
		loads, at = append(loads, load), append(at, count)
	}
	s.Mooring.DeployInSteps(t)
	for i, load := range loads {
		load.AwaitAllClients(t)
		if now := load.ClientsByPod(); !maps.Equal(at[i], now) {
			t.Errorf("%s: the clients are at %v, their sessions at %v", paths[i].path, now, at[i])
		}
		before := load.Totals()
		load.AwaitAllClients(t)
		total := load.Stop()
		t.Logf("%s: %s", paths[i].path, total)
		if total.Moves > before.Moves {
			t.Errorf("%s: %d sessions moved after the migration", paths[i].path, total.Moves-before.Moves)
		}
		if total.Failed > 0 || total.Cookies > 0 || old != "" && total.Moves > 0 {
			t.Errorf("%s: %d failed %v, %d new cookies, %d moves", paths[i].path, total.Failed, total.Failures, total.Cookies, total.Moves)
		}
	}
}
