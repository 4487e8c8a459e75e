package rig

// This file stands in for what no controller and no kubelet does here: Pods for Deployments and gateways for
// Gateways; endpoints.go does so for EndpointSlices. It works on one scenario's objects, and at once, so that a test
// need not wait.

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// gatewayTemplate marks a Deployment whose pods Istio turns into gateways; the rig runs Envoy for them.
const gatewayTemplate, gatewayTemplateValue = "inject.istio.io/templates", "gateway"

const gatewayNameLabel = "gateway.networking.k8s.io/gateway-name"

// All pods and gateways of all scenarios share one network namespace, so addresses are given out once, and so are
// the ports of gateways, because istiod binds listeners to every address.
var lastPodIP, lastGatewayPort atomic.Int32

func nextPodIP() string {
	n := lastPodIP.Add(1)
	return fmt.Sprintf("10.244.%d.%d", n/250, n%250+1)
}

func nextGatewayPort() int { return 20000 + int(lastGatewayPort.Add(1)) }

// adapt changes an object before it is applied, where this cluster is not like others.
func (s *Scenario) adapt(obj *Object) error {
	if obj.GetKind() == "Gateway" && strings.HasPrefix(obj.GetAPIVersion(), "gateway.networking.k8s.io/") {
		if _, found, _ := unstructured.NestedSlice(obj.Object, "spec", "addresses"); found {
			return nil
		}
		// With an address it is a gateway that someone else runs: the rig does.
		host := fmt.Sprintf("%s.%s.svc.cluster.local", deploymentOf(obj), obj.GetNamespace())
		return unstructured.SetNestedSlice(obj.Object,
			[]any{map[string]any{"type": "Hostname", "value": host}}, "spec", "addresses")
	}
	if obj.GetKind() != "Service" || obj.GetAPIVersion() != "v1" {
		return nil
	}
	var service corev1.Service
	if err := into(obj, &service); err != nil {
		return err
	}
	if !s.selectsGateway(&service) {
		return nil
	}
	// Each gateway pod has ports of its own, so the Service finds them by name.
	ports, _, _ := unstructured.NestedSlice(obj.Object, "spec", "ports")
	for _, port := range ports {
		if port, ok := port.(map[string]any); ok {
			port["targetPort"] = gatewayPortName(port["port"])
		}
	}
	return unstructured.SetNestedSlice(obj.Object, ports, "spec", "ports")
}

func gatewayPortName(port any) string { return fmt.Sprintf("port-%v", port) }

func (s *Scenario) selectsGateway(service *corev1.Service) bool {
	for _, d := range s.deployments {
		if d.Namespace == service.Namespace && isGateway(d) && selects(service, d.Spec.Template.Labels) {
			return true
		}
	}
	return false
}

func isGateway(d *appsv1.Deployment) bool {
	return d.Spec.Template.Annotations[gatewayTemplate] == gatewayTemplateValue
}

func selects(service *corev1.Service, podLabels map[string]string) bool {
	return len(service.Spec.Selector) > 0 && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(podLabels))
}

// deploymentOf names the Deployment and the Service that Istio makes for a Gateway.
func deploymentOf(gateway *Object) string {
	class, _, _ := unstructured.NestedString(gateway.Object, "spec", "gatewayClassName")
	return gateway.GetName() + "-" + class
}

// gatewayObjects are the Deployment and the Service that Istio would make for a Gateway API gateway with these ListenerSets.
func gatewayObjects(gateway *Object, sets ...*Object) ([]*Object, error) {
	name, namespace := deploymentOf(gateway), gateway.GetNamespace()
	labels := map[string]string{gatewayNameLabel: gateway.GetName()}
	listeners, _, _ := unstructured.NestedSlice(gateway.Object, "spec", "listeners")
	for _, set := range sets {
		more, _, _ := unstructured.NestedSlice(set.Object, "spec", "listeners")
		listeners = append(listeners, more...)
	}
	var ports []corev1.ServicePort
	for _, listener := range listeners {
		listener, _ := listener.(map[string]any)
		number, _ := listener["port"].(int64)
		protocol := strings.ToLower(fmt.Sprint(listener["protocol"]))
		if !slices.Contains([]string{"http", "https", "tls"}, protocol) {
			protocol = "tcp" // a listener can have any, a port cannot
		}
		sameNumber := func(p corev1.ServicePort) bool { return p.Port == int32(number) }
		if slices.ContainsFunc(ports, sameNumber) {
			continue
		}
		ports = append(ports, corev1.ServicePort{
			Name: fmt.Sprintf("%s-%d", protocol, number), Port: int32(number), Protocol: corev1.ProtocolTCP,
			TargetPort: intstr.FromString(gatewayPortName(number)),
		})
	}
	service, err := typed("v1", "Service", &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: ports},
	})
	if err != nil {
		return nil, err
	}
	one := int32(1)
	deployment, err := typed("apps/v1", "Deployment", &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels: labels, Annotations: map[string]string{gatewayTemplate: gatewayTemplateValue},
				},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy", Image: "istio/proxyv2"}}},
			},
		},
	})
	return []*Object{deployment, service}, err
}

// reconcile brings pods and gateways to the number that their Deployments ask for, then the endpoints.
func (s *Scenario) reconcile() error {
	for _, key := range slices.Sorted(maps.Keys(s.deployments)) {
		d := s.deployments[key]
		if err := s.scale(d, replicas(d)); err != nil {
			return err
		}
	}
	return s.publish()
}

func replicas(d *appsv1.Deployment) int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Spec.Replicas)
}

func (s *Scenario) scale(d *appsv1.Deployment, want int) error {
	if isGateway(d) {
		return s.scaleGateways(d, want)
	}
	return s.scalePods(d, want)
}

func (s *Scenario) podsOf(namespace, deployment string) []*Pod {
	var found []*Pod
	for _, p := range s.pods {
		if p.Namespace == namespace && p.owner == deployment {
			found = append(found, p)
		}
	}
	return found
}

func (s *Scenario) scalePods(d *appsv1.Deployment, want int) error {
	have := s.podsOf(d.Namespace, d.Name)
	for len(have) > want {
		if err := s.removePod(have[len(have)-1]); err != nil {
			return err
		}
		have = have[:len(have)-1]
	}
	for n := 0; len(have) < want; n++ {
		name := fmt.Sprintf("%s-%d", d.Name, n)
		if s.follows {
			name = fmt.Sprintf("%s-rig-%d", d.Name, n) // as with a ReplicaSet in between
		}
		if slices.ContainsFunc(have, func(p *Pod) bool { return p.Name == name }) {
			continue
		}
		pod := &Pod{
			Name: name, Namespace: d.Namespace, IP: nextPodIP(), owner: d.Name,
			Labels: d.Spec.Template.Labels, Version: d.Spec.Template.Labels["version"],
		}
		for _, container := range d.Spec.Template.Spec.Containers {
			pod.ports = append(pod.ports, container.Ports...)
		}
		if isEcho(d) {
			s.echo(pod, d)
		}
		if len(pod.ports) == 0 && !s.follows {
			return fmt.Errorf("Deployment %s declares no containerPort, so its pods would serve nothing", d.Name)
		}
		if err := pod.listen(); err != nil {
			return err
		}
		if err := s.createPod(d, pod.Name, pod.IP, pod.ports); err != nil {
			return err
		}
		s.pods, have = append(s.pods, pod), append(have, pod)
	}
	return nil
}

func (s *Scenario) scaleGateways(d *appsv1.Deployment, want int) error {
	var have []*Gateway
	for _, g := range s.gateways {
		if g.Namespace == d.Namespace && g.owner == d.Name {
			have = append(have, g)
		}
	}
	for len(have) > want {
		last := have[len(have)-1]
		last.Envoy.Stop()
		if err := s.deletePod(last.Namespace, last.Name); err != nil {
			return err
		}
		s.gateways = slices.DeleteFunc(s.gateways, func(g *Gateway) bool { return g == last })
		have = have[:len(have)-1]
	}
	for len(have) < want {
		g := &Gateway{
			Name: fmt.Sprintf("%s-%d", d.Name, len(have)), Namespace: d.Namespace, IP: nextPodIP(),
			owner: d.Name, labels: d.Spec.Template.Labels, ports: map[int]int{},
			dir: filepath.Join(s.Cluster.dir, s.Namespace), t: s.t, cluster: s.Cluster,
		}
		s.assignPorts(g)
		var err error
		if g.node, err = s.schedule(d); err != nil {
			return err
		}
		if err := s.createPod(d, g.Name, g.IP, g.containerPorts()); err != nil {
			return err
		}
		if err := g.start(s.options.workers, s.options.gatewayEnv); err != nil {
			return err
		}
		s.gateways, have = append(s.gateways, g), append(have, g)
	}
	return nil
}

// assignPorts gives a gateway a port of its own for each port of its Services that has none yet: the one that the Service names by
// its number, else a new one.
func (s *Scenario) assignPorts(g *Gateway) {
	for _, service := range s.services {
		if service.Namespace != g.Namespace || !selects(service, g.labels) {
			continue
		}
		for _, port := range service.Spec.Ports {
			if _, ok := g.ports[int(port.Port)]; ok {
				continue
			}
			if own := port.TargetPort.IntValue(); own > 0 {
				g.ports[int(port.Port)] = own
			} else {
				g.ports[int(port.Port)] = nextGatewayPort()
			}
		}
	}
}

// schedule finds the Node for the pods of a Deployment; one without a nodeSelector needs none.
func (s *Scenario) schedule(d *appsv1.Deployment) (*corev1.Node, error) {
	selector := d.Spec.Template.Spec.NodeSelector
	if len(selector) == 0 {
		return nil, nil
	}
	for _, node := range s.nodes {
		if labels.SelectorFromSet(selector).Matches(labels.Set(node.Labels)) {
			return node, nil
		}
	}
	return nil, fmt.Errorf("Deployment %s: no Node has the labels %v", d.Name, selector)
}

// createPod writes the Pod as scheduler and kubelet would leave it.
func (s *Scenario) createPod(d *appsv1.Deployment, name, ip string, ports []corev1.ContainerPort) error {
	pod := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy()}
	pod.Name, pod.Namespace = name, d.Namespace
	for i := range ports {
		ports[i].Protocol = corev1.ProtocolTCP
	}
	pod.Spec.Containers[0].Ports = ports
	node, err := s.schedule(d)
	if err != nil {
		return err
	}
	if node != nil {
		pod.Spec.NodeName = node.Name
	} else if s.follows {
		pod.Spec.NodeName = nodeName
	}
	obj, err := typed("v1", "Pod", pod)
	if err != nil {
		return err
	}
	if _, err := s.applyRaw(obj); err != nil {
		return err
	}
	status := &Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": d.Namespace},
		"status": map[string]any{
			"phase": "Running", "podIP": ip, "podIPs": []any{map[string]any{"ip": ip}},
			"conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
		},
	}}
	_, err = s.Cluster.kube.apply(status, "status")
	return err
}

func (s *Scenario) removePod(p *Pod) error {
	p.Crash()
	s.pods = slices.DeleteFunc(s.pods, func(other *Pod) bool { return other == p })
	return s.deletePod(p.Namespace, p.Name)
}

func (s *Scenario) deletePod(namespace, name string) error {
	obj := &Object{}
	obj.SetAPIVersion("v1")
	obj.SetKind("Pod")
	obj.SetName(name)
	obj.SetNamespace(namespace)
	return s.Cluster.kube.delete(obj)
}
