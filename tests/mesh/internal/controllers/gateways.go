package controllers

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/waypoint"
)

// gatewayTemplate is the pod annotation of a Deployment whose pods Istio turns into gateways.
const gatewayTemplate, gatewayTemplateValue = "inject.istio.io/templates", "gateway"

// Adapt changes an object before it is applied: a Gateway gets an address, because the rig deploys it and not Istio; a Service that
// selects gateways gets other targetPorts, because each gateway listens on its own ports; and a Sidecar loses its listeners.
func (m *Manager) Adapt(obj *kube.Object) error {
	if obj.GetKind() == "Sidecar" {
		return m.adaptSidecar(obj)
	}
	if obj.GetKind() == "Gateway" && strings.HasPrefix(obj.GetAPIVersion(), "gateway.networking.k8s.io/") {
		if _, found, _ := unstructured.NestedSlice(obj.Object, "spec", "addresses"); found {
			return nil
		}
		// With an address, Istio does not deploy it.
		host := fmt.Sprintf("%s.%s.svc.cluster.local", DeploymentOf(obj), obj.GetNamespace())
		return unstructured.SetNestedSlice(obj.Object,
			[]any{map[string]any{"type": "Hostname", "value": host}}, "spec", "addresses")
	}
	if obj.GetKind() != "Service" || obj.GetAPIVersion() != "v1" {
		return nil
	}
	var service corev1.Service
	if err := kube.Into(obj, &service); err != nil {
		return err
	}
	if !m.selectsGateway(&service) {
		return nil
	}
	// Each gateway pod has its own ports, so the Service refers to them by name.
	ports, _, _ := unstructured.NestedSlice(obj.Object, "spec", "ports")
	for _, port := range ports {
		if port, ok := port.(map[string]any); ok {
			port["targetPort"] = gatewayPortName(port["port"])
		}
	}
	return unstructured.SetNestedSlice(obj.Object, ports, "spec", "ports")
}

func gatewayPortName(port any) string { return fmt.Sprintf("port-%v", port) }

func (m *Manager) selectsGateway(service *corev1.Service) bool {
	for _, d := range m.deployments {
		if d.Namespace == service.Namespace && (isGateway(d) || isWaypoint(d)) && selects(service, d.Spec.Template.Labels) {
			return true
		}
	}
	return false
}

// isGateway reports whether the pods of a Deployment are gateways of the ingress or egress: Istio injects them, or istiod has written the
// Deployment for a Gateway.
func isGateway(d *appsv1.Deployment) bool {
	template := d.Spec.Template
	return template.Annotations[gatewayTemplate] == gatewayTemplateValue || template.Labels[gateway.NameLabel] != ""
}

// selects reports whether a Service selects pods with these labels.
func selects(service *corev1.Service, podLabels map[string]string) bool {
	return len(service.Spec.Selector) > 0 && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(podLabels))
}

// DeploymentOf names the Deployment and the Service that Istio makes for a Gateway.
func DeploymentOf(owner *kube.Object) string {
	class := classOf(owner)
	if class == waypoint.Class {
		return owner.GetName()
	}
	return owner.GetName() + "-" + class
}

func classOf(owner *kube.Object) string {
	class, _, _ := unstructured.NestedString(owner.Object, "spec", "gatewayClassName")
	return class
}

// GatewayObjects returns the Deployment and the Service that Istio would make for a Gateway with these ListenerSets.
func GatewayObjects(owner *kube.Object, sets ...*kube.Object) ([]*kube.Object, error) {
	name, namespace := DeploymentOf(owner), owner.GetNamespace()
	labels := map[string]string{gateway.NameLabel: owner.GetName()}
	annotations := map[string]string{gatewayTemplate: gatewayTemplateValue}
	if classOf(owner) == waypoint.Class {
		labels[waypoint.ClassLabel], labels[waypoint.ManagedLabel] = waypoint.Class, waypoint.ManagedValue
		annotations = nil
	}
	listeners, _, _ := unstructured.NestedSlice(owner.Object, "spec", "listeners")
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
	service, err := kube.Typed("v1", "Service", &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: ports},
	})
	if err != nil {
		return nil, err
	}
	one := int32(1)
	deployment, err := kube.Typed("apps/v1", "Deployment", &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy", Image: "istio/proxyv2"}}},
			},
		},
	})
	return []*kube.Object{deployment, service}, err
}
