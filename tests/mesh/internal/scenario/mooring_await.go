package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/wait"
)

// AwaitDeployed waits until every worker of every proxy serves by what has been generated for it.
func (m *Mooring) AwaitDeployed(t testing.TB) {
	t.Helper()
	for _, obj := range m.generated {
		if !mooring.IsRoute(obj) {
			continue
		}
		for _, p := range m.s.manager.Proxies() {
			wait.Eventually(t, fmt.Sprintf("the session routes of %s are in %s", kube.Describe(obj), p), func() error {
				return mooring.HasSessionRoutes(m.s.Cluster.Kube, p, obj)
			})
		}
	}
	m.AwaitFilters(t)
}

// AwaitFilters is AwaitDeployed without session routes, for a test in which istiod may leave some out, as it does with all that follow a
// catch-all route.
func (m *Mooring) AwaitFilters(t testing.TB) {
	t.Helper()
	for _, obj := range m.generated {
		for _, p := range m.s.manager.Proxies() {
			if !mooring.IsRoute(obj) && mooring.Attached(obj, p) {
				wait.Eventually(t, kube.Describe(obj)+" is in "+p.String(), func() error { return mooring.Serves(p, obj) })
			}
		}
	}
	m.syncWorkers(t)
}

// awaitNoFilters waits until no proxy has a filter of Mooring, and no route is kept from requests that have a session.
func (m *Mooring) awaitNoFilters(t testing.TB) {
	t.Helper()
	for _, p := range m.s.manager.Proxies() {
		for _, name := range []string{`"mooring.`, "mooring-"} {
			if p.Role == proxy.Waypoint && name == "mooring-" {
				continue // its listeners have the session routes, which go last
			}
			p.Envoy.AwaitNoListener(t, name)
		}
		p.Envoy.Await(t, "no route of "+p.Name+" excludes requests with a session", func() error {
			return mooring.NoRouteContains(p, "invert_match", "x-mooring-")
		})
	}
}

// awaitPruned waits until no proxy has what had been generated and no longer is.
func (m *Mooring) awaitPruned(t testing.TB, old []*kube.Object) {
	t.Helper()
	var keys []string
	filters := map[proxy.Role][]string{}
	for _, obj := range m.generated {
		keys = append(keys, mooring.KeysOf(obj.Object)...)
		for _, role := range proxy.Roles {
			filters[role] = append(filters[role], mooring.HTTPFilters(obj, role)...)
		}
	}
	for _, obj := range old {
		if m.isGenerated(obj) {
			continue
		}
		for _, p := range m.s.manager.Proxies() {
			if obj.GetKind() == "WasmPlugin" && mooring.Attached(obj, p) {
				p.Envoy.AwaitNoListener(t, obj.GetNamespace()+"."+obj.GetName()+"~")
			}
			for _, filter := range mooring.HTTPFilters(obj, p.Role) {
				if !slices.Contains(filters[p.Role], filter) {
					p.Envoy.AwaitNoListener(t, strconv.Quote(filter))
				}
			}
			for _, key := range mooring.KeysOf(obj.Object) {
				if !slices.Contains(keys, key) {
					awaitNoSessionRoute(t, p, key)
				}
			}
		}
	}
	m.syncWorkers(t)
}

func awaitNoSessionRoute(t testing.TB, p *proxy.Proxy, key string) {
	t.Helper()
	wait.Eventually(t, "no session route for "+key+" is in "+p.String(), func() error {
		have, err := mooring.SessionKeys(p)
		if err == nil && slices.Contains(have, key) {
			err = errors.New("there still is one")
		}
		return err
	})
}

func (m *Mooring) syncWorkers(t testing.TB) {
	t.Helper()
	for _, p := range m.s.manager.Proxies() {
		if err := p.Envoy.SyncWorkers(); err != nil {
			t.Fatal(err)
		}
	}
}

// forget deletes what has been generated, at the end of the test, and waits until istiod no longer sends it: the proxies of the next
// scenario of this name would start with it. It returns no error, because the test has reported any trouble by then.
func (m *Mooring) forget() {
	for _, obj := range mooring.RemovalOrder(m.generated) {
		_ = m.s.Cluster.Kube.Delete(obj)
	}
	if len(m.generated) == 0 {
		return
	}
	for _, p := range m.s.manager.Proxies() {
		if p.Envoy == nil || p.Envoy.Process.Exited() != nil {
			continue
		}
		_ = wait.Until("istiod no longer sends it", func() error {
			if has, err := p.Envoy.ListenersContain("mooring"); err != nil || has {
				return fmt.Errorf("a listener has it: %t, %w", has, err)
			}
			return mooring.NoRouteContains(p, mooring.BackendHeader)
		})
	}
}
