package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/wait"
)

// AwaitDeployed waits until every worker of every gateway serves by what has been generated for it.
func (m *Mooring) AwaitDeployed(t testing.TB) {
	t.Helper()
	for _, obj := range m.generated {
		if !mooring.IsRoute(obj) {
			continue
		}
		for _, g := range m.s.manager.Gateways {
			wait.Eventually(t, fmt.Sprintf("the session routes of %s are in %s", kube.Describe(obj), g.Name), func() error {
				return mooring.HasSessionRoutes(m.s.Cluster.Kube, g, obj)
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
		for _, g := range m.s.manager.Gateways {
			if g.Namespace == obj.GetNamespace() && mooring.Attached(obj, g) {
				wait.Eventually(t, kube.Describe(obj)+" is in "+g.Name, func() error { return mooring.Serves(g, obj) })
			}
		}
	}
	m.syncWorkers(t)
}

// awaitNoFilters waits until no gateway has a filter of Mooring, and no route is kept from requests that have a session.
func (m *Mooring) awaitNoFilters(t testing.TB) {
	t.Helper()
	for _, g := range m.s.manager.Gateways {
		g.Envoy.AwaitNoListener(t, "mooring")
		g.Envoy.Await(t, "no route of "+g.Name+" excludes requests with a session", func() error {
			return mooring.NoRouteContains(g, "invert_match", "x-mooring-")
		})
	}
}

// awaitPruned waits until no gateway has what had been generated and no longer is.
func (m *Mooring) awaitPruned(t testing.TB, old []*kube.Object) {
	t.Helper()
	var filters, keys []string
	for _, obj := range m.generated {
		filters, keys = append(filters, mooring.HTTPFilters(obj)...), append(keys, mooring.KeysOf(obj.Object)...)
	}
	for _, obj := range old {
		if m.isGenerated(obj) {
			continue
		}
		for _, g := range m.s.manager.Gateways {
			if obj.GetKind() == "WasmPlugin" && g.Namespace == obj.GetNamespace() && mooring.Attached(obj, g) {
				g.Envoy.AwaitNoListener(t, obj.GetNamespace()+"."+obj.GetName()+"~")
			}
			for _, filter := range mooring.HTTPFilters(obj) {
				if !slices.Contains(filters, filter) {
					g.Envoy.AwaitNoListener(t, strconv.Quote(filter))
				}
			}
			for _, key := range mooring.KeysOf(obj.Object) {
				if !slices.Contains(keys, key) {
					awaitNoSessionRoute(t, g, key)
				}
			}
		}
	}
	m.syncWorkers(t)
}

func awaitNoSessionRoute(t testing.TB, g *gateway.Gateway, key string) {
	t.Helper()
	wait.Eventually(t, "no session route for "+key+" is in "+g.Name, func() error {
		have, err := mooring.SessionKeys(g)
		if err == nil && slices.Contains(have, key) {
			err = errors.New("there still is one")
		}
		return err
	})
}

func (m *Mooring) syncWorkers(t testing.TB) {
	t.Helper()
	for _, g := range m.s.manager.Gateways {
		if err := g.Envoy.SyncWorkers(); err != nil {
			t.Fatal(err)
		}
	}
}

// forget deletes what has been generated, at the end of the test, and waits until istiod no longer sends it: the gateways of the next
// scenario of this name would start with it. It returns no error, because the test has reported any trouble by then.
func (m *Mooring) forget() {
	for _, obj := range mooring.RemovalOrder(m.generated) {
		_ = m.s.Cluster.Kube.Delete(obj)
	}
	if len(m.generated) == 0 {
		return
	}
	for _, g := range m.s.manager.Gateways {
		if g.Envoy.Process.Exited() != nil {
			continue
		}
		_ = wait.Until("istiod no longer sends it", func() error {
			if has, err := g.Envoy.ListenersContain("mooring"); err != nil || has {
				return fmt.Errorf("a listener has it: %t, %w", has, err)
			}
			return mooring.NoRouteContains(g, mooring.BackendHeader)
		})
	}
}
