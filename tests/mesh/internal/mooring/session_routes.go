package mooring

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
)

// HasSessionRoutes returns an error unless a proxy has the session routes of a generated object, or the object is not for this proxy, or
// istiod has not accepted it.
func HasSessionRoutes(client *kube.Client, p *proxy.Proxy, obj *kube.Object) error {
	is, err := accepted(client, obj, p)
	if err != nil || !is {
		return err
	}
	routes, err := p.Envoy.Routes()
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

// A keyedMatch is a match of a session route: its keys, and its other texts, which Envoy's route has too.
type keyedMatch struct{ keys, texts []string }

func matchesOf(obj *kube.Object, path ...string) []keyedMatch {
	var found []keyedMatch
	rules, _, _ := unstructured.NestedSlice(obj.Object, path...)
	for _, rule := range rules {
		rule, _ := rule.(map[string]any)
		for _, list := range []string{"matches", "match"} {
			matches, _ := rule[list].([]any)
			for _, match := range matches {
				if keys := KeysOf(match); len(keys) > 0 {
					found = append(found, keyedMatch{keys, textsOf(match)})
				}
			}
		}
	}
	return found
}

func (m keyedMatch) isIn(r envoy.Route) bool {
	missing := func(text string) bool { return !r.Contains(text) }
	return slices.Contains(m.keys, SessionKey(r)) && !slices.ContainsFunc(m.texts, missing)
}

// textsOf returns the values in a match as JSON writes them.
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

// accepted reports whether a route is for this proxy and istiod has accepted it.
func accepted(client *kube.Client, route *kube.Object, p *proxy.Proxy) (bool, error) {
	if route.GetKind() == "VirtualService" {
		return selectedByGateway(client, route, p)
	}
	gvk := route.GroupVersionKind()
	now, err := client.Get(gvk, route.GetNamespace(), route.GetName())
	if err != nil {
		return false, err
	}
	refs, _, _ := unstructured.NestedSlice(now.Object, "spec", "parentRefs")
	consumed, err := consumedServices(client, now, p)
	if err != nil {
		return false, err
	}
	isParent := func(ref any) bool {
		parent := parentOf(now, ref)
		if p.Role == proxy.Waypoint {
			return parent.kind == "Service" && p.Services[parent.namespace+"/"+parent.name]
		}
		if p.Role != proxy.Sidecar {
			return parent.kind == "Gateway" && parent.name == p.Labels[gateway.NameLabel] && parent.namespace == p.Namespace
		}
		isProducer := parent.namespace == route.GetNamespace()
		return parent.isService() && (route.GetNamespace() == p.Namespace || isProducer && !slices.Contains(consumed, parent))
	}
	if !slices.ContainsFunc(refs, isParent) {
		return false, nil
	}
	parents, _, _ := unstructured.NestedSlice(now.Object, "status", "parents")
	is, reported := false, false
	for _, entry := range parents {
		entry, _ := entry.(map[string]any)
		if !isParent(entry["parentRef"]) {
			continue
		}
		for _, c := range kube.ConditionsIn(entry) {
			if c.Type == "Accepted" && c.Observed == now.GetGeneration() {
				reported, is = true, is || c.Status == "True"
			}
		}
	}
	if !reported {
		return false, errors.New("istiod has not reported whether it accepts the route")
	}
	return is, nil
}

// A parent is what a parentRef of a route refers to.
type parent struct{ group, kind, namespace, name string }

func parentOf(route *kube.Object, ref any) parent {
	fields, _ := ref.(map[string]any)
	p := parent{"gateway.networking.k8s.io", "Gateway", route.GetNamespace(), ""}
	for name, field := range map[string]*string{"group": &p.group, "kind": &p.kind, "namespace": &p.namespace, "name": &p.name} {
		if value, ok := fields[name].(string); ok {
			*field = value
		}
	}
	return p
}

// isService reports whether a route with this parent is a route of the mesh.
func (p parent) isService() bool {
	return p.group == "" && p.kind == "Service" || p.group == "networking.istio.io" && p.kind == "ServiceEntry"
}

// consumedServices returns the parents of the routes in the namespace of a sidecar that are in another namespace. For this sidecar, these
// consumer routes replace those of the producer.
func consumedServices(client *kube.Client, route *kube.Object, p *proxy.Proxy) ([]parent, error) {
	if p.Role != proxy.Sidecar || route.GetNamespace() == p.Namespace {
		return nil, nil
	}
	all, err := client.List(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"})
	if err != nil {
		return nil, err
	}
	var found []parent
	for _, other := range all {
		refs, _, _ := unstructured.NestedSlice(other.Object, "spec", "parentRefs")
		for _, ref := range refs {
			if parent := parentOf(other, ref); other.GetNamespace() == p.Namespace && parent.namespace != p.Namespace {
				found = append(found, parent)
			}
		}
	}
	return found, nil
}

// selectedByGateway reports whether a VirtualService names an Istio Gateway that selects this gateway.
func selectedByGateway(client *kube.Client, route *kube.Object, p *proxy.Proxy) (bool, error) {
	if p.Role != proxy.Gateway {
		return false, nil
	}
	names, _, _ := unstructured.NestedStringSlice(route.Object, "spec", "gateways")
	for _, name := range names {
		namespace, name, ok := strings.Cut(name, "/")
		if !ok {
			namespace, name = route.GetNamespace(), namespace
		}
		owner, err := client.Get(schema.FromAPIVersionAndKind("networking.istio.io/v1", "Gateway"), namespace, name)
		if apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return false, err
		}
		selector, _, _ := unstructured.NestedStringMap(owner.Object, "spec", "selector")
		if labels.SelectorFromSet(selector).Matches(labels.Set(p.Labels)) {
			return true, nil
		}
	}
	return false, nil
}

// keysOf are the keys that the matches of a generated route ask for, wherever they stand.
func KeysOf(v any) []string {
	var keys []string
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			keys = append(keys, KeysOf(item)...)
		}
	case map[string]any:
		if key, ok := v["value"].(string); ok && v["name"] == BackendHeader {
			return []string{key}
		}
		if match, ok := v[BackendHeader].(map[string]any); ok {
			if key, ok := match["exact"].(string); ok {
				keys = append(keys, key)
			}
		}
		for _, item := range v {
			keys = append(keys, KeysOf(item)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// SessionKeys returns the keys of the session routes that a proxy has.
func SessionKeys(p *proxy.Proxy) ([]string, error) {
	routes, err := p.Envoy.Routes()
	var keys []string
	for _, route := range routes {
		if key := SessionKey(route); key != "" {
			keys = append(keys, key)
		}
	}
	return keys, err
}

// SessionKey returns the key that a request must have to match a session route; empty for other routes.
func SessionKey(r envoy.Route) string { return r.RequiredHeader(BackendHeader) }
