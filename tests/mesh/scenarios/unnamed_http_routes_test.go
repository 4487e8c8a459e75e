//go:build mesh

package scenarios

import (
	"fmt"
	"maps"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// A VirtualService whose http route has no name, as Flagger writes them: the route in Envoy has none either. The module finds it by the
// VirtualService in its metadata, and the session routes are inserted before the first route of the virtual host.

const (
	toBoth = `"route":[{"destination":{"host":"web","subset":"v1"},"weight":50},{"destination":{"host":"web","subset":"v2"},"weight":50}]`
	toV2   = `"route":[{"destination":{"host":"web","subset":"v2"}}]`
)

// startUnnamed starts a VirtualService with these http routes.
func startUnnamed(t *testing.T, http string) (*scenario.Scenario, *gateway.Gateway, func(testing.TB) *traffic.Client) {
	t.Helper()
	s, gateway, newClient := startVSplit(t)
	setHTTP(t, s, http)
	s.Mooring.Deploy(t)
	return s, gateway, newClient
}

// setHTTP replaces the http routes of the VirtualService.
func setHTTP(t *testing.T, s *scenario.Scenario, http string) {
	t.Helper()
	s.PatchJSON(t, istioGroup, "VirtualService", "web", `[{"op":"replace","path":"/spec/http","value":[`+http+`]}]`)
}

// sessionOn returns a client with a session on this version.
func sessionOn(t *testing.T, newClient func(testing.TB) *traffic.Client, path, version string) (*traffic.Client, traffic.Reply) {
	t.Helper()
	for range 200 {
		client := newClient(t)
		if first := client.Get(t, path); first.Version == version {
			sessionOf(t, first)
			return client, first
		}
	}
	t.Fatalf("no session began on %s", version)
	return nil, traffic.Reply{}
}

func TestUnnamedHTTPRouteKeepsSessions(t *testing.T) {
	t.Parallel()
	s, gateway, newClient := startUnnamed(t, `{`+toBoth+`}`)
	load := traffic.StartLoad(t, 50, "/", newClient)
	load.AwaitAllClients(t)
	at := load.ClientsByPod()
	t.Logf("fifty clients: %v", at)
	for _, v1 := range []int{100, 0, 30} {
		shiftVirtualService(t, s, 0, v1, 100-v1)
		awaitWeights(t, gateway, "", map[string]int{"|v1|": v1, "|v2|": 100 - v1})
		versions := versionsOf(t, newClient(t), sampleSize, "/")
		expectShares(t, fmt.Sprintf("%d/%d", v1, 100-v1), versions, map[string]int{"v1": v1, "v2": 100 - v1})
		load.AwaitAllClients(t)
	}
	// A controller adds a route with a name before it, as Argo Rollouts does for setHeaderRoute, and a redirect.
	s.PatchJSON(t, istioGroup, "VirtualService", "web", `[
		{"op":"add","path":"/spec/http/0","value":{"name":"testers","match":[{"headers":{"x-team":{"exact":"blue"}}}],`+toV2+`}},
		{"op":"add","path":"/spec/http/0","value":{"match":[{"uri":{"exact":"/old"}}],"redirect":{"uri":"/new"}}}]`)
	gateway.Envoy.AwaitRoute(t, "testers", nil)
	blue := traffic.WithHeader("x-team", "blue")
	client, first := sessionOn(t, newClient, "/", "v1")
	awaitVersion(t, client, "v2", "/", blue)
	for _, deploy := range []bool{false, true} {
		if deploy {
			s.Mooring.Deploy(t)
		}
		for range tries {
			if reply := client.Get(t, "/old"); reply.Status != 301 {
				t.Fatalf("deployed again: %v: status %d", deploy, reply.Status)
			}
			// After a generation, the policy of the Service applies to this route too. It has a session of its own.
			if reply := client.Get(t, "/", blue); reply.Version != "v2" {
				t.Fatalf("deployed again: %v: the inserted route leads to v2, and %s answered", deploy, reply.Pod)
			}
		}
		expectOnPod(t, client, "/", first.Pod, tries)
	}
	load.AwaitAllClients(t)
	total := load.Stop()
	t.Log(total)
	expectNothingLost(t, "no name", total)
	if !maps.Equal(at, load.ClientsByPod()) {
		t.Errorf("the clients are at %v", load.ClientsByPod())
	}
	expectNoFindings(t, s)
}

// awaitVersion waits until twenty requests of a client in a row are answered by this version.
func awaitVersion(t *testing.T, client *traffic.Client, version, path string, opts ...traffic.RequestOption) {
	t.Helper()
	wait.Eventually(t, path+" leads to "+version, func() error {
		for range tries {
			if reply := client.Get(t, path, opts...); reply.Version != version {
				return fmt.Errorf("%s answered with status %d", reply.Pod, reply.Status)
			}
		}
		return nil
	})
}

// The VirtualService changes, and the generated objects are those from before. A request of a session on v1 must be where its route leads.
func TestOutdatedSessionRoutesOfAnUnnamedHTTPRoute(t *testing.T) {
	t.Parallel()
	shop := `{"match":[{"uri":{"prefix":"/shop"}}],` + toBoth + `}`
	s, gateway, newClient := startUnnamed(t, shop)
	client, first := sessionOn(t, newClient, "/shop", "v1")
	expectOnPod(t, client, "/shop", first.Pod, tries)
	stays := func(t *testing.T, path string) {
		t.Helper()
		reply := client.Get(t, path)
		if reply.Version != "v2" || len(reply.SetCookie) > 0 {
			t.Errorf("%s leads to v2, and %s answered with Set-Cookie %q", path, reply.Pod, reply.SetCookie)
		}
	}
	again := func(t *testing.T, http string) {
		t.Helper()
		setHTTP(t, s, http)
		awaitVersion(t, client, first.Version, "/shop")
		expectOnPod(t, client, "/shop", first.Pod, tries)
	}

	t.Run("a second one follows, with the same destinations", func(t *testing.T) {
		again(t, shop+`,{`+toV2+`}`)
		awaitVersion(t, client, "v2", "/other")
		for range tries {
			if reply := client.Get(t, "/other"); reply.Version != "v2" {
				t.Fatalf("%s answered", reply.Pod)
			}
		}
		const missed = "wasmcustom.mooring_session_route_missed_total"
		if gateway.Envoy.Stat(t, missed) == 0 {
			t.Errorf("%s is 0", missed)
		}
		again(t, shop)
	})
	t.Run("another VirtualService has one, with the same destinations", func(t *testing.T) {
		s.Apply(t, `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart}
spec:
  hosts: [vs.example]
  gateways: [front]
  http: [{match: [{uri: {prefix: /cart}}], route: [{destination: {host: web, subset: v2}}]}]
`)
		awaitVersion(t, client, "v2", "/cart")
		for range tries {
			stays(t, "/cart")
		}
		expectOnPod(t, client, "/shop", first.Pod, tries)
		// It is found by its own metadata after a generation, with a session of its own.
		s.Mooring.Deploy(t)
		cart, at := sessionOn(t, newClient, "/cart", "v2")
		expectOnPod(t, cart, "/cart", at.Pod, tries)
		expectOnPod(t, client, "/shop", first.Pod, tries)
	})
	t.Run("another one takes its place, with other destinations", func(t *testing.T) {
		setHTTP(t, s, `{"match":[{"uri":{"prefix":"/shop"}}],"route":[{"destination":{"host":"web"}}]}`)
		gateway.Envoy.AwaitRoute(t, "", func(r envoy.Route) bool { return r.Contains("outbound|80||web.") && r.Contains("/shop") })
		versions := versionsOf(t, newClient(t), sampleSize, "/shop")
		expectShares(t, "all pods of the Service", versions, map[string]int{"v1": 1, "v2": 1})
		again(t, shop)
	})
	t.Run("it gets a name", func(t *testing.T) {
		setHTTP(t, s, `{"name":"shop","match":[{"uri":{"prefix":"/shop"}}],`+toV2+`}`)
		awaitVersion(t, client, "v2", "/shop")
		for range tries {
			stays(t, "/shop")
		}
	})
}
