package controllers

import (
	"fmt"
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
)

// scaleGateways starts and stops gateways of a Deployment. If its pod template has changed, new gateways replace the old ones once they
// serve, as in a rolling update.
func (m *Manager) scaleGateways(d *appsv1.Deployment, want int) error {
	current, outdated := m.gatewaysOf(d)
	for len(current) > want {
		if err := m.removeGateway(current[len(current)-1]); err != nil {
			return err
		}
		current = current[:len(current)-1]
	}
	for len(current) < want {
		g, err := m.addGateway(d)
		if err != nil {
			return err
		}
		current = append(current, g)
	}
	if len(outdated) == 0 {
		return nil
	}
	for _, g := range current {
		if err := g.Serves(); err != nil {
			return fmt.Errorf("rolling update of Deployment %s: %s: %w", d.Name, g, err)
		}
	}
	for _, g := range outdated {
		if err := m.removeGateway(g); err != nil {
			return err
		}
	}
	return nil
}

// gatewaysOf returns the gateways of a Deployment: those of its pod template, and those of an earlier one.
func (m *Manager) gatewaysOf(d *appsv1.Deployment) (current, outdated []*gateway.Gateway) {
	for _, g := range m.Gateways {
		switch {
		case g.Namespace != d.Namespace || g.Owner != d.Name:
		case reflect.DeepEqual(g.Template, d.Spec.Template):
			current = append(current, g)
		default:
			outdated = append(outdated, g)
		}
	}
	return current, outdated
}

func (m *Manager) addGateway(d *appsv1.Deployment) (*gateway.Gateway, error) {
	g := &gateway.Gateway{Template: *d.Spec.Template.DeepCopy(), Proxy: &proxy.Proxy{
		Role: proxy.Gateway, Name: m.freeName(d), Namespace: d.Namespace, IP: m.env.NextIP(),
		Owner: d.Name, Labels: d.Spec.Template.Labels, Ports: map[int]int{},
	}}
	g.ListenIP = g.IP
	m.assignPorts(g)
	var err error
	if g.Node, err = m.schedule(d); err != nil {
		return nil, err
	}
	options := m.options.Proxy
	secrets, err := m.secretVariables(d)
	if err != nil {
		return nil, err
	}
	options.Env = slices.Concat(options.Env, secrets)
	if err := m.createPod(d, g.Name, g.IP, g.Labels, containerPorts(g.Proxy)); err != nil {
		return nil, err
	}
	if err := g.Start(m.env, m.cluster, options); err != nil {
		return nil, err
	}
	m.Gateways = append(m.Gateways, g)
	return g, nil
}

// freeName returns <deployment>-<n> with the first n that no gateway of the Deployment has.
func (m *Manager) freeName(d *appsv1.Deployment) string {
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s-%d", d.Name, n)
		if !slices.ContainsFunc(m.Gateways, func(g *gateway.Gateway) bool { return g.Namespace == d.Namespace && g.Name == name }) {
			return name
		}
	}
}

func (m *Manager) removeGateway(g *gateway.Gateway) error {
	g.Stop()
	m.Gateways = slices.DeleteFunc(m.Gateways, func(other *gateway.Gateway) bool { return other == g })
	return m.deletePod(g.Namespace, g.Name)
}

// secretVariables returns NAME=value for the variables of a gateway's container that come from Secrets. The rig sets Istio's own.
func (m *Manager) secretVariables(d *appsv1.Deployment) ([]string, error) {
	var variables []string
	for _, v := range d.Spec.Template.Spec.Containers[0].Env {
		if v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil {
			continue
		}
		ref := v.ValueFrom.SecretKeyRef
		optional := ref.Optional != nil && *ref.Optional
		obj, err := m.cluster.Kube.Get(corev1.SchemeGroupVersion.WithKind("Secret"), d.Namespace, ref.Name)
		if optional && apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("Deployment %s: %w", d.Name, err)
		}
		var secret corev1.Secret
		if err := kube.Into(obj, &secret); err != nil {
			return nil, err
		}
		value, found := secret.Data[ref.Key]
		if !found {
			return nil, fmt.Errorf("Deployment %s: Secret %s has no key %s", d.Name, ref.Name, ref.Key)
		}
		variables = append(variables, v.Name+"="+string(value))
	}
	return variables, nil
}

// statusPort is the name that istiod gives to the port of the agent's readiness probe, for which the rig has another.
const statusPort = "status-port"

// assignPorts gives a gateway its own port for each port of its Services that has none yet: the Service's targetPort if that is a
// number, else a new one.
func (m *Manager) assignPorts(g *gateway.Gateway) {
	for _, service := range m.ServicesOf(g) {
		for _, port := range service.Spec.Ports {
			if port.Name == statusPort {
				continue
			}
			if _, ok := g.Ports[int(port.Port)]; ok {
				continue
			}
			if own := port.TargetPort.IntValue(); own > 0 {
				g.Ports[int(port.Port)] = own
			} else {
				g.Ports[int(port.Port)] = m.env.NextPort()
			}
		}
	}
}
