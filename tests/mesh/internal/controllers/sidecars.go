package controllers

import (
	"errors"
	"maps"
	"slices"

	istiokube "istio.io/istio/pkg/config/kube"
	"istio.io/istio/pkg/config/protocol"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/sidecar"
)

// isInjected reports whether Istio adds a sidecar to the pods of a Deployment.
func isInjected(d *appsv1.Deployment) bool {
	return d.Spec.Template.Labels[sidecar.InjectLabel] == "true"
}

// SidecarsOf returns the sidecars of a Deployment's pods, in any namespace.
func (m *Manager) SidecarsOf(deployment string) []*sidecar.Sidecar {
	var found []*sidecar.Sidecar
	for _, s := range m.Sidecars {
		if s.Owner == deployment {
			found = append(found, s)
		}
	}
	return found
}

// newSidecar returns the sidecar of a pod, and writes its Sidecar resource. It does not start it: the Pod must exist first, from which
// istiod takes what it knows of the sidecar.
func (m *Manager) newSidecar(d *appsv1.Deployment, p *pods.Pod) (*sidecar.Sidecar, error) {
	node, err := m.schedule(d)
	if err != nil {
		return nil, err
	}
	s := sidecar.New(proxy.Proxy{
		Name: p.Name, Namespace: p.Namespace, Owner: p.Owner, IP: p.IP, Labels: p.Labels, Node: node,
	}, m.env.NextIP(), m.env.NextIP())
	m.Sidecars = append(m.Sidecars, s)
	return s, m.writeSidecar(s)
}

// writeSidecar writes the Sidecar resource for the Services that are recorded now, if it has changed.
func (m *Manager) writeSidecar(s *sidecar.Sidecar) error {
	return m.applyChanged(s.Resource(m.mesh(s.Namespace)))
}

func (m *Manager) writeSidecars() error {
	for _, s := range m.Sidecars {
		if err := m.writeSidecar(s); err != nil {
			return err
		}
	}
	return nil
}

// removeSidecar ends the sidecar of a pod, if it has one.
func (m *Manager) removeSidecar(p *pods.Pod) error {
	i := slices.IndexFunc(m.Sidecars, func(s *sidecar.Sidecar) bool { return s.Namespace == p.Namespace && s.Name == p.Name })
	if i < 0 {
		return nil
	}
	s := m.Sidecars[i]
	m.Sidecars = slices.Delete(m.Sidecars, i, i+1)
	s.Stop()
	resource := s.Resource(m.mesh(s.Namespace))
	delete(m.written, kube.Describe(resource))
	return m.cluster.Kube.Delete(resource)
}

// mesh returns what pods of a namespace can call: the Services and ServiceEntries of all namespaces that the Manager works on.
func (m *Manager) mesh(namespace string) sidecar.Mesh {
	namespaces, ports := map[string]bool{namespace: true}, map[int]protocol.Instance{}
	add := func(number int32, name string, transport corev1.Protocol, application *string) {
		p := istiokube.ConvertProtocol(number, name, transport, application)
		if p == protocol.UDP || ports[int(number)].IsHTTP() {
			return // one listener serves all that have a port, by HTTP if possible
		}
		if p == protocol.Unsupported {
			p = protocol.HTTP // istiod would find out by the first bytes of each connection
		}
		if ports[int(number)] == "" || p.IsHTTP() {
			ports[int(number)] = p
		}
	}
	for _, service := range m.services {
		namespaces[service.Namespace] = true
		for _, port := range service.Spec.Ports {
			add(port.Port, port.Name, port.Protocol, port.AppProtocol)
		}
	}
	for _, entry := range m.entries {
		namespaces[entry.GetNamespace()] = true
		list, _, _ := unstructured.NestedSlice(entry.Object, "spec", "ports")
		for _, port := range list {
			port, _ := port.(map[string]any)
			number, _ := port["number"].(int64)
			text, _ := port["protocol"].(string)
			add(int32(number), "", corev1.ProtocolTCP, &text)
		}
	}
	mesh := sidecar.Mesh{Namespaces: slices.Collect(maps.Keys(namespaces)), Ports: ports}
	if user := m.sidecars[namespace]; user != nil {
		mesh.Policy, _, _ = unstructured.NestedMap(user.Object, "spec", "outboundTrafficPolicy")
		mesh.Ingress = m.ingress[namespace]
	}
	return mesh
}

// adaptSidecar changes a Sidecar resource of the user, which must be for a whole namespace, into one without listeners: until istiod knows
// the resource that the rig writes for a pod, which takes over outboundTrafficPolicy and ingress, the sidecars of all pods would listen on
// the same addresses.
func (m *Manager) adaptSidecar(obj *kube.Object) error {
	if _, found, _ := unstructured.NestedMap(obj.Object, "spec", "workloadSelector"); found {
		return errors.New("the rig knows Sidecar resources without a workloadSelector only")
	}
	m.ingress[obj.GetNamespace()], _, _ = unstructured.NestedSlice(obj.Object, "spec", "ingress")
	unstructured.RemoveNestedField(obj.Object, "spec", "ingress")
	return unstructured.SetNestedSlice(obj.Object, []any{map[string]any{"hosts": []any{"~/*"}}}, "spec", "egress")
}
