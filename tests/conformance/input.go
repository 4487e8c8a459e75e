package local

import (
	"context"
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// kinds are those that are written for Mooring to read. EndpointSlices are added apart.
var kinds = []schema.GroupVersionKind{
	corev1.SchemeGroupVersion.WithKind("Namespace"),
	corev1.SchemeGroupVersion.WithKind("Service"),
	corev1.SchemeGroupVersion.WithKind("Secret"),
	corev1.SchemeGroupVersion.WithKind("ConfigMap"),
	gatewayv1.SchemeGroupVersion.WithKind("Gateway"),
	gatewayv1.SchemeGroupVersion.WithKind("ListenerSet"),
	gatewayv1.SchemeGroupVersion.WithKind("HTTPRoute"),
	gatewayv1.SchemeGroupVersion.WithKind("GRPCRoute"),
	gatewayv1.SchemeGroupVersion.WithKind("ReferenceGrant"),
	gatewayv1.SchemeGroupVersion.WithKind("BackendTLSPolicy"),
}

// An input is what there is to generate from.
type input struct {
	objects []*unstructured.Unstructured
	ports   map[int64]bool // of all listeners
}

func (c *Cluster) input(ctx context.Context) (input, error) {
	in := input{ports: map[int64]bool{}}
	for _, kind := range kinds {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := c.objects.List(ctx, &list); err != nil {
			return in, err
		}
		for i := range list.Items {
			in.add(&list.Items[i])
		}
	}
	for _, object := range in.objects {
		switch object.GetKind() {
		case "Gateway":
			c.gateway(types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()})
			in.addPorts(object)
		case "ListenerSet":
			in.addPorts(object)
		}
	}
	if c.Sessions {
		in.addPolicies()
	}
	endpoints, err := c.endpointSlices(ctx)
	for _, slice := range endpoints {
		slice.SetGroupVersionKind(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"))
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&slice)
		if err != nil {
			return in, err
		}
		in.add(&unstructured.Unstructured{Object: content})
	}
	return in, err
}

// add takes an object without what a cluster adds to it.
func (in *input) add(object *unstructured.Unstructured) {
	unstructured.RemoveNestedField(object.Object, "status")
	unstructured.RemoveNestedField(object.Object, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(object.Object, "metadata", "creationTimestamp")
	in.objects = append(in.objects, object)
}

func (in *input) addPorts(object *unstructured.Unstructured) {
	listeners, _, _ := unstructured.NestedSlice(object.Object, "spec", "listeners")
	for _, listener := range listeners {
		if port, ok := listener.(map[string]any)["port"].(int64); ok {
			in.ports[port] = true
		}
	}
}

// addPolicies gives every Service sessions, and so every rule: Mooring must not change where a request goes.
func (in *input) addPolicies() {
	for _, object := range slices.Clone(in.objects) {
		if object.GetKind() == "Service" {
			in.add(&unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
				"kind":       "XBackendTrafficPolicy",
				"metadata":   map[string]any{"namespace": object.GetNamespace(), "name": object.GetName()},
				"spec": map[string]any{
					"targetRefs":         []any{map[string]any{"group": "", "kind": "Service", "name": object.GetName()}},
					"sessionPersistence": map[string]any{"type": "Cookie"},
				},
			}})
		}
	}
}

// of is the input for one Gateway: a local Envoy serves several only on different ports. Nil if there is no such Gateway.
func (in *input) of(name types.NamespacedName) ([]byte, error) {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "List"})
	found := false
	for _, object := range in.objects {
		if object.GetKind() == "Gateway" {
			if object.GetNamespace() != name.Namespace || object.GetName() != name.Name {
				continue
			}
			found = true
		}
		list.Items = append(list.Items, *object)
	}
	if !found {
		return nil, nil
	}
	return json.MarshalIndent(&list, "", " ")
}

// endpointSlices are those of the Services with selectors, and those that were written, each with the ports on which the pods
// really listen: pods here share one network.
func (c *Cluster) endpointSlices(ctx context.Context) ([]discoveryv1.EndpointSlice, error) {
	var services corev1.ServiceList
	var written discoveryv1.EndpointSliceList
	for _, list := range []client.ObjectList{&services, &written} {
		if err := c.objects.List(ctx, list); err != nil {
			return nil, err
		}
	}
	slices := written.Items
	for _, service := range services.Items {
		if len(service.Spec.Selector) > 0 {
			slices = append(slices, c.pods.endpointSlice(&service))
		}
	}
	var real []discoveryv1.EndpointSlice
	for _, slice := range slices {
		real = append(real, c.pods.split(slice)...)
	}
	return real, nil
}
