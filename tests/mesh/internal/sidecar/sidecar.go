// Package sidecar has the sidecars of pods that call services, and the Sidecar resources by which they work without iptables.
package sidecar

import (
	"cmp"
	"maps"
	"slices"

	"istio.io/istio/pkg/config/protocol"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
)

// InjectLabel is the label of pods that get a sidecar, if it is "true".
const InjectLabel = "sidecar.istio.io/inject"

// PodLabel is the label that the rig adds to such pods and to their Sidecar resources. Its value is the name of the pod.
const PodLabel = "mesh.mooring.dev/pod"

// A Sidecar is the proxy of a pod that calls services. It takes what the pod sends, and nothing that others send to the pod. Its ListenIP
// plays the loopback device of the pod, and its Ports are those of all Services that the pod can call.
type Sidecar struct{ *proxy.Proxy }

// New returns the sidecar of a pod, which gets PodLabel. listenIP must be an address that nothing else uses.
func New(p proxy.Proxy, listenIP string) *Sidecar {
	p.Role, p.ListenIP, p.Ports = proxy.Sidecar, listenIP, map[int]int{}
	p.Labels = maps.Clone(p.Labels)
	p.Labels[PodLabel] = p.Name
	p.Metadata = map[string]any{"INTERCEPTION_MODE": "NONE"}
	return &Sidecar{&p}
}

// A Mesh is what pods can call.
type Mesh struct {
	Namespaces []string                  // of the Services
	Ports      map[int]protocol.Instance // of the Services; protocols that istiod is to detect count as HTTP
	// OutboundTrafficPolicy is that of the user's Sidecar; nil for that of the mesh.
	OutboundTrafficPolicy map[string]any
}

// Resource returns the Sidecar resource that makes istiod send a listener for each port of the mesh, and makes these ports the ones that
// clients can use.
func (s *Sidecar) Resource(mesh Mesh) *kube.Object {
	var hosts []any
	for _, namespace := range slices.Sorted(slices.Values(mesh.Namespaces)) {
		hosts = append(hosts, namespace+"/*")
	}
	egress, own := []any{}, map[int]int{}
	for _, number := range slices.Sorted(maps.Keys(mesh.Ports)) {
		own[number] = number
		egress = append(egress, map[string]any{
			"port": map[string]any{
				"number": int64(number), "name": "port", "protocol": string(cmp.Or(mesh.Ports[number], protocol.HTTP)),
			},
			"bind": s.ListenIP, "captureMode": "NONE", "hosts": hosts,
		})
	}
	if len(egress) == 0 {
		egress = append(egress, map[string]any{"hosts": []any{"~/*"}})
	}
	s.Ports = own
	spec := map[string]any{
		"workloadSelector": map[string]any{"labels": map[string]any{PodLabel: s.Name}},
		"egress":           egress,
	}
	if mesh.OutboundTrafficPolicy != nil {
		spec["outboundTrafficPolicy"] = mesh.OutboundTrafficPolicy
	}
	resource := kube.Ref("networking.istio.io/v1", "Sidecar", s.Namespace, s.Name)
	resource.SetLabels(map[string]string{PodLabel: s.Name})
	resource.Object["spec"] = spec
	return resource
}
