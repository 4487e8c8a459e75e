package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Manifests writes what the user has applied, as the API server has it now, and returns the file: a List in JSON, like
// that of `kubectl get --output json`, without what Mooring has generated.
func (s *Scenario) Manifests() string {
	s.t.Helper()
	list := map[string]any{"apiVersion": "v1", "kind": "List"}
	var items []any
	for _, obj := range s.applied {
		group := obj.GroupVersionKind().Group
		policy := strings.HasPrefix(group, "gateway.networking.") || group == "networking.istio.io" || group == "mooring.dev"
		if obj.GetKind() != "Service" && !policy || obj.GetLabels()["app.kubernetes.io/managed-by"] == "mooring" {
			continue
		}
		now, err := s.Cluster.kube.get(obj.GroupVersionKind(), obj.GetNamespace(), obj.GetName())
		if err != nil {
			s.t.Fatal(err)
		}
		items = append(items, now.Object)
	}
	list["items"] = items
	text, err := json.Marshal(list)
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.Cluster.dir, s.Namespace, "manifests.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// Generate runs `mooring generate` on the objects as they are in the cluster. A later --wasm replaces the module.
func (s *Scenario) Generate(args ...string) string {
	s.t.Helper()
	command := []string{"generate", "--file", s.Manifests()}
	if !slices.Contains(args, "--wasm") {
		command = append(command, "--wasm", s.ModuleURL())
	}
	return s.Mooring(append(command, args...)...)
}

// Deploy generates, as a pipeline would, and applies the result, after a dry run on the API server. It returns when every
// gateway serves by it.
func (s *Scenario) Deploy(args ...string) {
	s.t.Helper()
	s.DeployUnseen(args...)
	s.AwaitDeployed()
}

// DeployUnseen is Deploy for a test that does not wait for the gateways, or in which they are not to take it.
func (s *Scenario) DeployUnseen(args ...string) {
	s.t.Helper()
	objects, err := readYAML(strings.NewReader(s.Generate(args...)))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, obj := range objects {
		if err := s.Cluster.kube.check(obj); err != nil {
			s.t.Fatalf("dry run: %s: %v", describe(obj), err)
		}
	}
	s.prune(objects)
	s.applyAll(objects)
	s.generated = objects
}

// Undeploy deletes what has been generated and waits until no gateway has it.
func (s *Scenario) Undeploy() {
	s.t.Helper()
	s.prune(nil)
	s.generated = nil
	for _, g := range s.gateways {
		g.AwaitNoListener("mooring")
	}
}

// forget deletes what has been generated, at the end of the test, and waits until istiod has forgotten it: the gateways of
// the next scenario of this name would start with it. It returns nothing, since whatever is wrong has been said by then.
func (s *Scenario) forget() {
	for _, obj := range s.generated {
		_ = s.Cluster.kube.delete(obj)
	}
	for _, g := range s.gateways {
		if len(s.generated) == 0 || g.Envoy.Died() != nil {
			continue
		}
		_ = poll("istiod has forgotten", func() error {
			page, err := g.admin("/config_dump?resource=dynamic_listeners")
			if err == nil && strings.Contains(page, "mooring") {
				err = errors.New("a listener has it still")
			}
			return err
		})
	}
}

// prune deletes what had been generated and no longer is, as GitOps tools do.
func (s *Scenario) prune(objects []*Object) {
	s.t.Helper()
	for _, old := range s.generated {
		if !slices.ContainsFunc(objects, func(o *Object) bool { return describe(o) == describe(old) }) {
			s.Delete(old.GetAPIVersion(), old.GetKind(), old.GetNamespace()+"/"+old.GetName())
		}
	}
}

// AwaitDeployed waits until every gateway that Mooring has generated something for has it.
func (s *Scenario) AwaitDeployed() {
	s.t.Helper()
	for _, obj := range s.generated {
		for _, g := range s.gateways {
			if g.Namespace != obj.GetNamespace() || !attached(obj, g) {
				continue
			}
			switch obj.GetKind() {
			case "WasmPlugin":
				g.awaitPlugin(obj)
				g.AwaitListener(obj.GetNamespace() + "." + obj.GetName())
			case "EnvoyFilter":
				g.awaitPatches(obj)
				for _, filter := range httpFilters(obj) {
					g.AwaitListener(filter)
				}
			}
		}
	}
}

// httpFilters names the filters that an EnvoyFilter adds; a canary alone needs no pin.
func httpFilters(filter *Object) []string {
	patches, _, _ := unstructured.NestedSlice(filter.Object, "spec", "configPatches")
	var names []string
	for _, patch := range patches {
		patch, _ := patch.(map[string]any)
		name, found, _ := unstructured.NestedString(patch, "patch", "value", "name")
		if found && patch["applyTo"] == "HTTP_FILTER" {
			names = append(names, name)
		}
	}
	return names
}

// attached says whether a generated object is for this gateway.
func attached(obj *Object, g *Gateway) bool {
	for _, path := range [][]string{{"spec", "workloadSelector", "labels"}, {"spec", "selector", "matchLabels"}} {
		labels, found, _ := unstructured.NestedStringMap(obj.Object, path...)
		for name, value := range labels {
			found = found && g.labels[name] == value
		}
		if found {
			return true
		}
	}
	refs, _, _ := unstructured.NestedSlice(obj.Object, "spec", "targetRefs")
	return slices.ContainsFunc(refs, func(ref any) bool {
		target, ok := ref.(map[string]any)
		return ok && target["name"] == g.labels[gatewayNameLabel]
	})
}

// awaitPlugin waits until Envoy has the plugin's configuration.
func (g *Gateway) awaitPlugin(plugin *Object) {
	g.t.Helper()
	want, _, _ := unstructured.NestedMap(plugin.Object, "spec", "pluginConfig")
	url, _, _ := unstructured.NestedString(plugin.Object, "spec", "url")
	file := strings.TrimPrefix(url, "file://")
	name := plugin.GetNamespace() + "." + plugin.GetName()
	Eventually(g.t, "gateway "+g.Name+" has the configuration of "+name, func() error {
		page, err := g.admin("/config_dump?resource=ecds_filters")
		if err != nil {
			return err
		}
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
		if err := json.Unmarshal([]byte(page), &dump); err != nil {
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
			return fmt.Errorf("it has %v", have)
		}
		return nil
	})
}

// awaitPatches waits until each patched route is in Envoy as patched.
func (g *Gateway) awaitPatches(filter *Object) {
	g.t.Helper()
	patches, _, _ := unstructured.NestedSlice(filter.Object, "spec", "configPatches")
	for _, patch := range patches {
		patch, _ := patch.(map[string]any)
		name, found, _ := unstructured.NestedString(patch, "match", "routeConfiguration", "vhost", "route", "name")
		if !found {
			continue
		}
		host, _, _ := unstructured.NestedString(patch, "match", "routeConfiguration", "vhost", "name")
		value, _, _ := unstructured.NestedMap(patch, "patch", "value")
		g.AwaitRoute(name, func(r Route) bool {
			var have any
			err := json.Unmarshal(r.Raw, &have)
			return err == nil && (host == "" || host == r.VirtualHost) && includes(have, value)
		})
	}
}

func sameJSON(a, b any) bool { return includes(a, b) && includes(b, a) }

// includes says whether a JSON value has everything that another one has.
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
		ok = ok && len(have) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = includes(have[i], want[i])
		}
		return ok
	default:
		return fmt.Sprint(have) == fmt.Sprint(want) // numbers are int64 here and float64 there
	}
}
