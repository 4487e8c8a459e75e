package mooring

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
)

// RemovalOrder sorts generated objects for deletion, those that depend on others first: the plugin, then EnvoyFilters, then session
// routes.
func RemovalOrder(objects []*kube.Object) []*kube.Object {
	rank := func(obj *kube.Object) int {
		switch {
		case obj.GetKind() == "WasmPlugin":
			return 0
		case IsRoute(obj):
			return 2
		default:
			return 1
		}
	}
	return slices.SortedStableFunc(slices.Values(objects), func(a, b *kube.Object) int { return rank(a) - rank(b) })
}

// IsRoute reports whether a generated object holds session routes.
func IsRoute(obj *kube.Object) bool {
	return slices.Contains([]string{"HTTPRoute", "GRPCRoute", "VirtualService"}, obj.GetKind())
}

// patchesOf returns the patches of an EnvoyFilter that istiod applies to proxies of a role.
func patchesOf(filter *kube.Object, role proxy.Role) []map[string]any {
	patches, _, _ := unstructured.NestedSlice(filter.Object, "spec", "configPatches")
	var found []map[string]any
	for _, patch := range patches {
		patch, _ := patch.(map[string]any)
		context, _, _ := unstructured.NestedString(patch, "match", "context")
		if roles, ok := contexts[context]; !ok || slices.Contains(roles, role) {
			found = append(found, patch)
		}
	}
	return found
}

// contexts are the roles of the proxies that a context of a patch is for. A patch with another context is for all.
var contexts = map[string][]proxy.Role{
	"GATEWAY":          {proxy.Gateway},
	"SIDECAR_OUTBOUND": {proxy.Sidecar},
	"SIDECAR_INBOUND":  {proxy.Sidecar, proxy.Waypoint},
}

// HTTPFilters returns the names of the HTTP filters that an EnvoyFilter adds to proxies of a role.
func HTTPFilters(filter *kube.Object, role proxy.Role) []string {
	var names []string
	for _, patch := range patchesOf(filter, role) {
		name, found, _ := unstructured.NestedString(patch, "patch", "value", "name")
		if found && patch["applyTo"] == "HTTP_FILTER" {
			names = append(names, name)
		}
	}
	return names
}

// Attached reports whether istiod applies a generated object that is not a route to a proxy.
func Attached(obj *kube.Object, p *proxy.Proxy) bool {
	refs, hasRefs, _ := unstructured.NestedSlice(obj.Object, "spec", "targetRefs")
	refers := func(kind, name string) bool {
		return slices.ContainsFunc(refs, func(ref any) bool {
			target, ok := ref.(map[string]any)
			return ok && target["kind"] == kind && target["name"] == name
		})
	}
	for key := range p.Services {
		if namespace, name, _ := strings.Cut(key, "/"); namespace == obj.GetNamespace() && refers("Service", name) {
			return true
		}
	}
	if obj.GetNamespace() != p.Namespace && obj.GetNamespace() != cluster.RootNamespace {
		return false
	}
	if hasRefs {
		return p.Role != proxy.Sidecar && refers("Gateway", p.Labels[gateway.NameLabel])
	}
	if p.Role == proxy.Waypoint {
		return false // selectors do not select waypoints
	}
	for _, path := range [][]string{{"spec", "workloadSelector", "labels"}, {"spec", "selector", "matchLabels"}} {
		labels, _, _ := unstructured.NestedStringMap(obj.Object, path...)
		for name, value := range labels {
			if p.Labels[name] != value {
				return false
			}
		}
	}
	return true
}
