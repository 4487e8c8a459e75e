// Package scenario runs scenarios: a folder of YAML in its own namespace, with the pods and gateways that the YAML asks for.
package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/controllers"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/istio"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/testenv"
)

// A Rig starts scenarios. It is safe for concurrent use.
type Rig struct {
	Env      *testenv.Env
	Clusters *cluster.Pool

	lastNamespace atomic.Int32
}

// NewRig returns a rig without control planes; scenarios start them.
func NewRig(env *testenv.Env) *Rig {
	return &Rig{Env: env, Clusters: cluster.NewPool(env)}
}

// A Scenario is a running scenario. Its methods fail the test on any error, unless they return one. It is not safe for concurrent use.
type Scenario struct {
	Namespace string
	Cluster   *cluster.Cluster
	Pods      *Pods
	Mooring   *Mooring

	env     *testenv.Env
	options *options
	dir     string         // logs and files of this scenario
	applied []*kube.Object // in order, each once
	// namespaces are those of the YAML. They stay, because deleting one takes a controller.
	namespaces []*kube.Object
	manager    *controllers.Manager
}

// Start applies the YAML of testdata/<name>, as `kubectl apply --namespace <name>` would, and waits until its proxies serve. Everything
// is deleted when the test ends. Start waits for other scenarios in the same namespace.
func (r *Rig) Start(t testing.TB, name string, opts ...Option) *Scenario {
	t.Helper()
	o := r.options(name, opts)
	get := r.Clusters.Get
	switch {
	case o.ambient:
		get = r.Clusters.GetAmbient
	case o.own:
		get = func(release string) (*cluster.Cluster, error) { return r.Clusters.GetOwn(o.namespace, release) }
	}
	c, err := get(o.release)
	if err != nil {
		t.Fatal(err)
	}
	if o.own {
		t.Cleanup(c.Stop)
	}
	s := &Scenario{Namespace: o.namespace, Cluster: c, env: r.Env, options: o, dir: filepath.Join(c.Dir, o.namespace)}
	o.proxy.Dir = s.dir
	s.manager = controllers.NewManager(r.Env, c, controllers.Options{Proxy: o.proxy, Dir: s.dir, Apply: s.applyRaw})
	s.Pods, s.Mooring = &Pods{s}, &Mooring{s: s}
	if err := c.Namespaces.Acquire(t.Name(), s.Namespace, o.exclusive); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t) })
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Scenario) start() error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if err := s.Cluster.CreateNamespace(s.Namespace); err != nil {
		return err
	}
	objects, err := s.options.read()
	if err != nil {
		return err
	}
	if err := s.applyAll(objects); err != nil {
		return err
	}
	for _, p := range s.manager.Proxies() {
		if err := p.AwaitServing(); err != nil {
			return err
		}
	}
	return nil
}

// end deletes everything, and fails the test if an Envoy has exited or has rejected configuration.
func (s *Scenario) end(t testing.TB) {
	defer s.Cluster.Namespaces.Release(s.Namespace)
	for _, p := range s.manager.Proxies() {
		if p.Envoy == nil {
			continue // the start has failed
		}
		if err := p.Envoy.Process.Exited(); err != nil {
			t.Error(err)
		} else if err := p.Healthy(); err != nil && !s.options.rejections {
			t.Error(err)
		}
	}
	if t.Failed() {
		t.Logf("the logs, which are deleted after the run unless MESH_KEEP is set:\n%s%s", s.Cluster.Logs(), s.manager.Logs())
	}
	s.Mooring.forget()
	s.manager.Stop()
	for i := len(s.applied) - 1; i >= 0; i-- {
		if err := s.Cluster.Kube.Delete(s.applied[i]); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("clean-up: %s: %v", kube.Describe(s.applied[i]), err)
		}
	}
}

// Gateway returns the first Envoy of a Gateway, or of the Deployment of that name.
func (s *Scenario) Gateway(t testing.TB, name string) *gateway.Gateway {
	t.Helper()
	return s.Gateways(t, name)[0]
}

// Gateways returns all Envoys of a Gateway, or of the Deployment of that name.
func (s *Scenario) Gateways(t testing.TB, name string) []*gateway.Gateway {
	t.Helper()
	found := s.manager.GatewaysOf(name)
	if len(found) == 0 {
		t.Fatalf("no gateway %s", name)
	}
	return found
}

// AddGateway starts one more Envoy for a Gateway and waits until it serves.
func (s *Scenario) AddGateway(t testing.TB, name string) *gateway.Gateway {
	t.Helper()
	have := s.Gateways(t, name)
	s.Pods.Scale(t, have[0].Owner, len(have)+1)
	all := s.Gateways(t, name)
	added := all[len(all)-1]
	if err := added.AwaitServing(); err != nil {
		t.Fatal(err)
	}
	return added
}

// Pod returns a pod by its name: <deployment>-<n>, counted from 0.
func (s *Scenario) Pod(t testing.TB, name string) *pods.Pod {
	t.Helper()
	p := s.manager.Pod(name)
	if p == nil {
		t.Fatalf("no pod %s", name)
	}
	return p
}

// Analyze runs `istioctl analyze` on the scenario's namespace in the cluster, with the given files added.
func (s *Scenario) Analyze(t testing.TB, files ...string) []istio.Finding {
	t.Helper()
	for i, file := range files {
		files[i] = s.path(file)
	}
	findings, err := istio.Analyze(s.env, s.Cluster.Kubeconfig, s.Namespace, files...)
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// Inject returns the first pod of a Deployment in the cluster as Istio's injector makes it from the Deployment's template. The scenario must
// be in the ambient mesh, whose istiod has the injector's templates.
func (s *Scenario) Inject(t testing.TB, deployment string) *corev1.Pod {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := kube.Into(s.Get(t, "apps/v1", "Deployment", deployment), d); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy(),
	}
	pod.Name, pod.Namespace = deployment+"-0", d.Namespace
	injected, err := istio.Inject("http://"+s.Cluster.IP+":8080/inject", pod)
	if err != nil {
		t.Fatal(err)
	}
	return injected
}

// path returns the path of a file named from the scenario's folder, or from a folder of its examples.
func (s *Scenario) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	for _, dir := range s.options.examples {
		path := filepath.Join(dir, file)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(s.options.dir, file)
}

// locate splits <namespace>/<name>; a name without a namespace is in the scenario's.
func (s *Scenario) locate(name string) (string, string) {
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		return namespace, rest
	}
	return s.Namespace, name
}

// CheckCreate returns the error of the API server with a Gateway API release for the object of a file, or nil if it would accept it. It
// stores nothing.
func (r *Rig) CheckCreate(t testing.TB, release, file string) error {
	t.Helper()
	const namespace = "default"
	c, err := r.Clusters.Get(release)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Namespaces.Acquire(t.Name(), namespace, false); err != nil {
		t.Fatal(err)
	}
	defer c.Namespaces.Release(namespace)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	obj := &kube.Object{}
	// Strict, because kubectl reports a duplicate key before it asks the server.
	if err := yaml.UnmarshalStrict(text, &obj.Object); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	obj.SetNamespace(namespace)
	return c.Kube.CheckCreate(obj)
}
