// Package conformance runs Gateway API's own conformance suite on a control plane of the rig, with Istio alone or with Mooring.
package conformance

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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/controllers"
	"mooring.dev/tests/mesh/internal/forward"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/testenv"
	"mooring.dev/tests/mesh/internal/wait"
)

// A Follower plays the controllers and the kubelet for objects that something else applies, such as a test suite that does not know the
// rig: pods for Deployments, endpoints for Services, and for each Gateway an Envoy behind a load balancer, whose address istiod then
// writes into the Gateway's status. It has its own control plane. If istiod deploys Gateways there, their listeners must have ports that
// nothing else in the run binds.
type Follower struct {
	Cluster *cluster.Cluster

	env     *testenv.Env
	wake    chan struct{}
	kubelet *http.Server
	stop    context.CancelFunc
	ended   sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	manager   *controllers.Manager
	made      map[string]*kube.Object // for Gateways, as last applied
	ports     map[string]int          // of the Envoys, by Service and port
	balancers map[string]*forward.Forwarder
	failed    error // of the last reconciliation

	settling  sync.Mutex       // guards the fields below
	generated []*kube.Object   // what Mooring has generated, as last applied
	ever      map[string]bool  // names of everything that Mooring has generated
	ignored   map[missing]bool // what the gateways did not accept in time
}

// The resources that the Follower watches.
var (
	gatewayResource     = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}
	listenerSetResource = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "listenersets"}
	deploymentResource  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	serviceResource     = schema.GroupVersionResource{Version: "v1", Resource: "services"}
)

// Follow starts the Follower of a control plane, with these settings of its gateways. It ends with the test, and the control plane with
// it.
func Follow(t testing.TB, env *testenv.Env, c *cluster.Cluster, gateways proxy.Options) *Follower {
	t.Helper()
	dir := filepath.Join(c.Dir, "pods")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	gateways.Workers, gateways.Dir = 1, dir
	f := &Follower{
		Cluster: c, env: env, wake: make(chan struct{}, 1),
		manager: controllers.NewManager(env, c, controllers.Options{
			Follow: true, Dir: dir, Proxy: gateways,
			Apply: func(obj *kube.Object) (*kube.Object, error) { return c.Kube.Apply(obj) },
		}),
		made: map[string]*kube.Object{}, ports: map[string]int{}, balancers: map[string]*forward.Forwarder{},
		ever: map[string]bool{}, ignored: map[missing]bool{},
	}
	if err := f.startKubelet(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	for _, resource := range []schema.GroupVersionResource{gatewayResource, listenerSetResource, deploymentResource, serviceResource} {
		f.ended.Go(func() { f.watch(ctx, resource) })
	}
	f.ended.Go(func() { f.run(ctx) })
	t.Cleanup(func() { f.end(t) })
	return f
}

// watch requests a reconciliation whenever an object of this kind changes.
func (f *Follower) watch(ctx context.Context, resource schema.GroupVersionResource) {
	for ctx.Err() == nil {
		if err := f.Cluster.Kube.Watch(ctx, resource, f.request); err != nil {
			time.Sleep(wait.MaxPause)
		}
	}
}

func (f *Follower) request() {
	select {
	case f.wake <- struct{}{}:
	default: // one is due already
	}
}

func (f *Follower) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		// A failed reconciliation is repeated: some objects need others that do not exist yet, such as a pod's Secrets.
		if f.reconcile() != nil {
			time.AfterFunc(wait.MaxPause, f.request)
		}
	}
}

func (f *Follower) reconcile() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = errors.Join(f.playGateways(), f.playServices(), f.playDeployments(), f.playEndpoints(), f.playLoadBalancers())
	return f.failed
}

func (f *Follower) playServices() error {
	objects, err := f.Cluster.Kube.List(serviceResource)
	if err != nil {
		return err
	}
	return f.manager.ReplaceServices(objects)
}

func (f *Follower) playDeployments() error {
	objects, err := f.Cluster.Kube.List(deploymentResource)
	if err != nil {
		return err
	}
	return f.manager.ReplaceDeployments(objects)
}

func (f *Follower) playEndpoints() error {
	f.manager.AssignPorts()
	return f.manager.WriteEndpoints()
}

// playGateways applies for each Gateway what Istio's deployment controller would, unless istiod does so.
func (f *Follower) playGateways() error {
	if f.Cluster.Deploys {
		return nil
	}
	gateways, err := f.Cluster.Kube.List(gatewayResource)
	if err != nil {
		return err
	}
	sets, err := f.Cluster.Kube.List(listenerSetResource)
	if err != nil {
		return err
	}
	wanted := map[string]*kube.Object{}
	for _, owner := range gateways {
		if _, found, _ := unstructured.NestedSlice(owner.Object, "spec", "addresses"); found {
			continue
		}
		objects, err := controllers.GatewayObjects(owner, setsOf(owner, sets)...)
		if err != nil {
			return err
		}
		for _, obj := range append(objects, serviceAccount(owner)) {
			if obj.GetKind() == "Service" {
				if err := f.expose(obj); err != nil {
					return err
				}
			}
			wanted[kube.Describe(obj)] = obj
		}
	}
	var failed []error
	for name, obj := range wanted {
		if old := f.made[name]; old != nil && reflect.DeepEqual(old.Object, obj.Object) {
			continue
		}
		if _, err := f.Cluster.Kube.Apply(obj); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		f.made[name] = obj
	}
	for name, obj := range f.made {
		if wanted[name] != nil {
			continue
		}
		if err := f.Cluster.Kube.Delete(obj); err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		delete(f.made, name)
	}
	return errors.Join(failed...)
}

// setsOf returns the ListenerSets of a Gateway.
func setsOf(owner *kube.Object, sets []*kube.Object) []*kube.Object {
	var own []*kube.Object
	for _, set := range sets {
		ref, _, _ := unstructured.NestedStringMap(set.Object, "spec", "parentRef")
		namespace := ref["namespace"]
		if namespace == "" {
			namespace = set.GetNamespace()
		}
		if ref["name"] == owner.GetName() && namespace == owner.GetNamespace() {
			own = append(own, set)
		}
	}
	return own
}

// expose gives a gateway's Service the type LoadBalancer, and refers to the ports of its only Envoy by numbers: a Pod cannot get more
// named ports later, when the Gateway has more listeners.
func (f *Follower) expose(service *kube.Object) error {
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	for _, port := range ports {
		if port, ok := port.(map[string]any); ok {
			key := fmt.Sprintf("%s:%v", kube.Describe(service), port["port"])
			if f.ports[key] == 0 {
				f.ports[key] = f.env.NextPort()
			}
			port["targetPort"] = int64(f.ports[key])
		}
	}
	if err := unstructured.SetNestedSlice(service.Object, ports, "spec", "ports"); err != nil {
		return err
	}
	// Istio's own Service has this label: istiod then expects endpoints for a new port. Without it, istiod may write that the Gateway's
	// address is not usable and keep that status, because new endpoints alone do not make it process the Gateway again.
	labels := service.GetLabels()
	labels["gateway.istio.io/managed"] = "istio.io-gateway-controller"
	service.SetLabels(labels)
	return unstructured.SetNestedField(service.Object, string(corev1.ServiceTypeLoadBalancer), "spec", "type")
}

func serviceAccount(owner *kube.Object) *kube.Object {
	return kube.Ref("v1", "ServiceAccount", owner.GetNamespace(), controllers.DeploymentOf(owner))
}

// playLoadBalancers puts a load balancer in front of each gateway: the address is that of the Envoy's pod, the ports are the
// Service's.
func (f *Follower) playLoadBalancers() error {
	fronts := map[string]string{}
	for _, g := range f.manager.Gateways {
		for _, service := range f.manager.ServicesOf(g) {
			for _, port := range service.Spec.Ports {
				if g.Ports[int(port.Port)] == int(port.Port) {
					continue // Envoy itself has the address
				}
				fronts[fmt.Sprintf("%s:%d", g.IP, port.Port)] = g.IP + ":" + strconv.Itoa(g.Ports[int(port.Port)])
			}
			if err := f.writeAddress(service, g.IP); err != nil {
				return err
			}
		}
	}
	for from, to := range fronts {
		if f.balancers[from] == nil {
			var err error
			if f.balancers[from], err = forward.Start(from, to); err != nil {
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

// writeAddress writes the load balancer's address into a Service's status, from which istiod takes the Gateway's.
func (f *Follower) writeAddress(service *corev1.Service, ip string) error {
	written := slices.ContainsFunc(service.Status.LoadBalancer.Ingress, func(i corev1.LoadBalancerIngress) bool { return i.IP == ip })
	if written || service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	_, err := f.Cluster.Kube.Apply(&kube.Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": service.Name, "namespace": service.Namespace},
		"status":   map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": ip}}}},
	}}, "status")
	return err
}

// end stops everything, and fails the test if the last look at the objects failed, or an Envoy died or refused what istiod sent.
func (f *Follower) end(t testing.TB) {
	f.stop()
	f.ended.Wait()
	_ = f.kubelet.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		t.Error(f.failed)
	}
	for _, g := range f.manager.Gateways {
		if err := g.Healthy(); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		t.Logf("the logs, which are deleted after the run unless MESH_KEEP is set:\n%s%s", f.Cluster.Logs(), f.manager.Logs())
	}
	for _, balancer := range f.balancers {
		_ = balancer.Close()
	}
	f.manager.Stop()
	f.Cluster.Stop()
}
