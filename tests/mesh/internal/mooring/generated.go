package mooring

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
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

// HTTPFilters returns the names of the HTTP filters that an EnvoyFilter adds.
func HTTPFilters(filter *kube.Object) []string {
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

// Attached reports whether a generated object that is not a route selects this gateway, given that both are in one namespace.
func Attached(obj *kube.Object, g *gateway.Gateway) bool {
	for _, path := range [][]string{{"spec", "workloadSelector", "labels"}, {"spec", "selector", "matchLabels"}} {
		labels, found, _ := unstructured.NestedStringMap(obj.Object, path...)
		for name, value := range labels {
			found = found && g.Labels[name] == value
		}
		if found {
			return true
		}
	}
	refs, _, _ := unstructured.NestedSlice(obj.Object, "spec", "targetRefs")
	return slices.ContainsFunc(refs, func(ref any) bool {
		target, ok := ref.(map[string]any)
		return ok && target["name"] == g.Labels[gateway.NameLabel]
	})
}
