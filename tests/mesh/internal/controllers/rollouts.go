package controllers

import (
	appsv1 "k8s.io/api/apps/v1"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
)

var deploymentKind = appsv1.SchemeGroupVersion.WithKind("Deployment")

// Rollout plays the controller of Deployments for a Deployment of gateways that something else changes, such as kubectl or istiod. If its
// pod template has changed, it starts new gateways, calls move, which is to move the traffic, and ends the old ones. It writes the status of
// a complete rollout. It does nothing if the status is about the newest generation.
func (m *Manager) Rollout(namespace, name string, move func(started, outdated []*gateway.Gateway)) error {
	obj, err := m.cluster.Kube.Get(deploymentKind, namespace, name)
	if err != nil {
		return err
	}
	var d appsv1.Deployment
	if err := kube.Into(obj, &d); err != nil || d.Status.ObservedGeneration == d.Generation {
		return err
	}
	if err := m.Record(obj); err != nil {
		return err
	}
	current, outdated := m.gatewaysOf(&d)
	if len(outdated) > 0 {
		for len(current) < replicas(&d) {
			g, err := m.addGateway(&d)
			if err == nil {
				err = g.AwaitServing()
			}
			if err != nil {
				return err
			}
			current = append(current, g)
		}
		move(current, outdated)
	}
	if err := m.Reconcile(); err != nil {
		return err
	}
	count := int64(replicas(&d))
	status := kube.Ref("apps/v1", "Deployment", namespace, name)
	status.Object["status"] = map[string]any{
		"observedGeneration": d.Generation, "replicas": count, "updatedReplicas": count, "readyReplicas": count, "availableReplicas": count,
	}
	_, err = m.cluster.Kube.Apply(status, "status")
	return err
}
