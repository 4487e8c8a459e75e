package controllers

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	istiokube "istio.io/istio/pkg/config/kube"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/wait"
)

// Publish writes the EndpointSlices of every Service that has a selector, and the Sidecar resources. It waits until every worker of every
// proxy knows the endpoints, and until sidecars listen on the ports of all Services.
func (m *Manager) Publish() error {
	if err := m.writeSidecars(); err != nil {
		return err
	}
	if err := m.WriteEndpoints(); err != nil {
		return err
	}
	for _, p := range m.Proxies() {
		if err := wait.Until(p.String()+" knows the endpoints", func() error { return m.endpointsKnown(p) }); err != nil {
			return err
		}
	}
	for _, s := range m.Sidecars {
		if err := wait.Until(s.String()+" listens", s.Serves); err != nil {
			return err
		}
	}
	for _, p := range m.Proxies() {
		if err := p.Envoy.SyncWorkers(); err != nil {
			return err
		}
	}
	return nil
}

// SetState sets the state of pods and publishes it.
func (m *Manager) SetState(state pods.State, changed ...*pods.Pod) error {
	for _, p := range changed {
		p.SetState(state)
	}
	return m.Publish()
}

// endpointsKnown returns an error while a proxy's clusters lack an endpoint or have one too many.
func (m *Manager) endpointsKnown(p *proxy.Proxy) error {
	clusters, err := p.Envoy.Endpoints()
	if err != nil {
		return err
	}
	for _, service := range m.services {
		// Istio has no cluster for a name of another host.
		if service.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		// A sidecar sends requests for a headless Service to the address that the client connects to.
		if service.Spec.ClusterIP == corev1.ClusterIPNone && p.Role == proxy.Sidecar {
			continue
		}
		// The hosts that a gateway has for such a Service are waypoints.
		if p.Role == proxy.Gateway && service.Labels[ingressUseWaypoint] == "true" {
			continue
		}
		if p.Role == proxy.Waypoint && !p.Services[service.Namespace+"/"+service.Name] {
			continue
		}
		for _, port := range service.Spec.Ports {
			name := clusterName(p.Role, service, port)
			hosts, ok := clusters[name]
			if !ok {
				return fmt.Errorf("no cluster %s", name)
			}
			for _, p := range m.Pods {
				if p.Namespace != service.Namespace || !selects(service, p.Labels) || len(p.Ports) == 0 {
					continue
				}
				// A pod that is not ready is missing or unhealthy; which of the two, a test may assert.
				host, known := hosts[p.IP]
				healthy := known && (host.Health == "HEALTHY" || host.Health == "UNKNOWN")
				if want := p.State() == pods.Ready; healthy != want {
					return fmt.Errorf("cluster %s: healthy pod %s: %t, expected %t", name, p.Name, healthy, want)
				}
				delete(hosts, p.IP)
			}
			// Endpoints that are gateways are not compared: no proxy sends requests to them.
			if !m.selectsGateway(service) && len(service.Spec.Selector) > 0 && len(hosts) > 0 {
				return fmt.Errorf("cluster %s still has %v", name, hosts)
			}
		}
	}
	return nil
}

// clusterName returns the name of the cluster that a proxy has for a port of a Service. A waypoint has two for a port whose protocol istiod
// does not know.
func clusterName(role proxy.Role, service *corev1.Service, port corev1.ServicePort) string {
	host := service.Name + "." + service.Namespace + ".svc.cluster.local"
	if role != proxy.Waypoint {
		return fmt.Sprintf("outbound|%d||%s", port.Port, host)
	}
	subset := "http"
	if istiokube.ConvertProtocol(port.Port, port.Name, port.Protocol, port.AppProtocol).IsTCP() {
		subset = "tcp"
	}
	return fmt.Sprintf("inbound-vip|%d|%s|%s", port.Port, subset, host)
}

// AwaitUnused waits until no worker of any proxy can send a request to these pods, not even one of a session on them.
func (m *Manager) AwaitUnused(unused []*pods.Pod) error {
	for _, p := range m.Proxies() {
		if err := wait.Until(p.String()+" does not use the pods", func() error { return usesNone(p, unused) }); err != nil {
			return err
		}
		if err := p.Envoy.SyncWorkers(); err != nil {
			return err
		}
	}
	return nil
}

// Unused returns an error while a worker of any proxy can send a request to a pod, even if only one of a session on it.
func (m *Manager) Unused(pod *pods.Pod) error {
	for _, p := range m.Proxies() {
		if err := usesNone(p, []*pods.Pod{pod}); err != nil {
			return err
		}
		if err := p.Envoy.SyncWorkers(); err != nil {
			return err
		}
	}
	return nil
}

func usesNone(p *proxy.Proxy, unused []*pods.Pod) error {
	clusters, err := p.Envoy.Endpoints()
	if err != nil {
		return err
	}
	for name, hosts := range clusters {
		if name == "connect_originate" {
			continue // the far ends of tunnels, which other clusters select
		}
		for _, p := range unused {
			if host, known := hosts[p.IP]; known && host.Health != "UNHEALTHY" {
				return fmt.Errorf("%s has pod %s, which is %s", name, p.Name, host.Health)
			}
		}
	}
	return nil
}

// WriteEndpoints writes the EndpointSlices of every Service that has a selector.
func (m *Manager) WriteEndpoints() error {
	for _, service := range m.services {
		if len(service.Spec.Selector) == 0 {
			continue
		}
		if err := m.writeService(service); err != nil {
			return fmt.Errorf("Service %s: %w", service.Name, err)
		}
	}
	return nil
}

func (m *Manager) writeService(service *corev1.Service) error {
	// Pods with the same port numbers share a slice; with named ports the numbers can differ from pod to pod.
	groups := map[string]*discoveryv1.EndpointSlice{}
	add := func(name, ip string, ports []corev1.ContainerPort, state pods.State) error {
		endpointPorts, err := resolvePorts(service, ports)
		if err != nil {
			return fmt.Errorf("pod %s: %w", name, err)
		}
		key := portsKey(endpointPorts)
		if groups[key] == nil {
			groups[key] = &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Ports: endpointPorts}
		}
		groups[key].Endpoints = append(groups[key].Endpoints, endpoint(service.Namespace, name, ip, state))
		return nil
	}
	for _, p := range m.Pods {
		// A pod without ports serves nothing, because the rig has no program for its image.
		if p.Namespace == service.Namespace && selects(service, p.Labels) && len(p.Ports) > 0 {
			if err := add(p.Name, p.IP, p.Ports, p.State()); err != nil {
				return err
			}
		}
	}
	for _, g := range m.Gateways {
		if g.Namespace == service.Namespace && selects(service, g.Labels) {
			if err := add(g.Name, g.IP, containerPorts(g.Proxy), pods.Ready); err != nil {
				return err
			}
		}
	}
	for _, w := range m.Waypoints {
		if w.Namespace == service.Namespace && selects(service, w.Labels) {
			if err := add(w.Name, w.IP, containerPorts(w.Proxy), pods.Ready); err != nil {
				return err
			}
		}
	}
	return m.writeSlices(service, groups)
}

func (m *Manager) writeSlices(service *corev1.Service, groups map[string]*discoveryv1.EndpointSlice) error {
	if len(groups) == 0 {
		// As the real controller does, leave an empty slice.
		groups["none"] = &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	}
	key := service.Namespace + "/" + service.Name
	old, now := m.slices[key], map[string]bool{}
	for _, ports := range slices.Sorted(maps.Keys(groups)) {
		slice := groups[ports]
		slice.Name, slice.Namespace = service.Name+"-"+ports, service.Namespace
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: service.Name}
		obj, err := kube.Typed("discovery.k8s.io/v1", "EndpointSlice", slice)
		if err != nil {
			return err
		}
		if err := m.applySlice(obj); err != nil {
			return err
		}
		now[slice.Name] = true
		delete(old, slice.Name)
	}
	m.slices[key] = now
	return m.deleteSlices(service.Namespace, old)
}

// applySlice applies a slice. With Follow, all slices are written whenever anything changes, so it leaves out those that are the same as
// last time.
func (m *Manager) applySlice(obj *kube.Object) error {
	if m.options.Follow {
		return m.applyChanged(obj)
	}
	_, err := m.options.Apply(obj)
	return err
}

// applyChanged applies an object unless it is the same as last time.
func (m *Manager) applyChanged(obj *kube.Object) error {
	if old := m.written[kube.Describe(obj)]; old != nil && reflect.DeepEqual(old.Object, obj.Object) {
		return nil
	}
	if _, err := m.options.Apply(obj); err != nil {
		return err
	}
	m.written[kube.Describe(obj)] = obj
	return nil
}

// DeleteEndpoints deletes the EndpointSlices of a Service, named <namespace>/<name>.
func (m *Manager) DeleteEndpoints(service string) error {
	namespace, _, _ := strings.Cut(service, "/")
	err := m.deleteSlices(namespace, m.slices[service])
	delete(m.slices, service)
	return err
}

func (m *Manager) deleteSlices(namespace string, names map[string]bool) error {
	for name := range names {
		obj := kube.Ref("discovery.k8s.io/v1", "EndpointSlice", namespace, name)
		delete(m.written, kube.Describe(obj))
		if err := m.cluster.Kube.Delete(obj); err != nil {
			return err
		}
	}
	return nil
}

func endpoint(namespace, pod, ip string, state pods.State) discoveryv1.Endpoint {
	isReady, serving, terminating := state == pods.Ready, state != pods.NotReady, state == pods.Draining
	return discoveryv1.Endpoint{
		Addresses: []string{ip},
		Conditions: discoveryv1.EndpointConditions{
			Ready: &isReady, Serving: &serving, Terminating: &terminating,
		},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod, Namespace: namespace},
	}
}

// resolvePorts returns the port of a pod for each port of a Service.
func resolvePorts(service *corev1.Service, ports []corev1.ContainerPort) ([]discoveryv1.EndpointPort, error) {
	var resolved []discoveryv1.EndpointPort
	for _, port := range service.Spec.Ports {
		if port.Name == statusPort {
			continue
		}
		target := port.TargetPort
		if target == (intstr.IntOrString{}) {
			target = intstr.FromInt32(port.Port)
		}
		i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool {
			return p.Name == target.StrVal && target.Type == intstr.String ||
				p.ContainerPort == target.IntVal && target.Type == intstr.Int
		})
		if i < 0 {
			return nil, fmt.Errorf("port %d targets %s, which is not a containerPort", port.Port, target.String())
		}
		resolved = append(resolved, discoveryv1.EndpointPort{
			Name: &port.Name, Port: &ports[i].ContainerPort, Protocol: &port.Protocol, AppProtocol: port.AppProtocol,
		})
	}
	return resolved, nil
}

func portsKey(ports []discoveryv1.EndpointPort) string {
	var numbers []string
	for _, port := range ports {
		numbers = append(numbers, fmt.Sprint(*port.Port))
	}
	return strings.Join(numbers, "-")
}
