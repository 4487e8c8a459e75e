package envoy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/wait"
)

// Await waits until check returns nil and every worker has the configuration that check has seen.
func (e *Envoy) Await(t testing.TB, what string, check func() error) {
	t.Helper()
	wait.Eventually(t, what, check)
	if err := e.SyncWorkers(); err != nil {
		t.Fatal(err)
	}
}

// AwaitVirtualHost waits until Envoy has a virtual host of this name that satisfies ok.
func (e *Envoy) AwaitVirtualHost(t testing.TB, name string, ok func(json.RawMessage) bool) {
	t.Helper()
	e.Await(t, "virtual host "+name+" is in "+e.Name, func() error {
		hosts, err := e.VirtualHosts()
		if err != nil {
			return err
		}
		return FindVirtualHost(hosts, name, ok)
	})
}

// AwaitRoute waits until Envoy has a route of this name that satisfies ok; a nil ok accepts any.
func (e *Envoy) AwaitRoute(t testing.TB, name string, ok func(Route) bool) Route {
	t.Helper()
	var found Route
	e.Await(t, "route "+name+" is in "+e.Name, func() error {
		routes, err := e.Routes()
		if err != nil {
			return err
		}
		found, err = FindRoute(routes, name, ok)
		return err
	})
	return found
}

// Containing is for AwaitRoute: it accepts routes that have a text somewhere.
func Containing(text string) func(Route) bool {
	return func(r Route) bool { return r.Contains(text) }
}

// AwaitNoRoute waits until no route has this name.
func (e *Envoy) AwaitNoRoute(t testing.TB, name string) {
	t.Helper()
	e.Await(t, "no route "+name+" is in "+e.Name, func() error {
		routes, err := e.Routes()
		if err == nil && slices.ContainsFunc(routes, func(r Route) bool { return r.Name == name }) {
			err = errors.New("it still is")
		}
		return err
	})
}

// AwaitListener waits until a listener has this text somewhere, for example the name of an HTTP filter, and no connection is on an
// older listener.
func (e *Envoy) AwaitListener(t testing.TB, text string) {
	t.Helper()
	e.Await(t, "the listener of "+e.Name+" has "+text, func() error { return e.HasListener(text, true) })
}

// AwaitNoListener waits until no listener has this text, and no connection is on an older listener.
func (e *Envoy) AwaitNoListener(t testing.TB, text string) {
	t.Helper()
	e.Await(t, "the listener of "+e.Name+" no longer has "+text, func() error { return e.HasListener(text, false) })
}

// AwaitCluster waits until Envoy has a cluster of this name with this text somewhere.
func (e *Envoy) AwaitCluster(t testing.TB, name, text string) {
	t.Helper()
	e.AwaitDump(t, "dynamic_active_clusters&name_regex="+url.QueryEscape(regexp.QuoteMeta(name)), text)
}

// AwaitClusterWithout waits until the cluster of this name has this text nowhere.
func (e *Envoy) AwaitClusterWithout(t testing.TB, name, text string) {
	t.Helper()
	e.Await(t, "cluster "+name+" of "+e.Name+" no longer has "+text, func() error {
		page, err := e.admin("/config_dump?resource=dynamic_active_clusters&name_regex=" + url.QueryEscape(regexp.QuoteMeta(name)))
		if err == nil && (!strings.Contains(page, name) || strings.Contains(page, text)) {
			err = fmt.Errorf("it is %s", page)
		}
		return err
	})
}

// AwaitEndpoints waits until a cluster has exactly these addresses. It is for hosts that are no pods of a Service.
func (e *Envoy) AwaitEndpoints(t testing.TB, cluster string, addresses ...string) {
	t.Helper()
	slices.Sort(addresses)
	e.Await(t, "cluster "+cluster+" of "+e.Name+" has its endpoints", func() error {
		clusters, err := e.Endpoints()
		have := slices.Sorted(maps.Keys(clusters[cluster]))
		if err == nil && !slices.Equal(have, addresses) {
			err = fmt.Errorf("they are %v", have)
		}
		return err
	})
}

// AwaitEjected calls send, which sends a request, until outlier detection has ejected all these addresses of a cluster, and waits until
// every worker knows that.
func (e *Envoy) AwaitEjected(t testing.TB, cluster string, send func(), addresses ...string) {
	t.Helper()
	wait.Eventually(t, "outlier detection of "+e.Name+" has ejected hosts of "+cluster, func() error {
		send()
		clusters, err := e.Endpoints()
		if err != nil {
			return err
		}
		for _, address := range addresses {
			if !clusters[cluster][address].Ejected {
				return fmt.Errorf("%s is not ejected", address)
			}
		}
		return nil
	})
	// Envoy merges ejections that follow each other within common_lb_config.update_merge_window, by default a second: the workers get the
	// later ones at the end of it.
	time.Sleep(time.Second)
	if err := e.SyncWorkers(); err != nil {
		t.Fatal(err)
	}
}

// AwaitDump waits until a part of Envoy's configuration dump, for example ecds_filters, has this text somewhere.
func (e *Envoy) AwaitDump(t testing.TB, resource, text string) {
	t.Helper()
	e.Await(t, resource+" of "+e.Name+" has "+text, func() error {
		page, err := e.admin("/config_dump?resource=" + resource)
		if err == nil && !strings.Contains(page, text) {
			err = fmt.Errorf("it is %s", page)
		}
		return err
	})
}
