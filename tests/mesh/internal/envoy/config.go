package envoy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// ConfigDump returns Envoy's whole configuration as JSON, with the endpoints.
func (e *Envoy) ConfigDump(t testing.TB) string {
	t.Helper()
	return e.Admin(t, "/config_dump?include_eds")
}

// Dump reads a part of the configuration dump, for example ecds_filters, into v.
func (e *Envoy) Dump(resource string, v any) error {
	page, err := e.admin("/config_dump?resource=" + resource)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(page), v)
}

// A Route is one route of Envoy, in the order in which Envoy matches them.
type Route struct {
	VirtualHost string
	Name        string
	Raw         json.RawMessage // the whole route
}

// RequiredHeader returns the exact value of a header that a request must have to match the route; empty if the route requires none.
func (r Route) RequiredHeader(name string) string {
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
		if header.Name == name && !header.Invert {
			return header.String.Exact + header.Exact
		}
	}
	return ""
}

// Contains reports whether the route has a text somewhere.
func (r Route) Contains(text string) bool { return strings.Contains(string(r.Raw), text) }

// A VirtualHost is one virtual host of Envoy with its routes.
type VirtualHost struct {
	Name   string
	Raw    json.RawMessage
	Routes []Route
}

// Routes returns the routes that istiod has sent.
func (e *Envoy) Routes() ([]Route, error) {
	hosts, err := e.VirtualHosts()
	var routes []Route
	for _, host := range hosts {
		routes = append(routes, host.Routes...)
	}
	return routes, err
}

// VirtualHosts returns the virtual hosts that istiod has sent, those in listeners too.
func (e *Envoy) VirtualHosts() ([]VirtualHost, error) {
	var hosts []VirtualHost
	for _, resource := range []string{"dynamic_route_configs", "static_route_configs"} {
		more, err := e.virtualHosts(resource)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, more...)
	}
	return hosts, nil
}

func (e *Envoy) virtualHosts(resource string) ([]VirtualHost, error) {
	var dump struct {
		Configs []struct {
			RouteConfig struct {
				VirtualHosts []json.RawMessage `json:"virtual_hosts"`
			} `json:"route_config"`
		} `json:"configs"`
	}
	if err := e.Dump(resource, &dump); err != nil {
		return nil, err
	}
	var hosts []VirtualHost
	for _, config := range dump.Configs {
		for _, raw := range config.RouteConfig.VirtualHosts {
			host, err := readVirtualHost(raw)
			if err != nil {
				return nil, err
			}
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

func readVirtualHost(raw json.RawMessage) (VirtualHost, error) {
	var dump struct {
		Name   string            `json:"name"`
		Routes []json.RawMessage `json:"routes"`
	}
	if err := json.Unmarshal(raw, &dump); err != nil {
		return VirtualHost{}, err
	}
	host := VirtualHost{Name: dump.Name, Raw: raw}
	for _, raw := range dump.Routes {
		var route struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(raw, &route); err != nil {
			return VirtualHost{}, err
		}
		host.Routes = append(host.Routes, Route{VirtualHost: dump.Name, Name: route.Name, Raw: raw})
	}
	return host, nil
}

// FindVirtualHost returns an error unless a virtual host of this name satisfies ok.
func FindVirtualHost(hosts []VirtualHost, name string, ok func(json.RawMessage) bool) error {
	var names []string
	for _, host := range hosts {
		if host.Name == name && ok(host.Raw) {
			return nil
		}
		names = append(names, host.Name)
	}
	return fmt.Errorf("virtual host %s is not among %q, or not as it should be", name, names)
}

// FindRoute returns the first route of this name that satisfies ok; a nil ok accepts any.
func FindRoute(routes []Route, name string, ok func(Route) bool) (Route, error) {
	var names []string
	for _, route := range routes {
		if route.Name == name && (ok == nil || ok(route)) {
			return route, nil
		}
		names = append(names, route.Name)
	}
	return Route{}, fmt.Errorf("route %s is not among %q, or not as it should be", name, names)
}

// ListenersContain reports whether a listener has this text somewhere.
func (e *Envoy) ListenersContain(text string) (bool, error) {
	page, err := e.admin("/config_dump?resource=dynamic_listeners")
	return strings.Contains(page, text), err
}

// HasListener returns an error unless some listener has this text, or with want false no listener has it, and Envoy has stopped using
// older listeners.
func (e *Envoy) HasListener(text string, want bool) error {
	has, err := e.ListenersContain(text)
	if err != nil {
		return err
	}
	if has != want {
		return fmt.Errorf("the listener has not been updated: %s", text)
	}
	stats, err := e.Stats(`^listener_manager\.total_`)
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

// A Host is one host of a cluster.
type Host struct {
	Health  string // as istiod sent it, for example HEALTHY
	Ejected bool   // by outlier detection
}

// Endpoints returns the hosts of each cluster by address.
func (e *Envoy) Endpoints() (map[string]map[string]Host, error) {
	page, err := e.admin("/clusters?format=json")
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
					Internal struct {
						Endpoint string `json:"endpoint_id"`
					} `json:"envoy_internal_address"`
				} `json:"address"`
				Health struct {
					EDS     string `json:"eds_health_status"`
					Ejected bool   `json:"failed_outlier_check"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal([]byte(page), &list); err != nil {
		return nil, err
	}
	clusters := map[string]map[string]Host{}
	for _, cluster := range list.Clusters {
		hosts := map[string]Host{}
		for _, host := range cluster.Hosts {
			address := host.Address.Socket.Address
			if address == "" { // a pod behind a tunnel
				address, _, _ = strings.Cut(host.Address.Internal.Endpoint, ":")
			}
			hosts[address] = Host{Health: host.Health.EDS, Ejected: host.Health.Ejected}
		}
		clusters[cluster.Name] = hosts
	}
	return clusters, nil
}
