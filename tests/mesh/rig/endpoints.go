package rig

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// publish writes the EndpointSlices of every Service that has a selector and waits until all gateways know them.
func (s *Scenario) publish() error {
	if err := s.writeEndpoints(); err != nil {
		return err
	}
	for _, g := range s.gateways {
		if err := poll("gateway "+g.Name+" knows the endpoints", func() error { return s.endpointsKnown(g) }); err != nil {
			return err
		}
	}
	return nil
}

// endpointsKnown says what is still missing in a gateway's clusters, or too much.
func (s *Scenario) endpointsKnown(g *Gateway) error {
	clusters, err := g.endpoints()
	if err != nil {
		return err
	}
	for _, service := range s.services {
		// Istio has no cluster for a name of another host.
		if service.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		for _, port := range service.Spec.Ports {
			name := fmt.Sprintf("outbound|%d||%s.%s.svc.cluster.local", port.Port, service.Name, service.Namespace)
			hosts, ok := clusters[name]
			if !ok {
				return fmt.Errorf("no cluster %s", name)
			}
			for _, p := range s.pods {
				if p.Namespace != service.Namespace || !selects(service, p.Labels) {
					continue
				}
				// A pod that is not ready is gone or at least not healthy; which of the two is for a test to find out.
				health, known := hosts[p.IP]
				healthy := known && (health == "HEALTHY" || health == "UNKNOWN")
				if want := p.getState() == ready; healthy != want {
					return fmt.Errorf("cluster %s: healthy pod %s: %t, expected %t", name, p.Name, healthy, want)
				}
				delete(hosts, p.IP)
			}
			// Gateways are not asked about: nothing is sent from one to another.
			if !s.selectsGateway(service) && len(service.Spec.Selector) > 0 && len(hosts) > 0 {
				return fmt.Errorf("cluster %s still has %v", name, hosts)
			}
		}
	}
	return nil
}

// sendsNothingTo is an error while one of these pods may get a request, were it only one that is pinned to it.
func (g *Gateway) sendsNothingTo(pods []*Pod) error {
	clusters, err := g.endpoints()
	if err != nil {
		return err
	}
	for name, hosts := range clusters {
		for _, p := range pods {
			if health, known := hosts[p.IP]; known && health != "UNHEALTHY" {
				return fmt.Errorf("%s has pod %s, which is %s", name, p.Name, health)
			}
		}
	}
	return nil
}

func (s *Scenario) writeEndpoints() error {
	for _, service := range s.services {
		if len(service.Spec.Selector) == 0 {
			continue
		}
		if err := s.publishService(service); err != nil {
			return fmt.Errorf("Service %s: %w", service.Name, err)
		}
	}
	return nil
}

func (s *Scenario) publishService(service *corev1.Service) error {
	// Pods that serve the same numbers share a slice; with named ports the numbers can differ from pod to pod.
	groups := map[string]*discoveryv1.EndpointSlice{}
	add := func(name, ip string, ports []corev1.ContainerPort, state podState) error {
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
	for _, p := range s.pods {
		// A pod without ports serves nothing: the rig has no program for its image.
		if p.Namespace == service.Namespace && selects(service, p.Labels) && len(p.ports) > 0 {
			if err := add(p.Name, p.IP, p.ports, p.getState()); err != nil {
				return err
			}
		}
	}
	for _, g := range s.gateways {
		if g.Namespace == service.Namespace && selects(service, g.labels) {
			if err := add(g.Name, g.IP, g.containerPorts(), ready); err != nil {
				return err
			}
		}
	}
	return s.writeSlices(service, groups)
}

func (s *Scenario) writeSlices(service *corev1.Service, groups map[string]*discoveryv1.EndpointSlice) error {
	if len(groups) == 0 {
		// As the real controller does, leave a slice behind that says: nobody.
		groups["none"] = &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	}
	key := service.Namespace + "/" + service.Name
	old, now := s.slices[key], map[string]bool{}
	for _, ports := range slices.Sorted(maps.Keys(groups)) {
		slice := groups[ports]
		slice.Name, slice.Namespace = service.Name+"-"+ports, service.Namespace
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: service.Name}
		obj, err := typed("discovery.k8s.io/v1", "EndpointSlice", slice)
		if err != nil {
			return err
		}
		if err := s.applySlice(obj); err != nil {
			return err
		}
		now[slice.Name] = true
		delete(old, slice.Name)
	}
	s.slices[key] = now
	return s.deleteSlices(service.Namespace, old)
}

// applySlice leaves out what would change nothing, since a Follower writes all of them again whenever anything changes.
func (s *Scenario) applySlice(obj *Object) error {
	if old := s.written[describe(obj)]; s.follows && old != nil && reflect.DeepEqual(old.Object, obj.Object) {
		return nil
	}
	if _, err := s.applyRaw(obj); err != nil {
		return err
	}
	if s.written == nil {
		s.written = map[string]*Object{}
	}
	s.written[describe(obj)] = obj
	return nil
}

func (s *Scenario) deleteSlices(namespace string, names map[string]bool) error {
	for name := range names {
		obj := &Object{}
		obj.SetAPIVersion("discovery.k8s.io/v1")
		obj.SetKind("EndpointSlice")
		obj.SetName(name)
		obj.SetNamespace(namespace)
		delete(s.written, describe(obj))
		if err := s.Cluster.kube.delete(obj); err != nil {
			return err
		}
	}
	return nil
}

func endpoint(namespace, pod, ip string, state podState) discoveryv1.Endpoint {
	isReady, serving, terminating := state == ready, state != notReady, state == draining
	return discoveryv1.Endpoint{
		Addresses: []string{ip},
		Conditions: discoveryv1.EndpointConditions{
			Ready: &isReady, Serving: &serving, Terminating: &terminating,
		},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod, Namespace: namespace},
	}
}

// resolvePorts finds what each port of a Service is on a pod.
func resolvePorts(service *corev1.Service, ports []corev1.ContainerPort) ([]discoveryv1.EndpointPort, error) {
	var resolved []discoveryv1.EndpointPort
	for _, port := range service.Spec.Ports {
		target := port.TargetPort
		if target == (intstr.IntOrString{}) {
			target = intstr.FromInt32(port.Port)
		}
		i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool {
			return p.Name == target.StrVal && target.Type == intstr.String ||
				p.ContainerPort == target.IntVal && target.Type == intstr.Int
		})
		if i < 0 {
			return nil, fmt.Errorf("port %d targets %s, which is no containerPort", port.Port, target.String())
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
