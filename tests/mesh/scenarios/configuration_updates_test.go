//go:build mesh

package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Fifty clients send requests while a policy changes twenty times. Some changes concern the filter only, some the routes too.
func TestPolicyUpdatesUnderLoad(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	load := traffic.StartLoad(t, 50, "/", gateway.Client)
	load.Await(t, 500)
	changes := []string{
		`{"spec":{"sessionPersistence":{"absoluteTimeout":"2h"}}}`,
		`{"metadata":{"annotations":{"mooring.dev/strict":"true"}}}`,
		`{"spec":{"sessionPersistence":{"idleTimeout":"20m"}}}`,
		`{"metadata":{"annotations":{"mooring.dev/strict":"false"}}}`,
		`{"spec":{"sessionPersistence":{"absoluteTimeout":"1h","idleTimeout":null}}}`,
	}
	began := time.Now()
	for i := range 20 {
		s.Patch(t, xGroup, "XBackendTrafficPolicy", "lb-policy", changes[i%len(changes)])
		s.Mooring.Deploy(t)
	}
	took := time.Since(began)
	load.Await(t, 500)
	total := load.Stop()
	t.Logf("20 updates in %s: %s", took.Round(time.Millisecond), total)
	if total.Failed > 0 || total.Moves > 0 || total.Cookies < 50 {
		t.Errorf("%d failed, %d moves, %d cookies of 50 clients: %v", total.Failed, total.Moves, total.Cookies, total.Failures)
	}
	if n := gateway.Envoy.ExtensionUpdates(t); n < 10 {
		t.Errorf("the filter was configured only %d times", n)
	}
}

// A host name gets so many routes that decisions reach Envoy's filters by filter state, and then fewer again. Envoy gets listeners and
// routes in separate updates, and a connection stays on the listener that accepted it.
func TestRoutesComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	s, gateway := startDemo(t)
	load := traffic.StartLoad(t, 50, "/", gateway.Client)
	load.Await(t, 500)
	relayed := func(relayed bool) {
		gateway.Envoy.AwaitVirtualHost(t, "*:80", func(host json.RawMessage) bool {
			return bytes.Contains(host, []byte("mooring.filter_state_headers")) == relayed
		})
	}
	s.Apply(t, hundredRoutes("more"))
	s.Mooring.Deploy(t)
	relayed(true)
	load.Await(t, 300)
	s.Delete(t, gatewayGroup, "HTTPRoute", "more")
	s.Mooring.Deploy(t)
	relayed(false)
	load.Await(t, 300)
	total := load.Stop()
	t.Log(total)
	if total.Failed > 0 || total.Moves > 0 || total.Cookies != 50 {
		t.Errorf("%d failed, %d moves, %d cookies of 50 clients: %v", total.Failed, total.Moves, total.Cookies, total.Failures)
	}
}

// hundredRoutes returns an HTTPRoute of two rules with 50 matches each. A rule may have 64, an HTTPRoute 128.
func hundredRoutes(name string) string {
	text := strings.Builder{}
	fmt.Fprintf(&text, "apiVersion: %s\nkind: HTTPRoute\nmetadata: {name: %s}\nspec:\n", gatewayGroup, name)
	text.WriteString("  parentRefs: [{name: gateway-sp-demo}]\n  rules:\n")
	for rule := range 2 {
		text.WriteString("  - backendRefs: [{name: sp-demo, port: 80}]\n    matches:\n")
		for match := range 50 {
			fmt.Fprintf(&text, "    - path: {type: PathPrefix, value: /%s-%d-%02d}\n", name, rule, match)
		}
	}
	return text.String()
}

// Mooring is installed on a gateway under load, and removed again.
func TestMooringIsInstalledAndRemovedUnderLoad(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	load := traffic.StartLoad(t, 50, "/", s.Gateway(t, "gateway-sp-demo").Client)
	load.Await(t, 500)
	s.Mooring.Deploy(t)
	load.Await(t, 500)
	before := load.Totals()
	load.Await(t, 500)
	with := load.Totals()
	s.Mooring.Undeploy(t)
	load.Await(t, 500)
	total := load.Stop()
	t.Logf("%d requests before and during the installation, %d with Mooring, %d during and after the removal: %s",
		before.Requests, with.Requests-before.Requests, total.Requests-with.Requests, total)
	if total.Failed > 0 || total.Cookies != 50 || with.Moves > before.Moves {
		t.Errorf("%d failed %v, %d cookies of 50 clients, %d moves with sessions",
			total.Failed, total.Failures, total.Cookies, with.Moves-before.Moves)
	}
}
