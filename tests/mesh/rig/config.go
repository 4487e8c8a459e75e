package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ConfigDump is Envoy's whole configuration as JSON, with the endpoints.
func (g *Gateway) ConfigDump() string {
	g.t.Helper()
	return g.Admin("/config_dump?include_eds")
}

// A Route is one route of Envoy's, in the order in which it is matched.
type Route struct {
	VirtualHost string
	Name        string
	Raw         json.RawMessage // the whole route as Envoy has it
}

// Key is the key that a request must carry in order to match a session route, and empty for other routes.
func (r Route) Key() string {
	var route struct {
		Match struct {
			Headers []struct {
				Name   string `json:"name"`
				Invert bool   `json:"invert_match"`
				String struct {
					Exact string `json:"exact"`
				} `json:"string_match"`
				Exact string `json:"exact_match"`
			} `json:"headers"`
		} `json:"match"`
	}
	if err := json.Unmarshal(r.Raw, &route); err != nil {
		return ""
	}
	for _, header := range route.Match.Headers {
		if header.Name == backendHeader && !header.Invert {
			return header.String.Exact + header.Exact
		}
	}
	return ""
}

// Routes are the routes that istiod has sent.
func (g *Gateway) Routes() []Route {
	g.t.Helper()
	routes, err := g.routes()
	if err != nil {
		g.t.Fatal(err)
	}
	return routes
}

func (g *Gateway) routes() ([]Route, error) {
	hosts, err := g.virtualHosts()
	if err != nil {
		return nil, err
	}
	return routesOf(hosts)
}

func routesOf(hosts []virtualHost) ([]Route, error) {
	var routes []Route
	for _, host := range hosts {
		for _, raw := range host.routes {
			var named struct {
				Name string `json:"name"`
			}
			if err := json.Unmarshal(raw, &named); err != nil {
				return nil, err
			}
			routes = append(routes, Route{VirtualHost: host.name, Name: named.Name, Raw: raw})
		}
	}
	return routes, nil
}

type virtualHost struct {
	name   string
	raw    json.RawMessage
	routes []json.RawMessage
}

func (g *Gateway) virtualHosts() ([]virtualHost, error) {
	page, err := g.admin("/config_dump?resource=dynamic_route_configs")
	if err != nil {
		return nil, err
	}
	var dump struct {
		Configs []struct {
			RouteConfig struct {
				VirtualHosts []json.RawMessage `json:"virtual_hosts"`
			} `json:"route_config"`
		} `json:"configs"`
	}
	if err := json.Unmarshal([]byte(page), &dump); err != nil {
		return nil, err
	}
	var hosts []virtualHost
	for _, config := range dump.Configs {
		for _, raw := range config.RouteConfig.VirtualHosts {
			var host struct {
				Name   string            `json:"name"`
				Routes []json.RawMessage `json:"routes"`
			}
			if err := json.Unmarshal(raw, &host); err != nil {
				return nil, err
			}
			hosts = append(hosts, virtualHost{host.Name, raw, host.Routes})
		}
	}
	return hosts, nil
}

// AwaitVirtualHost waits until Envoy has a virtual host of this name for which ok says yes.
func (g *Gateway) AwaitVirtualHost(name string, ok func(json.RawMessage) bool) {
	g.t.Helper()
	Eventually(g.t, "virtual host "+name+" is in "+g.Name, func() error {
		hosts, err := g.virtualHosts()
		if err != nil {
			return err
		}
		return hasVirtualHost(hosts, name, ok)
	})
}

func hasVirtualHost(hosts []virtualHost, name string, ok func(json.RawMessage) bool) error {
	var names []string
	for _, host := range hosts {
		if host.name == name && ok(host.raw) {
			return nil
		}
		names = append(names, host.name)
	}
	return fmt.Errorf("virtual host %s is not among %q, or not as it should be", name, names)
}

// AwaitRoute waits until Envoy has a route of this name for which ok says yes; a nil ok takes any.
func (g *Gateway) AwaitRoute(name string, ok func(Route) bool) Route {
	g.t.Helper()
	var found Route
	Eventually(g.t, "route "+name+" is in "+g.Name, func() error {
		routes, err := g.routes()
		if err != nil {
			return err
		}
		found, err = findRoute(routes, name, ok)
		return err
	})
	return found
}

func findRoute(routes []Route, name string, ok func(Route) bool) (Route, error) {
	var names []string
	for _, route := range routes {
		if route.Name == name && (ok == nil || ok(route)) {
			return route, nil
		}
		names = append(names, route.Name)
	}
	return Route{}, fmt.Errorf("route %s is not among %q, or not as it should be", name, names)
}

// AwaitNoRoute waits until no route has this name.
func (g *Gateway) AwaitNoRoute(name string) {
	g.t.Helper()
	Eventually(g.t, "no route "+name+" is in "+g.Name, func() error {
		routes, err := g.routes()
		if err == nil && slices.ContainsFunc(routes, func(r Route) bool { return r.Name == name }) {
			err = errors.New("it is there")
		}
		return err
	})
}

// Contains is for AwaitRoute: the route has this text somewhere.
func Contains(text string) func(Route) bool {
	return func(r Route) bool { return strings.Contains(string(r.Raw), text) }
}

// AwaitListener waits until a listener of Envoy's has this text somewhere, for example the name of an HTTP filter, and
// it is in use, with no connection left on an older one.
func (g *Gateway) AwaitListener(text string) { g.awaitListeners("has "+text, text, true) }

// AwaitNoListener waits until no listener has this text.
func (g *Gateway) AwaitNoListener(text string) { g.awaitListeners("no longer has "+text, text, false) }

func (g *Gateway) awaitListeners(what, text string, want bool) {
	g.t.Helper()
	Eventually(g.t, "the listener of "+g.Name+" "+what, func() error { return g.hasListener(text, want) })
}

// hasListener is an error unless the listeners have this text, or have it nowhere, and no older listener is in use.
func (g *Gateway) hasListener(text string, want bool) error {
	page, err := g.admin("/config_dump?resource=dynamic_listeners")
	if err != nil {
		return err
	}
	if strings.Contains(page, text) != want {
		return fmt.Errorf("the listener has not been updated: %s", text)
	}
	stats, err := g.stats(`^listener_manager\.total_`)
	if err != nil {
		return err
	}
	for _, state := range []string{"listeners_warming", "listeners_draining", "filter_chains_draining"} {
		if n := stats["listener_manager.total_"+state]; n > 0 {
			return fmt.Errorf("%s: %d", state, n)
		}
	}
	return nil
}

// endpoints are the hosts of each cluster: address → health as istiod says.
func (g *Gateway) endpoints() (map[string]map[string]string, error) {
	page, err := g.admin("/clusters?format=json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Clusters []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
					} `json:"socket_address"`
				} `json:"address"`
				Health struct {
					EDS string `json:"eds_health_status"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal([]byte(page), &list); err != nil {
		return nil, err
	}
	clusters := map[string]map[string]string{}
	for _, cluster := range list.Clusters {
		hosts := map[string]string{}
		for _, host := range cluster.Hosts {
			hosts[host.Address.Socket.Address] = host.Health.EDS
		}
		clusters[cluster.Name] = hosts
	}
	return clusters, nil
}

// AwaitCluster waits until Envoy has a cluster of this name with this text somewhere.
func (g *Gateway) AwaitCluster(name, text string) {
	g.t.Helper()
	g.AwaitDump("dynamic_active_clusters&name_regex="+url.QueryEscape(regexp.QuoteMeta(name)), text)
}

// AwaitNoCluster waits until the cluster of this name has this text nowhere.
func (g *Gateway) AwaitNoCluster(name, text string) {
	g.t.Helper()
	Eventually(g.t, "cluster "+name+" of "+g.Name+" no longer has "+text, func() error {
		page, err := g.admin("/config_dump?resource=dynamic_active_clusters&name_regex=" + url.QueryEscape(regexp.QuoteMeta(name)))
		if err == nil && (!strings.Contains(page, name) || strings.Contains(page, text)) {
			err = fmt.Errorf("it is %s", page)
		}
		return err
	})
}

// AwaitEndpoints waits until a cluster has just these addresses, for hosts that are no pods of a Service.
func (g *Gateway) AwaitEndpoints(cluster string, addresses ...string) {
	g.t.Helper()
	slices.Sort(addresses)
	Eventually(g.t, "cluster "+cluster+" of "+g.Name+" has its endpoints", func() error {
		clusters, err := g.endpoints()
		have := slices.Sorted(maps.Keys(clusters[cluster]))
		if err == nil && !slices.Equal(have, addresses) {
			err = fmt.Errorf("they are %v", have)
		}
		return err
	})
}

// AwaitDump waits until a part of Envoy's configuration dump, for example ecds_filters, has this text somewhere.
func (g *Gateway) AwaitDump(resource, text string) {
	g.t.Helper()
	Eventually(g.t, resource+" of "+g.Name+" has "+text, func() error {
		page, err := g.admin("/config_dump?resource=" + resource)
		if err == nil && !strings.Contains(page, text) {
			err = fmt.Errorf("it is %s", page)
		}
		return err
	})
}
