//go:build mesh

package scenarios

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// The switch from other sessions to those of Mooring, by the files and commands of docs/migrate, under clients that have an old session.

const (
	migratePage = "docs/migrate/README.md"
	shopCluster = "outbound|80||shop.%s.svc.cluster.local"
)

// A page is a page of the documentation with a shell for its commands, which act on the namespace of a scenario.
type page struct {
	file  string
	shell *readme.Shell
}

func newPage(t *testing.T, s *scenario.Scenario, name string) page {
	t.Helper()
	file := rig.Env.RepositoryFile(name)
	files, err := readme.Files(file)
	if err != nil {
		t.Fatal(err)
	}
	shell := readme.NewShell(t, rig.Env, s.Cluster.Kubeconfig, "MODULE="+s.Mooring.ModuleURL(t))
	shell.WriteFiles(files)
	// Other scenarios share the API server, and the rig's old proxy is a gateway of Istio.
	shell.Replace("--from-cluster", "--from-cluster --namespace "+s.Namespace+" --gateway "+s.Namespace+"/web",
		"kubectl ", "kubectl --namespace "+s.Namespace+" ", "--all-namespaces", "")
	return page{file, shell}
}

// run runs commands below a heading: all of them, or those from first to before last.
func (p page) run(t *testing.T, heading string, commands ...int) {
	t.Helper()
	found, err := readme.SectionCommands(p.file, heading)
	if err != nil {
		t.Fatal(err)
	}
	if len(commands) == 2 {
		found = found[commands[0]:commands[1]]
	}
	p.shell.Run(found)
}

// A dns leads clients to a gateway, and can be changed. It is safe for concurrent use.
type dns struct {
	at atomic.Pointer[gateway.Gateway]
}

func newDNS(g *gateway.Gateway) *dns {
	d := &dns{}
	d.at.Store(g)
	return d
}

// client returns a client that asks the dns before each request.
func (d *dns) client(t testing.TB) *traffic.Client {
	dial := func(ctx context.Context) (net.Conn, error) { return d.at.Load().Dialer(80)(ctx) }
	client := traffic.NewClient(t, dial, traffic.WithoutKeepAlive())
	client.Host = "shop.example"
	return client
}

// expectNoMoves fails unless no request fails and no client moves during and after a step, and this many responses set a cookie.
func expectNoMoves(t *testing.T, load *traffic.Load, step string, cookies int, change func()) {
	t.Helper()
	before := load.Totals()
	change()
	load.AwaitAllClients(t)
	load.Await(t, 200)
	seen := load.Totals().Since(before)
	t.Logf("%s: %s", step, seen)
	expectNothingLost(t, step, seen)
	if seen.Cookies != cookies {
		t.Errorf("%s: %d cookies, expected %d", step, seen.Cookies, cookies)
	}
}

func TestSwitchFromConsistentHash(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "switch", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	web, cluster := s.Gateway(t, "web"), strings.Replace(shopCluster, "%s", s.Namespace, 1)
	s.Apply(t, `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: shop}, spec: {host: shop,
		trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: shop-hash, ttl: 3600s}}}}}}`)
	web.Envoy.AwaitCluster(t, cluster, "RING_HASH")

	load := startLoad(t, web.Client, "/")
	idle := settle(t, web.Client, "/", "Set-Cookie", 20)
	expectNothingLost(t, "with the hash alone", load.During(t, "with the hash alone", 200, func() {}))

	p := newPage(t, s, migratePage)
	const heading = "Keep the hash below Mooring"
	expectNoMoves(t, load, "the policy is added", loadSize, func() {
		p.run(t, heading, 0, 2)
		s.Mooring.Adopt(t)
	})

	// Clients with a session stay when pods are added, although the hash leads some of them elsewhere.
	expectNothingLost(t, "pods are added", load.During(t, "pods are added", 200, func() { s.Pods.Scale(t, "shop", 7) }))

	expectNoMoves(t, load, "the hash is removed", 0, func() {
		p.run(t, heading, 2, 3)
		web.Envoy.AwaitClusterWithout(t, cluster, "RING_HASH")
	})

	// Those that made no request in between move, by chance not all of them.
	moved := 0
	for client, first := range idle {
		if reply := client.Get(t, "/"); reply.Pod != first.Pod {
			moved++
		}
	}
	t.Logf("%d of %d idle clients moved", moved, len(idle))
	if moved == 0 {
		t.Error("no idle client moved, so the test proves nothing")
	}
	t.Log(load.Stop())
}

// With the name of the old cookie, the module removes the cookie that the hash needs: why the pages say to choose a new name.
func TestSwitchFromConsistentHashWithTheOldName(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "switch", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	web := s.Gateway(t, "web")
	s.Apply(t, `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: shop}, spec: {host: shop,
		trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: shop-session, ttl: 3600s}}}}}}`)
	web.Envoy.AwaitCluster(t, strings.Replace(shopCluster, "%s", s.Namespace, 1), "RING_HASH")
	clients := settle(t, web.Client, "/", "Set-Cookie", 20)
	s.ApplyFile(t, "policies/session.yaml")
	s.Mooring.Deploy(t)
	moved := 0
	for client, first := range clients {
		if client.Get(t, "/").Pod != first.Pod {
			moved++
		}
	}
	t.Logf("%d of %d clients moved", moved, len(clients))
	if moved == 0 {
		t.Error("no client moved, so the old name does no harm")
	}
}

func TestSwitchWithTheOldProxyBehindTheGateway(t *testing.T) {
	t.Parallel()
	s, p, d, load := startOldProxy(t)
	web, old := s.Gateway(t, "web"), s.Gateway(t, "old")
	const heading = "Keep the old proxy behind the gateway"
	p.run(t, heading, 0, 2)
	s.Mooring.Adopt(t)
	web.Envoy.AwaitRoute(t, "old-sessions", envoy.Containing("shop-old"))
	expectNothingLost(t, "before the switch", load.During(t, "before the switch", 200, func() {}))

	before := load.Totals()
	d.at.Store(web)
	load.AwaitAllClients(t)
	load.Await(t, 200)
	seen := load.Totals().Since(before)
	t.Logf("DNS leads to the new gateway: %s", seen)
	expectNothingLost(t, "DNS leads to the new gateway", seen)
	if seen.Cookies > 0 {
		t.Errorf("clients with an old session got %d cookies", seen.Cookies)
	}

	// New clients go straight to the pods.
	fresh := map[*traffic.Client]traffic.Reply{}
	for range 20 {
		client := d.client(t)
		first := client.Get(t, "/")
		cookieOf(t, first, "shop-session")
		expectOnPod(t, client, "/", first.Pod, 5)
		if first.Pod != "shop-3" { // which is to be removed
			fresh[client] = first
		}
	}
	again := d.client(t)
	again.Get(t, "/")
	if received := again.Get(t, "/").Received.Headers.Get("Cookie"); !strings.Contains(received, "shop-session=") {
		t.Errorf("the pod received Cookie %q, without the token that a match on the header Cookie leaves", received)
	}

	// The old proxy gives clients of a pod that is gone another pod and another cookie, which passes through the new gateway.
	on := load.ClientsByPod()["shop-3"]
	seen = load.During(t, "an old pod is removed", 200, func() {
		s.Pods.Scale(t, "shop", 3)
		load.AwaitAllClients(t)
	})
	if seen.Failed > 0 || seen.Moves != on || seen.MovedClients != on || seen.Cookies != on {
		t.Errorf("an old pod is removed: %d clients were on it; %s", on, seen)
	}
	s.Pods.Scale(t, "shop", 4)
	load.Stop()

	// A client with a new session that DNS still leads to the old proxy.
	late := d.client(t)
	first := late.Get(t, "/")
	cookieOf(t, first, "shop-session")
	d.at.Store(old)
	load = startLoad(t, d.client, "/") // of clients that have not moved yet
	back := late.Get(t, "/")
	if cookie := cookieOf(t, back, "shop-old"); cookie.MaxAge != 3600 {
		t.Errorf("Max-Age is %d", cookie.MaxAge)
	}
	d.at.Store(web)
	expectOnPod(t, late, "/", back.Pod, 10)

	before = load.Totals()
	p.run(t, heading, 2, 4)
	s.Mooring.Adopt(t)
	web.Envoy.AwaitNoRoute(t, "old-sessions")
	load.AwaitAllClients(t)
	seen = load.Totals().Since(before)
	t.Logf("the rule is removed: %s", seen)
	// Workers get new routes one after the other, so a client may reach the old proxy once more.
	if seen.Failed > 0 || seen.Moves > seen.MovedClients+4 || seen.Cookies != loadSize {
		t.Errorf("the rule is removed: %d failed %v, %d moves of %d clients, %d cookies",
			seen.Failed, seen.Failures, seen.Moves, seen.MovedClients, seen.Cookies)
	}
	for client, first := range fresh {
		expectOnPod(t, client, "/", first.Pod, 3)
	}
	if received := again.Get(t, "/").Received.Headers.Get("Cookie"); strings.Contains(received, "shop-session=") {
		t.Errorf("the pod still receives Cookie %q", received)
	}
	expectNothingLost(t, "at the end", load.During(t, "at the end", 200, func() {}))
	expectNoFindings(t, s)
	t.Log(load.Stop())
}

// startOldProxy starts fifty clients with a session of the old proxy.
func startOldProxy(t *testing.T) (*scenario.Scenario, page, *dns, *traffic.Load) {
	t.Helper()
	s := rig.Start(t, "switch", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "old/proxy.yaml")
	old := s.Gateway(t, "old")
	old.Envoy.AwaitListener(t, "stateful_session")
	wait.Eventually(t, "the old proxy serves", old.Serves)
	d := newDNS(old)
	return s, newPage(t, s, migratePage), d, startLoad(t, d.client, "/")
}

// Envoy Gateway's cookie holds the address of the pod, and Envoy's filter that reads it can stand below Mooring on the new gateway.
func TestSwitchWithEnvoysCookieFilterBelowMooring(t *testing.T) {
	t.Parallel()
	s, _, d, load := startOldProxy(t)
	p := newPage(t, s, "docs/migrate/envoy-gateway.md")
	web := s.Gateway(t, "web")
	const heading, filter = "Keep Envoy's cookie filter below Mooring", "old-sessions.stateful_session"
	p.run(t, heading, 0, 2)
	s.Mooring.Adopt(t)
	web.Envoy.AwaitListener(t, filter)

	expectNoMoves(t, load, "DNS leads to the new gateway", loadSize, func() { d.at.Store(web) })
	expectNoMoves(t, load, "the filter is removed", 0, func() {
		p.run(t, heading, 2, 3)
		web.Envoy.AwaitNoListener(t, filter)
	})
	client := d.client(t)
	first := client.Get(t, "/")
	cookieOf(t, first, "shop-session")
	expectOnPod(t, client, "/", first.Pod, 10)
	expectNoFindings(t, s)
	t.Log(load.Stop())
}
