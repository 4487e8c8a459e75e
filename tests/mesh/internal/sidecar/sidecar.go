// Package sidecar has the sidecars of pods that call services, and the Sidecar resources by which they work without iptables.
package sidecar

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"testing"

	"istio.io/istio/pkg/config/protocol"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/traffic"
)

// InjectLabel is the label of pods that get a sidecar, if it is "true".
const InjectLabel = "sidecar.istio.io/inject"

// PodLabel is the label that the rig adds to such pods, and to the resources that it writes for single pods. Its value is the name of the pod.
const PodLabel = "mesh.mooring.dev/pod"

// A Sidecar is the proxy of a pod that calls services. Its ListenIP plays the loopback device of the pod, and its Ports are those of all
// Services that the pod can call. What others send to the pod does not pass through it, except what they send to InboundIP.
type Sidecar struct {
	*proxy.Proxy
	InboundIP string
}

// New returns the sidecar of a pod, which gets PodLabel. Both addresses must be ones that nothing else uses.
func New(p proxy.Proxy, listenIP, inboundIP string) *Sidecar {
	p.Role, p.ListenIP, p.Ports = proxy.Sidecar, listenIP, map[int]int{}
	p.Labels = maps.Clone(p.Labels)
	p.Labels[PodLabel] = p.Name
	p.Metadata = map[string]any{"INTERCEPTION_MODE": "NONE"}
	return &Sidecar{Proxy: &p, InboundIP: inboundIP}
}

// A Mesh is what pods can call.
type Mesh struct {
	Namespaces []string                  // of the Services
	Ports      map[int]protocol.Instance // of the Services; protocols that istiod is to detect count as HTTP
	// Policy is the outboundTrafficPolicy of the user's Sidecar; nil for that of the mesh.
	Policy map[string]any
	// Ingress is that of the user's Sidecar. Each listener is bound to the sidecar's InboundIP.
	Ingress []any
}

// InboundClient returns a new client of a port of the pod, which reaches the pod through the sidecar. The user's Sidecar must have an
// ingress listener for the port.
func (s *Sidecar) InboundClient(t testing.TB, port int) *traffic.Client {
	t.Helper()
	return traffic.NewClient(t, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(s.InboundIP, strconv.Itoa(port)))
	})
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
	if mesh.Policy != nil {
		spec["outboundTrafficPolicy"] = mesh.Policy
	}
	var ingress []any
	for _, listener := range mesh.Ingress {
		if listener, ok := listener.(map[string]any); ok {
			bound := maps.Clone(listener)
			bound["bind"], bound["captureMode"] = s.InboundIP, "NONE"
			ingress = append(ingress, bound)
		}
	}
	if len(ingress) > 0 {
		spec["ingress"] = ingress
	}
	return s.resource(spec)
}

func (s *Sidecar) resource(spec map[string]any) *kube.Object {
	resource := kube.Ref("networking.istio.io/v1", "Sidecar", s.Namespace, s.Name)
	resource.SetLabels(map[string]string{PodLabel: s.Name})
	resource.Object["spec"] = spec
	return resource
}
