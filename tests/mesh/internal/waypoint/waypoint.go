// Package waypoint has the waypoints of the ambient mesh.
package waypoint

import (
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/hbone"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/sidecar"
)

// Class is the GatewayClass of waypoints.
const Class = "istio-waypoint"

// Labels of what Istio makes for a Gateway of a waypoint.
const (
	ClassLabel   = "gateway.networking.k8s.io/gateway-class-name"
	ManagedLabel = "gateway.istio.io/managed"
	ManagedValue = "istio.io-mesh-controller"
)

// A Waypoint is a proxy that plays the pod of a waypoint. Clients reach it by tunnels.
type Waypoint struct{ *proxy.Proxy }

// New returns the waypoint of a pod.
func New(p proxy.Proxy) *Waypoint {
	p.Role, p.ListenIP, p.Ports = proxy.Waypoint, p.IP, map[int]int{hbone.Port: hbone.Port}
	return &Waypoint{&p}
}

// Binding returns an EnvoyFilter that makes the waypoint listen on its own address only: all Envoys and pods of the rig share one network
// namespace.
func (w *Waypoint) Binding() *kube.Object {
	filter := kube.Ref("networking.istio.io/v1alpha3", "EnvoyFilter", w.Namespace, "rig-"+w.Name)
	filter.SetLabels(map[string]string{sidecar.PodLabel: w.Name})
	filter.Object["spec"] = map[string]any{
		"targetRefs": []any{map[string]any{
			"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": w.Labels[gateway.NameLabel],
		}},
		"configPatches": []any{map[string]any{
			"applyTo": "LISTENER",
			"match": map[string]any{
				"context": "SIDECAR_INBOUND", "listener": map[string]any{"name": "connect_terminate"},
				"proxy": map[string]any{"metadata": map[string]any{"NAME": w.Name}},
			},
			"patch": map[string]any{"operation": "MERGE", "value": map[string]any{
				"address": map[string]any{"socket_address": map[string]any{"address": w.ListenIP}},
			}},
		}},
	}
	return filter
}
