// Package controllers plays the controllers and the kubelet that a cluster of the rig lacks: it runs pods and gateways for Deployments,
// and writes Pods and EndpointSlices. It does so at once, so that a test need not wait.
package controllers

import (
	"errors"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/sidecar"
	"mooring.dev/tests/mesh/internal/testenv"
	"mooring.dev/tests/mesh/internal/waypoint"
)

// NodeName is the Node of pods that have no nodeSelector, with Follow.
const NodeName = "rig"

// Options are the settings of a Manager.
type Options struct {
	Proxy proxy.Options
	Dir   string // where programs of pods write
	// Apply applies an object as it is. It returns the object with the defaults of the server.
	Apply func(*kube.Object) (*kube.Object, error)
	// Follow is for objects that something else applies, which expects a cluster: pods have names as if a ReplicaSet had made them, and
	// a Node; a pod without ports is no error.
	Follow bool
}

// A Manager works on the Deployments, Services and Nodes that Record has been given. It is not safe for concurrent use.
type Manager struct {
	Pods      []*pods.Pod
	Gateways  []*gateway.Gateway
	Sidecars  []*sidecar.Sidecar
	Waypoints []*waypoint.Waypoint

	env         *testenv.Env
	cluster     *cluster.Cluster
	options     Options
	deployments map[string]*appsv1.Deployment // by <namespace>/<name>, as are the others
	services    map[string]*corev1.Service
	entries     map[string]*kube.Object // ServiceEntries
	sidecars    map[string]*kube.Object // Sidecar resources of the user, by namespace
	ingress     map[string][]any        // their ingress listeners, by namespace
	nodes       []*corev1.Node
	namespaces  map[string]map[string]string // the labels of Namespaces
	slices      map[string]map[string]bool   // the names of the EndpointSlices of each Service
	written     map[string]*kube.Object      // EndpointSlices and Sidecar resources as last applied
}

// NewManager returns a Manager without objects.
func NewManager(env *testenv.Env, c *cluster.Cluster, o Options) *Manager {
	return &Manager{
		env: env, cluster: c, options: o,
		deployments: map[string]*appsv1.Deployment{},
		services:    map[string]*corev1.Service{},
		entries:     map[string]*kube.Object{},
		sidecars:    map[string]*kube.Object{},
		ingress:     map[string][]any{},
		namespaces:  map[string]map[string]string{},
		slices:      map[string]map[string]bool{},
		written:     map[string]*kube.Object{},
	}
}

// Record keeps an object, as the server returned it, if it is of a kind that the Manager works on.
func (m *Manager) Record(obj *kube.Object) error {
	switch obj.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		d := &appsv1.Deployment{}
		m.deployments[kube.Key(obj)] = d
		return kube.Into(obj, d)
	case schema.GroupKind{Kind: "Service"}:
		service := &corev1.Service{}
		m.services[kube.Key(obj)] = service
		return kube.Into(obj, service)
	case schema.GroupKind{Kind: "Namespace"}:
		m.namespaces[obj.GetName()] = obj.GetLabels()
		return nil
	case schema.GroupKind{Kind: "Node"}:
		node := &corev1.Node{}
		m.nodes = append(m.nodes, node)
		return kube.Into(obj, node)
	case schema.GroupKind{Group: "networking.istio.io", Kind: "ServiceEntry"}:
		m.entries[kube.Key(obj)] = obj
		return nil
	case schema.GroupKind{Group: "networking.istio.io", Kind: "Sidecar"}:
		if obj.GetLabels()[sidecar.PodLabel] == "" {
			m.sidecars[obj.GetNamespace()] = obj
		}
		return nil
	default:
		return nil
	}
}

// HasDeployment reports whether a Deployment is recorded.
func (m *Manager) HasDeployment(key string) bool { return m.deployments[key] != nil }

// Names returns the names of the recorded Deployments and Services of a namespace.
func (m *Manager) Names(namespace string) []string {
	var names []string
	for _, key := range slices.Concat(slices.Collect(maps.Keys(m.deployments)), slices.Collect(maps.Keys(m.services))) {
		if of, name, _ := strings.Cut(key, "/"); of == namespace && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Deployment returns the recorded Deployment of this name in any namespace, or nil.
func (m *Manager) Deployment(name string) *appsv1.Deployment {
	for _, d := range m.deployments {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// ForgetDeployment forgets a Deployment, whose pods must be gone.
func (m *Manager) ForgetDeployment(key string) { delete(m.deployments, key) }

// ForgetService forgets a Service and deletes its EndpointSlices.
func (m *Manager) ForgetService(key string) error {
	if err := m.DeleteEndpoints(key); err != nil {
		return err
	}
	delete(m.services, key)
	return nil
}

// Forget forgets a ServiceEntry or a Sidecar resource.
func (m *Manager) Forget(obj *kube.Object) {
	switch obj.GetKind() {
	case "ServiceEntry":
		delete(m.entries, kube.Key(obj))
	case "Sidecar":
		delete(m.sidecars, obj.GetNamespace())
		delete(m.ingress, obj.GetNamespace())
	}
}

// RemovePod ends one pod and takes its endpoint away. Its Deployment then has one replica less.
func (m *Manager) RemovePod(p *pods.Pod) error {
	if err := m.removePod(p); err != nil {
		return err
	}
	n := int32(len(m.PodsOf(p.Namespace, p.Owner)))
	m.deployments[p.Namespace+"/"+p.Owner].Spec.Replicas = &n
	return m.Publish()
}

// GatewaysOf returns all Envoys of a Gateway, or of the Deployment of that name.
func (m *Manager) GatewaysOf(name string) []*gateway.Gateway {
	var found []*gateway.Gateway
	for _, g := range m.Gateways {
		if g.Owner == name || g.Owner == name+"-istio" {
			found = append(found, g)
		}
	}
	return found
}

// ReplaceDeployments makes these the recorded Deployments, and brings pods and gateways to the number that they ask for. It does not
// write endpoints.
func (m *Manager) ReplaceDeployments(objects []*kube.Object) error {
	old := m.deployments
	m.deployments = map[string]*appsv1.Deployment{}
	for _, obj := range objects {
		if err := m.Record(obj); err != nil {
			return err
		}
	}
	var failed []error
	for key, d := range old {
		if m.deployments[key] == nil {
			failed = append(failed, m.scale(d, 0))
		}
	}
	for _, d := range m.deployments {
		failed = append(failed, m.scale(d, replicas(d)))
	}
	return errors.Join(failed...)
}

// ReplaceServices makes these the recorded Services, and deletes the EndpointSlices of others.
func (m *Manager) ReplaceServices(objects []*kube.Object) error {
	old := m.services
	m.services = map[string]*corev1.Service{}
	for _, obj := range objects {
		if err := m.Record(obj); err != nil {
			return err
		}
	}
	for key := range old {
		if m.services[key] == nil {
			if err := m.DeleteEndpoints(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// AssignPorts gives gateways ports for the ports that their Services have got since they started.
func (m *Manager) AssignPorts() {
	for _, g := range m.Gateways {
		m.assignPorts(g)
	}
}

// ServicesOf returns the Services that select a gateway.
func (m *Manager) ServicesOf(g *gateway.Gateway) []*corev1.Service {
	var found []*corev1.Service
	for _, service := range m.services {
		if service.Namespace == g.Namespace && selects(service, g.Labels) {
			found = append(found, service)
		}
	}
	return found
}

// Proxies returns the proxies of all gateways, sidecars and waypoints.
func (m *Manager) Proxies() []*proxy.Proxy {
	var all []*proxy.Proxy
	for _, g := range m.Gateways {
		all = append(all, g.Proxy)
	}
	for _, s := range m.Sidecars {
		all = append(all, s.Proxy)
	}
	for _, w := range m.Waypoints {
		all = append(all, w.Proxy)
	}
	return all
}

// Stop ends all proxies and pods.
func (m *Manager) Stop() {
	for _, p := range m.Proxies() {
		p.Stop()
	}
	for _, p := range m.Pods {
		p.Crash()
	}
}

// Logs returns the end of each proxy's log.
func (m *Manager) Logs() string {
	text := ""
	for _, p := range m.Proxies() {
		if p.Envoy != nil {
			text += p.Envoy.Process.Tail()
		}
	}
	return text
}

// Pod returns the pod of this name, or nil.
func (m *Manager) Pod(name string) *pods.Pod {
	i := slices.IndexFunc(m.Pods, func(p *pods.Pod) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return m.Pods[i]
}
