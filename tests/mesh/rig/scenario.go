package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A Scenario is a folder of YAML in a namespace of its own, with the pods and gateways that the YAML asks for.
// Its methods fail the test on any error, and it is not for use by several goroutines.
type Scenario struct {
	Namespace string
	Cluster   *Cluster

	t           testing.TB
	options     options
	applied     []*Object // in order, each once
	deployments map[string]*appsv1.Deployment
	services    map[string]*corev1.Service
	nodes       []*corev1.Node
	slices      map[string]map[string]bool // Service → names of its EndpointSlices
	written     map[string]*Object         // EndpointSlices as last applied
	pods        []*Pod
	gateways    []*Gateway
	generated   []*Object // what Mooring made, as last applied
	follows     bool      // others apply the objects, in any order
}

type options struct {
	release    string
	dir        string
	examples   []string
	more       []string
	namespace  string
	alone      bool
	workers    int
	gatewayEnv []string
	rejections bool
}

// An Option changes how a scenario starts.
type Option func(*options)

// GatewayAPI chooses the release whose definitions are installed; each has a control plane of its own, which takes
// some ten seconds to start the first time.
func GatewayAPI(release string) Option { return func(o *options) { o.release = release } }

// More adds the YAML of other folders of testdata.
func More(folders ...string) Option {
	return func(o *options) {
		for _, folder := range folders {
			o.more = append(o.more, filepath.Join(testdata, folder))
		}
	}
}

// In puts the scenario into this namespace and not into one of its own name.
func In(namespace string) Option { return func(o *options) { o.namespace = namespace } }

// Beside puts the scenario into a namespace whose name is its own with a number, so that it can run beside others of the same
// YAML, which then must name no namespace.
func Beside() Option {
	return func(o *options) { o.namespace = fmt.Sprintf("%s-%d", filepath.Base(o.dir), lastNamespace.Add(1)) }
}

var lastNamespace atomic.Int32

// Alone keeps all other scenarios off the control plane, for a test that restarts parts of it.
func Alone() Option { return func(o *options) { o.alone = true } }

// Example reads the YAML of these folders or files of examples/ first, and leaves out what stands there for the pods of one
// machine; the pods come from testdata/<scenario>. Files that are applied later are named from
// any of these folders.
func Example(paths ...string) Option {
	return func(o *options) {
		for _, path := range paths {
			o.examples = append(o.examples, filepath.Join(testdata, "..", "..", "..", "examples", path))
		}
	}
}

// Dir reads the YAML from this folder and not from testdata/<scenario>.
func Dir(dir string) Option { return func(o *options) { o.dir = dir } }

// Workers is the number of worker threads of each gateway; two if not said. Each balances load for itself.
func Workers(n int) Option { return func(o *options) { o.workers = n } }

// GatewayEnv adds NAME=value to the environment of each gateway.
func GatewayEnv(variables ...string) Option {
	return func(o *options) { o.gatewayEnv = append(o.gatewayEnv, variables...) }
}

// Rejections says that Envoy is meant to refuse some configuration; without it, that fails the test.
func Rejections() Option { return func(o *options) { o.rejections = true } }

// Start applies a scenario's YAML as `kubectl apply --namespace <name>` would and waits until its gateways serve.
// Everything is taken away again when the test ends.
func Start(t testing.TB, name string, opts ...Option) *Scenario {
	t.Helper()
	s := &Scenario{
		t:           t,
		options:     options{release: GatewayAPI15, dir: filepath.Join(testdata, name), namespace: name, workers: 2},
		deployments: map[string]*appsv1.Deployment{},
		services:    map[string]*corev1.Service{},
		slices:      map[string]map[string]bool{},
	}
	for _, opt := range opts {
		opt(&s.options)
	}
	s.Namespace = s.options.namespace
	var err error
	if s.Cluster, err = cluster(s.options.release); err != nil {
		t.Fatal(err)
	}
	if err := s.Cluster.claims.claim(t, s.Namespace, s.options.alone); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	if err := os.MkdirAll(filepath.Join(s.Cluster.dir, s.Namespace), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Cluster.createNamespace(s.Namespace); err != nil {
		t.Fatal(err)
	}
	objects, err := s.options.read()
	if err != nil {
		t.Fatal(err)
	}
	s.applyAll(objects)
	for _, g := range s.gateways {
		if err := g.awaitServing(); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// read reads what is applied at the start.
func (o *options) read() ([]*Object, error) {
	var objects []*Object
	for _, path := range o.examples {
		read := readDir
		if filepath.Ext(path) == ".yaml" {
			read = readFile
		}
		more, err := read(path)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	objects = slices.DeleteFunc(objects, func(o *Object) bool { return o.GetKind() == "EndpointSlice" || o.GetKind() == "Pod" })
	for _, dir := range append(o.more, o.dir) {
		more, err := readDir(dir)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

// Apply applies YAML documents, in the scenario's namespace unless they name another.
func (s *Scenario) Apply(yaml string) {
	s.t.Helper()
	objects, err := readYAML(strings.NewReader(yaml))
	if err != nil {
		s.t.Fatal(err)
	}
	s.applyAll(objects)
}

// ApplyFile applies one file, named from the scenario's folder; only the files right in the folder are applied at the
// start, so what comes later is kept in a subfolder.
func (s *Scenario) ApplyFile(file string) {
	s.t.Helper()
	objects, err := readFile(s.path(file))
	if err != nil {
		s.t.Fatal(err)
	}
	s.applyAll(objects)
}

func (s *Scenario) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	for _, dir := range s.options.examples {
		if path := filepath.Join(dir, file); exists(path) {
			return path
		}
	}
	return filepath.Join(s.options.dir, file)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TryApplyFile applies a file and returns what the API server says against it. It starts no pods or gateways.
func (s *Scenario) TryApplyFile(file string) error {
	s.t.Helper()
	objects, err := readFile(s.path(file))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, obj := range objects {
		if err := s.defaultNamespace(obj); err != nil {
			return err
		}
		if _, err := s.applyRaw(obj); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scenario) applyAll(objects []*Object) {
	s.t.Helper()
	for _, obj := range objects {
		if err := s.defaultNamespace(obj); err != nil {
			s.t.Fatalf("%s: %v", describe(obj), err)
		}
	}
	// Services are changed by the Deployments that they select, so those come first.
	slices.SortStableFunc(objects, func(a, b *Object) int { return applyOrder(a) - applyOrder(b) })
	for _, obj := range objects {
		if err := s.apply(obj); err != nil {
			s.t.Fatalf("%s: %v", describe(obj), err)
		}
	}
	if err := s.reconcile(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Scenario) defaultNamespace(obj *Object) error {
	namespaced, err := s.Cluster.kube.namespaced(obj.GroupVersionKind())
	if err == nil && namespaced && obj.GetNamespace() == "" {
		obj.SetNamespace(s.Namespace)
	}
	return err
}

func (s *Scenario) apply(obj *Object) error {
	if err := s.adapt(obj); err != nil {
		return err
	}
	obj, err := s.applyRaw(obj) // from here on with the server's defaults
	if err != nil {
		return err
	}
	if err := s.record(obj); err != nil {
		return err
	}
	isGateway := obj.GroupVersionKind().GroupKind() == schema.GroupKind{Group: "gateway.networking.k8s.io", Kind: "Gateway"}
	if !isGateway || s.deployments[obj.GetNamespace()+"/"+deploymentOf(obj)] != nil {
		return nil
	}
	more, err := gatewayObjects(obj)
	if err != nil {
		return err
	}
	for _, obj := range more {
		if err := s.apply(obj); err != nil {
			return err
		}
	}
	return nil
}

// record keeps what reconcile works from.
func (s *Scenario) record(obj *Object) error {
	key := obj.GetNamespace() + "/" + obj.GetName()
	switch obj.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		s.deployments[key] = &appsv1.Deployment{}
		return into(obj, s.deployments[key])
	case schema.GroupKind{Kind: "Service"}:
		s.services[key] = &corev1.Service{}
		return into(obj, s.services[key])
	case schema.GroupKind{Kind: "Node"}:
		node := &corev1.Node{}
		s.nodes = append(s.nodes, node)
		return into(obj, node)
	default:
		return nil
	}
}

// applyRaw applies an object as it is and notes it for the clean-up. It returns what the server made of it.
func (s *Scenario) applyRaw(obj *Object) (*Object, error) {
	result, err := s.Cluster.kube.apply(obj)
	if err != nil {
		return nil, err
	}
	// Namespaces are left behind, since deleting one takes a controller.
	same := func(o *Object) bool { return o.GetUID() == result.GetUID() }
	if result.GetKind() != "Namespace" && !slices.ContainsFunc(s.applied, same) {
		s.applied = append(s.applied, result)
	}
	return result, nil
}

// end takes the scenario away, and fails the test if an Envoy died or refused what istiod sent.
func (s *Scenario) end() {
	defer s.Cluster.claims.release(s.Namespace)
	for _, g := range s.gateways {
		if err := g.Envoy.Died(); err != nil {
			s.t.Error(err)
		} else if err := g.healthy(); err != nil && !s.options.rejections {
			s.t.Error(err)
		}
	}
	if s.t.Failed() {
		s.t.Log(s.logs())
	}
	s.forget()
	for _, g := range s.gateways {
		g.Envoy.Stop()
	}
	for _, p := range s.pods {
		p.Crash()
	}
	for i := len(s.applied) - 1; i >= 0; i-- {
		if err := s.Cluster.kube.delete(s.applied[i]); err != nil && !apierrors.IsNotFound(err) {
			s.t.Errorf("clean-up: %s: %v", describe(s.applied[i]), err)
		}
	}
}

// healthy is an error if Envoy died, or refused what istiod sent.
func (g *Gateway) healthy() error {
	if err := g.Envoy.Died(); err != nil {
		return err
	}
	if rejected, err := g.rejected(); err == nil && len(rejected) > 0 {
		return fmt.Errorf("gateway %s refused configuration: %s", g.Name, strings.Join(rejected, ", "))
	}
	return nil
}

func (s *Scenario) logs() string {
	text := s.Cluster.logs()
	for _, g := range s.gateways {
		text += section(g.Envoy)
	}
	return fmt.Sprintf("the logs, which are gone after the run unless MESH_KEEP is set:\n%s", text)
}
