//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
)

// The commands of docs/uninstalling.md, under clients with a session.
func TestUninstallingAsThePageSays(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "switch", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "policies/session.yaml")
	// Session routes exist only for several backends.
	s.Apply(t, `{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {selector: {app: shop},
		ports: [{name: http, port: 80, targetPort: 8080}]}}`)
	s.Patch(t, gatewayGroup, "HTTPRoute", "shop", `{"spec":{"rules":[{"name":"shop","backendRefs":[{"name":"shop","port":80},
		{"name":"other","port":80}],"sessionPersistence":{"sessionName":"shop-session"}}]}}`)
	s.Mooring.Deploy(t)
	load, web := startLoad(t, s.Gateway(t, "web").Client, "/"), s.Gateway(t, "web").Envoy
	p := newPage(t, s, "docs/uninstalling.md")

	before := load.Totals()
	p.run(t, "Pause it", 0, 1)
	web.AwaitNoListener(t, "mooring-web~")
	load.AwaitAllClients(t)
	paused := load.Totals().Since(before)
	t.Logf("paused: %s", paused)
	before = load.Totals()
	p.run(t, "Pause it", 1, 2)
	s.Mooring.Adopt(t)
	load.AwaitAllClients(t)
	// The clients return to the pods of their sessions once, and stay.
	again := load.Totals()
	expectNothingLost(t, "after the pause", load.During(t, "after the pause", 200, func() {}))
	if paused.Failed > 0 || paused.Moves == 0 || paused.Cookies > 0 || again.Since(before).Cookies > 0 {
		t.Errorf("%d failed %v, %d moves, %d cookies in the pause, %d after it",
			paused.Failed, paused.Failures, paused.Moves, paused.Cookies, again.Since(before).Cookies)
	}

	before = load.Totals()
	p.run(t, "Remove it from the cluster")
	web.AwaitNoListener(t, "mooring")
	load.AwaitAllClients(t)
	load.Await(t, 200)
	removed := load.Totals().Since(before)
	t.Logf("removed: %s", removed)
	if removed.Failed > 0 || removed.Cookies > 0 {
		t.Errorf("%d failed %v, %d cookies", removed.Failed, removed.Failures, removed.Cookies)
	}
	if total := load.Stop(); total.Failed > 0 {
		t.Errorf("in all: %s", total)
	}
}
