package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A Follower plays the controllers and the kubelet for objects that something else applies, such as a test suite that knows
// nothing of the rig: pods for Deployments, endpoints for Services, and for each Gateway an Envoy behind a load balancer, whose
// address istiod then writes into the Gateway's status. It has a control plane of its own.
type Follower struct {
	Cluster *Cluster

	t        testing.TB
	scenario *Scenario // keeps pods, gateways and endpoints
	kick     chan struct{}
	kubelet  *http.Server
	stop     context.CancelFunc
	ended    sync.WaitGroup

	mu        sync.Mutex            // of all below, and of the scenario
	made      map[string]*Object    // for Gateways, as last applied
	ports     map[string]int        // of the Envoys, by Service and port
	balancers map[string]*forwarder // by address
	failed    error                 // of the last look

	settling sync.Mutex       // of what follows
	mooring  []*Object        // what Mooring has generated, as last applied
	ever     map[string]bool  // names of everything that Mooring has generated
	left     map[missing]bool // what the gateways did not take in time
}

// followed are the objects that the Follower has something to do for.
var followed = struct{ gateways, listenerSets, deployments, services schema.GroupVersionResource }{
	schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "listenersets"},
	schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
	schema.GroupVersionResource{Version: "v1", Resource: "services"},
}

// Follow starts a control plane of this name and follows what is applied to it until the test ends.
func Follow(t testing.TB, name, release string, opts ...Option) *Follower {
	t.Helper()
	c, err := clusterOf(name, release, true)
	if err != nil {
		t.Fatal(err)
	}
	f := &Follower{
		Cluster: c,
		t:       t,
		scenario: &Scenario{
			Namespace: "followed", Cluster: c, t: t, follows: true,
			options: options{workers: 1},
			slices:  map[string]map[string]bool{},
		},
		kick:      make(chan struct{}, 1),
		made:      map[string]*Object{},
		ports:     map[string]int{},
		ever:      map[string]bool{},
		left:      map[missing]bool{},
		balancers: map[string]*forwarder{},
	}
	for _, opt := range opts {
		opt(&f.scenario.options)
	}
	if err := os.MkdirAll(filepath.Join(c.dir, f.scenario.Namespace), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.startNode(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	for _, resource := range []schema.GroupVersionResource{
		followed.gateways, followed.listenerSets, followed.deployments, followed.services,
	} {
		f.ended.Go(func() { f.watch(ctx, resource) })
	}
	f.ended.Go(func() { f.run(ctx) })
	t.Cleanup(f.end)
	return f
}

// watch asks for a look at everything whenever an object of this kind changes.
func (f *Follower) watch(ctx context.Context, resource schema.GroupVersionResource) {
	for ctx.Err() == nil {
		w, err := f.Cluster.kube.dynamic.Resource(resource).Watch(ctx, metav1.ListOptions{})
		if err != nil {
			time.Sleep(pollLast)
			continue
		}
		for range w.ResultChan() {
			f.wake()
		}
	}
}

func (f *Follower) wake() {
	select {
	case f.kick <- struct{}{}:
	default: // a look is due already
	}
}

func (f *Follower) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.kick:
		}
		// A failed look is repeated: some objects need others that do not exist yet, such as a pod's Secrets.
		if f.look() != nil {
			time.AfterFunc(pollLast, f.wake)
		}
	}
}

func (f *Follower) look() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = f.reconcile()
	return f.failed
}

func (f *Follower) reconcile() error {
	return errors.Join(f.playGateways(), f.playServices(), f.playDeployments(), f.playEndpoints(), f.playLoadBalancers())
}

func (f *Follower) list(resource schema.GroupVersionResource) ([]*Object, error) {
	list, err := f.Cluster.kube.dynamic.Resource(resource).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var objects []*Object
	for i := range list.Items {
		objects = append(objects, &list.Items[i])
	}
	return objects, nil
}

// playGateways makes for each Gateway what Istio's deployment controller would.
func (f *Follower) playGateways() error {
	gateways, err := f.list(followed.gateways)
	if err != nil {
		return err
	}
	sets, err := f.list(followed.listenerSets)
	if err != nil {
		return err
	}
	wanted := map[string]*Object{}
	for _, gateway := range gateways {
		if _, found, _ := unstructured.NestedSlice(gateway.Object, "spec", "addresses"); found {
			continue
		}
		objects, err := gatewayObjects(gateway, setsOf(gateway, sets)...)
		if err != nil {
			return err
		}
		for _, obj := range append(objects, serviceAccount(gateway)) {
			if obj.GetKind() == "Service" {
				if err := f.expose(obj); err != nil {
					return err
				}
			}
			wanted[describe(obj)] = obj
		}
	}
	var failed []error
	for name, obj := range wanted {
		if old := f.made[name]; old != nil && reflect.DeepEqual(old.Object, obj.Object) {
			continue
		}
		if _, err := f.Cluster.kube.apply(obj); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		f.made[name] = obj
	}
	for name, obj := range f.made {
		if wanted[name] != nil {
			continue
		}
		if err := f.Cluster.kube.delete(obj); err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		delete(f.made, name)
	}
	return errors.Join(failed...)
}

// setsOf are the ListenerSets that name the Gateway.
func setsOf(gateway *Object, sets []*Object) []*Object {
	var own []*Object
	for _, set := range sets {
		ref, _, _ := unstructured.NestedStringMap(set.Object, "spec", "parentRef")
		namespace := ref["namespace"]
		if namespace == "" {
			namespace = set.GetNamespace()
		}
		if ref["name"] == gateway.GetName() && namespace == gateway.GetNamespace() {
			own = append(own, set)
		}
	}
	return own
}

// expose makes a gateway's Service one of a load balancer, and names the ports of its only Envoy by numbers: a Pod cannot be given
// more named ports later, when the Gateway has more listeners.
func (f *Follower) expose(service *Object) error {
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	for _, port := range ports {
		if port, ok := port.(map[string]any); ok {
			key := fmt.Sprintf("%s:%v", describe(service), port["port"])
			if f.ports[key] == 0 {
				f.ports[key] = nextGatewayPort()
			}
			port["targetPort"] = int64(f.ports[key])
		}
	}
	if err := unstructured.SetNestedSlice(service.Object, ports, "spec", "ports"); err != nil {
		return err
	}
	// As Istio's has: istiod then expects endpoints for a new port. Else it writes that the Gateway's address is not usable, and may
	// leave it at that, since endpoints alone do not have it look at the Gateway again.
	labels := service.GetLabels()
	labels["gateway.istio.io/managed"] = "istio.io-gateway-controller"
	service.SetLabels(labels)
	return unstructured.SetNestedField(service.Object, string(corev1.ServiceTypeLoadBalancer), "spec", "type")
}

func serviceAccount(gateway *Object) *Object {
	obj := &Object{}
	obj.SetAPIVersion("v1")
	obj.SetKind("ServiceAccount")
	obj.SetName(deploymentOf(gateway))
	obj.SetNamespace(gateway.GetNamespace())
	return obj
}

// playDeployments brings pods and Envoys to the number that the Deployments ask for.
func (f *Follower) playDeployments() error {
	objects, err := f.list(followed.deployments)
	if err != nil {
		return err
	}
	s := f.scenario
	old := s.deployments
	s.deployments = map[string]*appsv1.Deployment{}
	for _, obj := range objects {
		if err := s.record(obj); err != nil {
			return err
		}
	}
	var failed []error
	for key, d := range old {
		if s.deployments[key] == nil {
			failed = append(failed, s.scale(d, 0))
		}
	}
	for _, d := range s.deployments {
		failed = append(failed, s.scale(d, replicas(d)))
	}
	return errors.Join(failed...)
}

// playServices deletes the endpoints of Services that no longer exist.
func (f *Follower) playServices() error {
	objects, err := f.list(followed.services)
	if err != nil {
		return err
	}
	s := f.scenario
	old := s.services
	s.services = map[string]*corev1.Service{}
	for _, obj := range objects {
		if err := s.record(obj); err != nil {
			return err
		}
	}
	for key, service := range old {
		if s.services[key] == nil {
			if err := s.deleteSlices(service.Namespace, s.slices[key]); err != nil {
				return err
			}
			delete(s.slices, key)
		}
	}
	return nil
}

func (f *Follower) playEndpoints() error {
	for _, g := range f.scenario.gateways {
		f.scenario.assignPorts(g)
	}
	return f.scenario.writeEndpoints()
}

// playLoadBalancers puts a load balancer in front of each gateway: the address is that of the Envoy's pod, the ports are the
// Service's.
func (f *Follower) playLoadBalancers() error {
	fronts := map[string]string{}
	for _, g := range f.scenario.gateways {
		for _, service := range f.scenario.services {
			if service.Namespace != g.Namespace || !selects(service, g.labels) {
				continue
			}
			for _, port := range service.Spec.Ports {
				fronts[fmt.Sprintf("%s:%d", g.IP, port.Port)] = g.IP + ":" + strconv.Itoa(g.ports[int(port.Port)])
			}
			if err := f.tellAddress(service, g.IP); err != nil {
				return err
			}
		}
	}
	for from, to := range fronts {
		if f.balancers[from] == nil {
			var err error
			if f.balancers[from], err = forward(from, to); err != nil {
				return err
			}
		}
	}
	for from, balancer := range f.balancers {
		if fronts[from] == "" {
			_ = balancer.Close()
			delete(f.balancers, from)
		}
	}
	return nil
}

func (f *Follower) tellAddress(service *corev1.Service, ip string) error {
	told := slices.ContainsFunc(service.Status.LoadBalancer.Ingress, func(i corev1.LoadBalancerIngress) bool { return i.IP == ip })
	if told || service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	_, err := f.Cluster.kube.apply(&Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": service.Name, "namespace": service.Namespace},
		"status":   map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": ip}}}},
	}}, "status")
	return err
}

// end stops everything, and fails the test if the last look at the objects failed, or an Envoy died or refused what istiod sent.
func (f *Follower) end() {
	f.stop()
	f.ended.Wait()
	_ = f.kubelet.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		f.t.Error(f.failed)
	}
	for _, g := range f.scenario.gateways {
		if err := g.healthy(); err != nil && !f.scenario.options.rejections {
			f.t.Error(err)
		}
	}
	if f.t.Failed() {
		f.t.Log(f.scenario.logs())
	}
	for _, balancer := range f.balancers {
		_ = balancer.Close()
	}
	for _, g := range f.scenario.gateways {
		g.Envoy.Stop()
	}
	for _, p := range f.scenario.pods {
		p.Crash()
	}
	f.Cluster.stop()
}

// identity is a token of the gateway's service account, as Istio's agent shows it to istiod.
func (g *Gateway) identity() (string, error) {
	request := &Object{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"metadata": map[string]any{"name": g.owner, "namespace": g.Namespace},
		"spec":     map[string]any{"audiences": []any{"istio-ca"}},
	}}
	accounts := schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	answer, err := g.cluster.kube.dynamic.Resource(accounts).Namespace(g.Namespace).
		Create(context.Background(), request, metav1.CreateOptions{}, "token")
	if err != nil {
		return "", err
	}
	token, _, err := unstructured.NestedString(answer.Object, "status", "token")
	return token, err
}
