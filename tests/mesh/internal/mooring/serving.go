package mooring

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
)

// Serves returns an error unless a proxy serves by a generated WasmPlugin or EnvoyFilter that is attached to it.
func Serves(p *proxy.Proxy, obj *kube.Object) error {
	switch obj.GetKind() {
	case "WasmPlugin":
		if err := hasPlugin(p.Envoy, obj); err != nil {
			return err
		}
		return p.Envoy.HasListener(obj.GetNamespace()+"."+obj.GetName(), true)
	case "EnvoyFilter":
		if err := hasPatches(p, obj); err != nil {
			return err
		}
		for _, filter := range HTTPFilters(obj, p.Role) {
			if err := p.Envoy.HasListener(filter, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// NoRouteContains returns an error while a proxy has a route with all these texts.
func NoRouteContains(p *proxy.Proxy, texts ...string) error {
	routes, err := p.Envoy.Routes()
	if err != nil {
		return err
	}
	for _, route := range routes {
		missing := func(text string) bool { return !route.Contains(text) }
		if !slices.ContainsFunc(texts, missing) {
			return fmt.Errorf("route %s of %s has %q", route.Name, route.VirtualHost, texts)
		}
	}
	return nil
}

// hasPlugin returns an error unless Envoy has the plugin's configuration.
func hasPlugin(e *envoy.Envoy, plugin *kube.Object) error {
	want, _, _ := unstructured.NestedMap(plugin.Object, "spec", "pluginConfig")
	url, _, _ := unstructured.NestedString(plugin.Object, "spec", "url")
	file, local := strings.CutPrefix(url, "file://")
	if !local {
		file = fetchedFile(plugin, url)
	}
	name := plugin.GetNamespace() + "." + plugin.GetName()
	var dump struct {
		Configs []struct {
			Filter struct {
				Config struct {
					Config struct {
						Name          string          `json:"name"`
						VM            json.RawMessage `json:"vm_config"`
						Configuration struct {
							Value string `json:"value"`
						} `json:"configuration"`
					} `json:"config"`
				} `json:"typed_config"`
			} `json:"ecds_filter"`
		} `json:"configs"`
	}
	if err := e.Dump("ecds_filters", &dump); err != nil {
		return err
	}
	var have any
	for _, config := range dump.Configs {
		plugin := config.Filter.Config.Config
		if !strings.HasPrefix(plugin.Name, name) || !strings.Contains(string(plugin.VM), file) {
			continue
		}
		if err := json.Unmarshal([]byte(plugin.Configuration.Value), &have); err != nil {
			return err
		}
	}
	if !sameJSON(want, have) {
		return fmt.Errorf("the configuration of %s is %v", name, have)
	}
	return nil
}

// fetchedFile returns what is in the name of the file in which Istio's agent keeps a module that it has fetched: the checksum, if the
// plugin has one.
func fetchedFile(plugin *kube.Object, url string) string {
	checksum, _, _ := unstructured.NestedString(plugin.Object, "spec", "sha256")
	if _, digest, ok := strings.Cut(url, "@sha256:"); ok {
		checksum = digest
	}
	return checksum + ".wasm"
}

// hasPatches returns an error unless each patched route and virtual host is in Envoy as patched.
func hasPatches(p *proxy.Proxy, filter *kube.Object) error {
	hosts, err := p.Envoy.VirtualHosts()
	if err != nil {
		return err
	}
	var routes []envoy.Route
	for _, host := range hosts {
		routes = append(routes, host.Routes...)
	}
	for _, patch := range patchesOf(filter, p.Role) {
		value, _, _ := unstructured.NestedMap(patch, "patch", "value")
		host, _, _ := unstructured.NestedString(patch, "match", "routeConfiguration", "vhost", "name")
		name, _, _ := unstructured.NestedString(patch, "match", "routeConfiguration", "vhost", "route", "name")
		patched := func(raw json.RawMessage) bool {
			var have any
			return json.Unmarshal(raw, &have) == nil && includes(have, value)
		}
		if operation, _, _ := unstructured.NestedString(patch, "patch", "operation"); strings.HasPrefix(operation, "INSERT_") && host != "" {
			name, _ = value["name"].(string)
		}
		switch {
		case name != "":
			_, err = envoy.FindRoute(routes, name, func(r envoy.Route) bool { return (host == "" || host == r.VirtualHost) && patched(r.Raw) })
		case host != "":
			err = envoy.FindVirtualHost(hosts, host, patched)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sameJSON reports whether two JSON values are the same.
func sameJSON(a, b any) bool { return includes(a, b) && includes(b, a) }

// includes reports whether a JSON value has everything that another one has. A patch appends to a list, so only the end of a list is
// compared.
func includes(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		for key, value := range want {
			ok = ok && includes(have[key], value)
		}
		return ok
	case []any:
		have, ok := have.([]any)
		ok = ok && len(have) >= len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = includes(have[len(have)-len(want)+i], want[i])
		}
		return ok
	default:
		return plain(have) == plain(want)
	}
}

// fractionOfSeconds is the end of a duration as Envoy writes it: with three, six or nine digits.
var fractionOfSeconds = regexp.MustCompile(`^(\d+\.\d*[1-9])0*s$`)

// plain returns a scalar as text. The same number can be an int64, a float64 or, if it has 64 bits, a string of Envoy.
func plain(v any) string {
	if text, ok := v.(string); ok {
		return fractionOfSeconds.ReplaceAllString(text, "${1}s")
	}
	if number, ok := v.(float64); ok {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
