package controllers

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/waypoint"
)

// The labels of a Service, or of its namespace, that name its waypoint, and let gateways use it.
const (
	ingressUseWaypoint   = "istio.io/ingress-use-waypoint"
	useWaypoint          = "istio.io/use-waypoint"
	useWaypointNamespace = "istio.io/use-waypoint-namespace"
)

// redirectionAnnotation is what Istio's node agent writes on pods whose traffic ztunnel takes. Such pods accept tunnels.
const redirectionAnnotation, redirectionValue = "ambient.istio.io/redirection", "enabled"

// isWaypoint reports whether the pods of a Deployment are waypoints.
func isWaypoint(d *appsv1.Deployment) bool {
	return d.Spec.Template.Labels[waypoint.ClassLabel] == waypoint.Class
}

func (m *Manager) scaleWaypoints(d *appsv1.Deployment, want int) error {
	var have []*waypoint.Waypoint
	for _, w := range m.Waypoints {
		if w.Namespace == d.Namespace && w.Owner == d.Name {
			have = append(have, w)
		}
	}
	for len(have) > want {
		last := have[len(have)-1]
		last.Stop()
		if err := m.deletePod(last.Namespace, last.Name); err != nil {
			return err
		}
		m.Waypoints = slices.DeleteFunc(m.Waypoints, func(w *waypoint.Waypoint) bool { return w == last })
		have = have[:len(have)-1]
	}
	for len(have) < want {
		w := waypoint.New(proxy.Proxy{
			Name: fmt.Sprintf("%s-%d", d.Name, len(have)), Namespace: d.Namespace, Owner: d.Name, IP: m.env.NextIP(),
			Labels: d.Spec.Template.Labels,
		})
		if _, err := m.options.Apply(w.Binding()); err != nil {
			return err
		}
		if err := m.createPod(d, w.Name, w.IP, w.Labels, containerPorts(w.Proxy)); err != nil {
			return err
		}
		w.Services = m.servedBy(w)
		if err := w.Start(m.env, m.cluster, m.options.Proxy); err != nil {
			return err
		}
		m.Waypoints, have = append(m.Waypoints, w), append(have, w)
	}
	return nil
}

func (m *Manager) assignServices() {
	for _, w := range m.Waypoints {
		w.Services = m.servedBy(w)
	}
}

// servedBy returns the Services that a waypoint serves.
func (m *Manager) servedBy(w *waypoint.Waypoint) map[string]bool {
	served := map[string]bool{}
	for key, service := range m.services {
		name, namespace := m.waypointName(service)
		if name == w.Labels[gateway.NameLabel] && namespace == w.Namespace && service.Labels[waypoint.ManagedLabel] == "" {
			served[key] = true
		}
	}
	return served
}

// waypointName returns the name and the namespace of the waypoint of a Service.
func (m *Manager) waypointName(service *corev1.Service) (name, namespace string) {
	labels := service.Labels
	if _, own := labels[useWaypoint]; !own {
		labels = m.namespaces[service.Namespace]
	}
	namespace = service.Namespace
	if other := labels[useWaypointNamespace]; other != "" {
		namespace = other
	}
	return labels[useWaypoint], namespace
}

// WaypointOf returns a Service, named <namespace>/<name>, and the first Envoy of its waypoint; nil if there is none.
func (m *Manager) WaypointOf(key string) (*waypoint.Waypoint, *corev1.Service) {
	for _, w := range m.Waypoints {
		if w.Services[key] {
			return w, m.services[key]
		}
	}
	return nil, m.services[key]
}
