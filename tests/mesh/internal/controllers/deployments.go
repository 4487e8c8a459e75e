package controllers

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/proxy"
)

// Reconcile brings pods and gateways to the number that their Deployments ask for, then the endpoints, and waits until all gateways
// know these.
func (m *Manager) Reconcile() error {
	m.assignServices()
	for _, key := range slices.Sorted(maps.Keys(m.deployments)) {
		d := m.deployments[key]
		if err := m.scale(d, replicas(d)); err != nil {
			return err
		}
	}
	return m.Publish()
}

// replicas returns the number of pods that a Deployment asks for.
func replicas(d *appsv1.Deployment) int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Spec.Replicas)
}

func (m *Manager) scale(d *appsv1.Deployment, want int) error {
	switch {
	case isWaypoint(d):
		return m.scaleWaypoints(d, want)
	case isGateway(d):
		return m.scaleGateways(d, want)
	}
	return m.scalePods(d, want)
}

// PodsOf returns the pods of a Deployment.
func (m *Manager) PodsOf(namespace, deployment string) []*pods.Pod {
	var found []*pods.Pod
	for _, p := range m.Pods {
		if p.Namespace == namespace && p.Owner == deployment {
			found = append(found, p)
		}
	}
	return found
}

func (m *Manager) scalePods(d *appsv1.Deployment, want int) error {
	have := m.PodsOf(d.Namespace, d.Name)
	for len(have) > want {
		if err := m.removePod(have[len(have)-1]); err != nil {
			return err
		}
		have = have[:len(have)-1]
	}
	for n := 0; len(have) < want; n++ {
		name := fmt.Sprintf("%s-%d", d.Name, n)
		if m.options.Follow {
			name = fmt.Sprintf("%s-rig-%d", d.Name, n) // as if a ReplicaSet had made it
		}
		if slices.ContainsFunc(have, func(p *pods.Pod) bool { return p.Name == name }) {
			continue
		}
		pod := &pods.Pod{
			Name: name, Namespace: d.Namespace, IP: m.env.NextIP(), Owner: d.Name,
			Labels: d.Spec.Template.Labels, Version: d.Spec.Template.Labels["version"],
		}
		for _, container := range d.Spec.Template.Spec.Containers {
			pod.Ports = append(pod.Ports, container.Ports...)
		}
		if pods.IsEchoBasic(&d.Spec.Template.Spec) {
			pod.RunEchoBasic(m.env, m.cluster.Kube, m.options.Dir, &d.Spec.Template.Spec)
		}
		if len(pod.Ports) == 0 && !m.options.Follow && !isInjected(d) {
			return fmt.Errorf("Deployment %s declares no containerPort, so its pods would serve nothing", d.Name)
		}
		if d.Spec.Template.Annotations[redirectionAnnotation] == redirectionValue {
			var err error
			if pod.Tunnels, err = m.cluster.Authority.Issue(d.Namespace, d.Name); err != nil {
				return err
			}
		}
		if err := pod.Start(); err != nil {
			return err
		}
		if err := m.addPod(d, pod); err != nil {
			return err
		}
		have = append(have, pod)
	}
	return nil
}

// addPod writes a running pod, and starts its sidecar if it is to have one.
func (m *Manager) addPod(d *appsv1.Deployment, pod *pods.Pod) error {
	m.Pods = append(m.Pods, pod)
	if !isInjected(d) {
		return m.createPod(d, pod.Name, pod.IP, pod.Labels, pod.Ports)
	}
	s, err := m.newSidecar(d, pod)
	if err != nil {
		return err
	}
	if err := m.createPod(d, pod.Name, pod.IP, s.Labels, pod.Ports); err != nil {
		return err
	}
	return s.Start(m.env, m.cluster, m.options.Proxy)
}

// schedule returns the Node for the pods of a Deployment; nil if the Deployment has no nodeSelector.
func (m *Manager) schedule(d *appsv1.Deployment) (*corev1.Node, error) {
	selector := d.Spec.Template.Spec.NodeSelector
	if len(selector) == 0 {
		return nil, nil
	}
	for _, node := range m.nodes {
		if labels.SelectorFromSet(selector).Matches(labels.Set(node.Labels)) {
			return node, nil
		}
	}
	return nil, fmt.Errorf("Deployment %s: no Node has the labels %v", d.Name, selector)
}

// createPod writes the Pod as scheduler and kubelet would leave it.
func (m *Manager) createPod(d *appsv1.Deployment, name, ip string, labels map[string]string, ports []corev1.ContainerPort) error {
	pod := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy()}
	pod.Name, pod.Namespace, pod.Labels = name, d.Namespace, labels
	for i := range ports {
		ports[i].Protocol = corev1.ProtocolTCP
	}
	pod.Spec.Containers[0].Ports = ports
	node, err := m.schedule(d)
	if err != nil {
		return err
	}
	if node != nil {
		pod.Spec.NodeName = node.Name
	} else if m.options.Follow {
		pod.Spec.NodeName = NodeName
	}
	obj, err := kube.Typed("v1", "Pod", pod)
	if err != nil {
		return err
	}
	if _, err := m.options.Apply(obj); err != nil {
		return err
	}
	status := &kube.Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": d.Namespace},
		"status": map[string]any{
			"phase": "Running", "podIP": ip, "podIPs": []any{map[string]any{"ip": ip}},
			"conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
		},
	}}
	_, err = m.cluster.Kube.Apply(status, "status")
	return err
}

func (m *Manager) removePod(p *pods.Pod) error {
	p.Crash()
	m.Pods = slices.DeleteFunc(m.Pods, func(other *pods.Pod) bool { return other == p })
	if err := m.removeSidecar(p); err != nil {
		return err
	}
	return m.deletePod(p.Namespace, p.Name)
}

func (m *Manager) deletePod(namespace, name string) error {
	return m.cluster.Kube.Delete(kube.Ref("v1", "Pod", namespace, name))
}

func containerPorts(p *proxy.Proxy) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for port, own := range p.Ports {
		ports = append(ports, corev1.ContainerPort{Name: gatewayPortName(port), ContainerPort: int32(own)})
	}
	return ports
}
