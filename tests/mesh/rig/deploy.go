package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Manifests writes what the user has applied, as the API server has it now, and returns the file: a List in JSON, like
// that of `kubectl get --output json`, without what Mooring has generated. With namespaces, only what is in these.
func (s *Scenario) Manifests(namespaces ...string) string {
	s.t.Helper()
	list := map[string]any{"apiVersion": "v1", "kind": "List"}
	var items []any
	for _, obj := range s.applied {
		group := obj.GroupVersionKind().Group
		policy := strings.HasPrefix(group, "gateway.networking.") || group == "networking.istio.io" || group == "mooring.dev"
		if obj.GetKind() != "Service" && !policy || obj.GetLabels()["app.kubernetes.io/managed-by"] == "mooring" {
			continue
		}
		if len(namespaces) > 0 && !slices.Contains(namespaces, obj.GetNamespace()) {
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
	file := filepath.Join(s.Cluster.dir, s.Namespace, strings.Join(append([]string{"manifests"}, namespaces...), "-")+".json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// Generate runs `mooring generate` on the objects as they are in the cluster. A later --wasm replaces the module, a --file
// the objects.
func (s *Scenario) Generate(args ...string) string {
	s.t.Helper()
	return s.Mooring(s.generating(args)...)
}

func (s *Scenario) generating(args []string) []string {
	s.t.Helper()
	command := []string{"generate"}
	if !slices.Contains(args, "--file") {
		command = append(command, "--file", s.Manifests())
	}
	if !slices.Contains(args, "--wasm") {
		command = append(command, "--wasm", s.ModuleURL())
	}
	return append(command, args...)
}

// Deploy generates, as a pipeline would, and applies the result, after a dry run on the API server. It returns when every
// gateway serves by it, and what is no longer generated has been deleted.
func (s *Scenario) Deploy(args ...string) {
	s.t.Helper()
	s.deploy(s.Generate(args...))
}

// DeployRest is Deploy for objects of which Mooring leaves something out: `mooring generate` ends with this exit code, and
// what it says is returned.
func (s *Scenario) DeployRest(code int, args ...string) string {
	s.t.Helper()
	stdout, stderr, have := s.TryMooring(s.generating(args)...)
	if have != code {
		s.t.Fatalf("mooring generate: exit code %d, expected %d\n%s", have, code, stderr)
	}
	s.deploy(stdout)
	return stderr
}

// DeployFile is Deploy with a file of generated objects, named from the scenario's folder, in which $MODULE stands for the URL of
// the module.
func (s *Scenario) DeployFile(file, module string) {
	s.t.Helper()
	text, err := os.ReadFile(s.path(file))
	if err != nil {
		s.t.Fatal(err)
	}
	s.deploy(strings.ReplaceAll(string(text), "$MODULE", module))
}

// Generated names the objects of a kind that Mooring has generated and that are deployed: <namespace>/<name>.
func (s *Scenario) Generated(kind string) []string {
	var names []string
	for _, obj := range s.generated {
		if obj.GetKind() == kind {
			names = append(names, obj.GetNamespace()+"/"+obj.GetName())
		}
	}
	return names
}

// DeployOnly is Deploy with the objects of these kinds, as if the others had not been applied yet.
func (s *Scenario) DeployOnly(kinds ...string) {
	s.t.Helper()
	objects, err := readYAML(strings.NewReader(s.Generate()))
	if err != nil {
		s.t.Fatal(err)
	}
	text := ""
	for _, obj := range objects {
		if !slices.Contains(kinds, obj.GetKind()) {
			continue
		}
		json, err := obj.MarshalJSON()
		if err != nil {
			s.t.Fatal(err)
		}
		text += string(json) + "\n"
	}
	s.deploy(text)
}

func (s *Scenario) deploy(yaml string) {
	s.t.Helper()
	old := s.applyGenerated(yaml)
	s.AwaitDeployed()
	s.pruneSeen(old)
}

// DeployInSteps is Deploy that applies the plugin only when the gateways have all that it relies on, and deletes what is no longer
// generated only when they have the plugin.
func (s *Scenario) DeployInSteps() {
	s.t.Helper()
	old := s.generated
	text := s.Generate()
	var first []*Object
	objects, err := readYAML(strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, obj := range objects {
		if obj.GetKind() != "WasmPlugin" {
			first = append(first, obj)
		}
	}
	s.applyAll(first)
	s.generated = first
	s.AwaitDeployed()
	s.applyGenerated(text)
	s.AwaitDeployed()
	s.pruneSeen(old)
}

// pruneSeen deletes what is no longer generated and waits until no gateway has it.
func (s *Scenario) pruneSeen(old []*Object) {
	s.t.Helper()
	s.prune(old)
	s.awaitPruned(old)
}

// DeployUnseen is Deploy for a test that does not wait for the gateways, or in which they are not to take it.
func (s *Scenario) DeployUnseen(args ...string) {
	s.t.Helper()
	s.prune(s.applyGenerated(s.Generate(args...)))
}

// applyGenerated applies what has been generated in the order in which it was printed, and returns what had been before.
func (s *Scenario) applyGenerated(yaml string) []*Object {
	s.t.Helper()
	objects, err := readYAML(strings.NewReader(yaml))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, obj := range objects {
		if err := s.Cluster.kube.check(obj); err != nil {
			s.t.Fatalf("dry run: %s: %v", describe(obj), err)
		}
	}
	old := s.generated
	s.applyAll(objects)
	s.generated = objects
	return old
}

// Undeploy deletes what has been generated and waits until no gateway has it: first the plugin, then what is in Envoy for it, and
// the session routes when nothing leads to them.
func (s *Scenario) Undeploy() {
	s.t.Helper()
	old := s.generated
	var pieces, routes []*Object
	for _, obj := range removalOrder(old) {
		if isRoute(obj) {
			routes = append(routes, obj)
		} else {
			pieces = append(pieces, obj)
		}
	}
	s.generated = routes
	s.delete(pieces)
	for _, g := range s.gateways {
		g.AwaitNoListener("mooring")
		Eventually(s.t, "no route of "+g.Name+" keeps sessions out", func() error { return g.lacks("invert_match", "x-mooring-") })
	}
	s.generated = nil
	s.delete(routes)
	s.awaitPruned(old)
}

// lacks is an error while there is a route with all these texts.
func (g *Gateway) lacks(texts ...string) error {
	routes, err := g.routes()
	if err != nil {
		return err
	}
	for _, route := range routes {
		missing := func(text string) bool { return !strings.Contains(string(route.Raw), text) }
		if !slices.ContainsFunc(texts, missing) {
			return fmt.Errorf("route %s of %s does", route.Name, route.VirtualHost)
		}
	}
	return nil
}

// forget deletes what has been generated, at the end of the test, and waits until istiod has forgotten it: the gateways of
// the next scenario of this name would start with it. It returns nothing, since whatever is wrong has been said by then.
func (s *Scenario) forget() {
	for _, obj := range removalOrder(s.generated) {
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
			if err == nil {
				err = g.lacks(backendHeader)
			}
			return err
		})
	}
}

// prune deletes what had been generated and no longer is, as GitOps tools do.
func (s *Scenario) prune(old []*Object) {
	s.t.Helper()
	s.delete(slices.DeleteFunc(removalOrder(old), s.stillGenerated))
}

func (s *Scenario) stillGenerated(obj *Object) bool {
	return slices.ContainsFunc(s.generated, func(o *Object) bool { return describe(o) == describe(obj) })
}

func (s *Scenario) delete(objects []*Object) {
	s.t.Helper()
	for _, obj := range objects {
		s.Delete(obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace()+"/"+obj.GetName())
	}
}

// removalOrder puts first what leads to something else: the plugin, then filters and patches, then the session routes.
func removalOrder(objects []*Object) []*Object {
	rank := func(obj *Object) int {
		switch {
		case obj.GetKind() == "WasmPlugin":
			return 0
		case isRoute(obj):
			return 2
		default:
			return 1
		}
	}
	return slices.SortedStableFunc(slices.Values(objects), func(a, b *Object) int { return rank(a) - rank(b) })
}

func isRoute(obj *Object) bool {
	return slices.Contains([]string{"HTTPRoute", "GRPCRoute", "VirtualService"}, obj.GetKind())
}

// AwaitDeployed waits until every gateway that Mooring has generated something for has it.
func (s *Scenario) AwaitDeployed() {
	s.t.Helper()
	for _, obj := range s.generated {
		if isRoute(obj) {
			s.awaitSessionRoutes(obj)
		}
	}
	s.AwaitPieces()
}

// AwaitPieces is AwaitDeployed for a test in which istiod may leave out session routes, as it does with all that follow a route that
// takes everything.
func (s *Scenario) AwaitPieces() {
	s.t.Helper()
	for _, obj := range s.generated {
		for _, g := range s.gateways {
			if g.Namespace == obj.GetNamespace() && attached(obj, g) {
				Eventually(s.t, describe(obj)+" is in "+g.Name, func() error { return g.has(obj) })
			}
		}
	}
}

// has is an error unless Envoy serves by a generated plugin or filter.
func (g *Gateway) has(obj *Object) error {
	switch obj.GetKind() {
	case "WasmPlugin":
		if err := g.hasPlugin(obj); err != nil {
			return err
		}
		return g.hasListener(obj.GetNamespace()+"."+obj.GetName(), true)
	case "EnvoyFilter":
		if err := g.hasPatches(obj); err != nil {
			return err
		}
		for _, filter := range httpFilters(obj) {
			if err := g.hasListener(filter, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitPruned waits until nothing is left in the gateways of what had been generated and no longer is.
func (s *Scenario) awaitPruned(old []*Object) {
	s.t.Helper()
	var filters, keys []string
	for _, obj := range s.generated {
		filters, keys = append(filters, httpFilters(obj)...), append(keys, keysOf(obj.Object)...)
	}
	for _, obj := range old {
		if s.stillGenerated(obj) {
			continue
		}
		for _, g := range s.gateways {
			if obj.GetKind() == "WasmPlugin" && g.Namespace == obj.GetNamespace() && attached(obj, g) {
				g.AwaitNoListener(obj.GetNamespace() + "." + obj.GetName() + "~")
			}
			for _, filter := range httpFilters(obj) {
				if !slices.Contains(filters, filter) {
					g.AwaitNoListener(strconv.Quote(filter))
				}
			}
			for _, key := range keysOf(obj.Object) {
				if slices.Contains(keys, key) {
					continue
				}
				Eventually(s.t, "no session route for "+key+" is in "+g.Name, func() error {
					have, err := g.keys()
					if err == nil && slices.Contains(have, key) {
						err = errors.New("it is there")
					}
					return err
				})
			}
		}
	}
}

// backendHeader asks for a backend; its value is the key of one.
const backendHeader = "x-mooring-backend"

// awaitSessionRoutes waits until each gateway that has taken a generated route has its keys, with what else their matches say.
func (s *Scenario) awaitSessionRoutes(obj *Object) {
	s.t.Helper()
	for _, g := range s.gateways {
		Eventually(s.t, fmt.Sprintf("the keys of %s are in %s", describe(obj), g.Name), func() error {
			return s.hasSessionRoutes(g, obj)
		})
	}
}

func (s *Scenario) hasSessionRoutes(g *Gateway, obj *Object) error {
	taken, err := s.taken(obj, g)
	if err != nil || !taken {
		return err
	}
	routes, err := g.routes()
	if err != nil {
		return err
	}
	for _, match := range append(matchesOf(obj, "spec", "rules"), matchesOf(obj, "spec", "http")...) {
		if !slices.ContainsFunc(routes, match.isIn) {
			return fmt.Errorf("no route has the key and the texts of %q", match)
		}
	}
	return nil
}

// A keyedMatch is a match of a session route: its keys, and what else stands in it, which Envoy's route has too in one form or another.
type keyedMatch struct{ keys, texts []string }

func matchesOf(obj *Object, path ...string) []keyedMatch {
	var found []keyedMatch
	rules, _, _ := unstructured.NestedSlice(obj.Object, path...)
	for _, rule := range rules {
		rule, _ := rule.(map[string]any)
		for _, list := range []string{"matches", "match"} {
			matches, _ := rule[list].([]any)
			for _, match := range matches {
				if keys := keysOf(match); len(keys) > 0 {
					found = append(found, keyedMatch{keys, textsOf(match)})
				}
			}
		}
	}
	return found
}

func (m keyedMatch) isIn(r Route) bool {
	missing := func(text string) bool { return !strings.Contains(string(r.Raw), text) }
	return slices.Contains(m.keys, r.Key()) && !slices.ContainsFunc(m.texts, missing)
}

// textsOf are the values in a match, as they stand in JSON.
func textsOf(v any) []string {
	var texts []string
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			texts = append(texts, textsOf(item)...)
		}
	case map[string]any:
		for name, item := range v {
			if text, ok := item.(string); ok && slices.Contains([]string{"value", "exact", "prefix", "regex", "service"}, name) {
				quoted, _ := json.Marshal(strings.TrimSuffix(text, "/")) // of a string, it never fails
				texts = append(texts, strings.Trim(string(quoted), `"`))
			}
			texts = append(texts, textsOf(item)...)
		}
	}
	return texts
}

// taken says whether a route is for this gateway, and istiod has taken it.
func (s *Scenario) taken(route *Object, g *Gateway) (bool, error) {
	if route.GetKind() == "VirtualService" {
		return s.named(route, g)
	}
	gvk := route.GroupVersionKind()
	now, err := s.Cluster.kube.get(gvk, route.GetNamespace(), route.GetName())
	if err != nil {
		return false, err
	}
	refs, _, _ := unstructured.NestedSlice(now.Object, "spec", "parentRefs")
	isParent := func(ref any) bool {
		parent, _ := ref.(map[string]any)
		namespace, ok := parent["namespace"].(string)
		if !ok {
			namespace = route.GetNamespace()
		}
		return parent["name"] == g.labels[gatewayNameLabel] && namespace == g.Namespace
	}
	if !slices.ContainsFunc(refs, isParent) {
		return false, nil
	}
	parents, _, _ := unstructured.NestedSlice(now.Object, "status", "parents")
	accepted, said := false, false
	for _, entry := range parents {
		entry, _ := entry.(map[string]any)
		if !isParent(entry["parentRef"]) {
			continue
		}
		for _, c := range conditionsIn(entry) {
			if c.Type == "Accepted" && c.Observed == now.GetGeneration() {
				said, accepted = true, accepted || c.Status == "True"
			}
		}
	}
	if !said {
		return false, errors.New("istiod has not said whether it takes it")
	}
	return accepted, nil
}

// named says whether a VirtualService names an Istio Gateway of this gateway.
func (s *Scenario) named(route *Object, g *Gateway) (bool, error) {
	names, _, _ := unstructured.NestedStringSlice(route.Object, "spec", "gateways")
	for _, name := range names {
		namespace, name, ok := strings.Cut(name, "/")
		if !ok {
			namespace, name = route.GetNamespace(), namespace
		}
		gateway, err := s.Cluster.kube.get(schema.FromAPIVersionAndKind("networking.istio.io/v1", "Gateway"), namespace, name)
		if apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return false, err
		}
		selector, _, _ := unstructured.NestedStringMap(gateway.Object, "spec", "selector")
		if labels.SelectorFromSet(selector).Matches(labels.Set(g.labels)) {
			return true, nil
		}
	}
	return false, nil
}

// keysOf are the keys that the matches of a generated route ask for, wherever they stand.
func keysOf(v any) []string {
	var keys []string
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			keys = append(keys, keysOf(item)...)
		}
	case map[string]any:
		if key, ok := v["value"].(string); ok && v["name"] == backendHeader {
			return []string{key}
		}
		if match, ok := v[backendHeader].(map[string]any); ok {
			if key, ok := match["exact"].(string); ok {
				keys = append(keys, key)
			}
		}
		for _, item := range v {
			keys = append(keys, keysOf(item)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// keys are those that a gateway has a session route for.
func (g *Gateway) keys() ([]string, error) {
	routes, err := g.routes()
	var keys []string
	for _, route := range routes {
		if key := route.Key(); key != "" {
			keys = append(keys, key)
		}
	}
	return keys, err
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

// hasPlugin is an error unless Envoy has the plugin's configuration.
func (g *Gateway) hasPlugin(plugin *Object) error {
	want, _, _ := unstructured.NestedMap(plugin.Object, "spec", "pluginConfig")
	url, _, _ := unstructured.NestedString(plugin.Object, "spec", "url")
	file := strings.TrimPrefix(url, "file://")
	name := plugin.GetNamespace() + "." + plugin.GetName()
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
		return fmt.Errorf("the configuration of %s is %v", name, have)
	}
	return nil
}

// hasPatches is an error unless each patched route and virtual host is in Envoy as patched.
func (g *Gateway) hasPatches(filter *Object) error {
	hosts, err := g.virtualHosts()
	if err != nil {
		return err
	}
	routes, err := routesOf(hosts)
	if err != nil {
		return err
	}
	patches, _, _ := unstructured.NestedSlice(filter.Object, "spec", "configPatches")
	for _, patch := range patches {
		patch, _ := patch.(map[string]any)
		value, _, _ := unstructured.NestedMap(patch, "patch", "value")
		host, _, _ := unstructured.NestedString(patch, "match", "routeConfiguration", "vhost", "name")
		name, _, _ := unstructured.NestedString(patch, "match", "routeConfiguration", "vhost", "route", "name")
		patched := func(raw json.RawMessage) bool {
			var have any
			return json.Unmarshal(raw, &have) == nil && includes(have, value)
		}
		if operation, _, _ := unstructured.NestedString(patch, "patch", "operation"); strings.HasPrefix(operation, "INSERT_") && name != "" {
			name, _ = value["name"].(string)
		}
		switch {
		case name != "":
			_, err = findRoute(routes, name, func(r Route) bool { return (host == "" || host == r.VirtualHost) && patched(r.Raw) })
		case host != "":
			err = hasVirtualHost(hosts, host, patched)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func sameJSON(a, b any) bool { return includes(a, b) && includes(b, a) }

// includes says whether a JSON value has everything that another one has. To a list, a patch adds.
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

// plain is a JSON value as text. Numbers are int64 here, float64 there, and 64 bits are a string for Envoy.
func plain(v any) string {
	if number, ok := v.(float64); ok {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
