package scenario

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/process"
	"mooring.dev/tests/mesh/internal/wait"
)

// A Controller is a running mooring-controller, as a pod of the chart's Deployment would run it, with the rights of the chart's account. It works
// on the namespaces of its scenario.
type Controller struct {
	Name     string
	Process  *process.Process
	Recorder *kube.Recorder // of all its requests to the API server; nil with ControllerDirectly

	s       *Scenario
	address string
	client  *http.Client
}

type controllerOptions struct {
	name       string
	args       []string
	namespaces []string
	kubeconfig string
	direct     bool
	values     []string
}

// A ControllerOption changes how a controller starts.
type ControllerOption func(*controllerOptions)

// ControllerNamed gives the controller the name of its pod, which is its identity in the Lease. The default is "controller".
func ControllerNamed(name string) ControllerOption {
	return func(o *controllerOptions) { o.name = name }
}

// ControllerArgs adds command-line arguments.
func ControllerArgs(args ...string) ControllerOption {
	return func(o *controllerOptions) { o.args = append(o.args, args...) }
}

// ControllerNamespaces sets the namespaces that the controller works on. The default is that of the scenario; none means all.
func ControllerNamespaces(namespaces ...string) ControllerOption {
	return func(o *controllerOptions) { o.namespaces = namespaces }
}

// ControllerDirectly connects the controller to the API server without a recorder, so that it sees when the API server is gone.
func ControllerDirectly() ControllerOption {
	return func(o *controllerOptions) { o.direct = true }
}

// ControllerValues sets values of the chart on which the rights of the controller depend, such as "controller.keys.create=true".
func ControllerValues(values ...string) ControllerOption {
	return func(o *controllerOptions) { o.values = append(o.values, values...) }
}

// StartController starts a controller and waits until it is ready. It ends with the test, and what it has written is deleted then. Several
// controllers of a scenario share a Lease.
func (s *Scenario) StartController(t testing.TB, opts ...ControllerOption) *Controller {
	t.Helper()
	c := s.StartControllerUnready(t, opts...)
	c.AwaitReady(t)
	return c
}

// StartControllerUnready is StartController for a controller that does not become ready.
func (s *Scenario) StartControllerUnready(t testing.TB, opts ...ControllerOption) *Controller {
	t.Helper()
	o := controllerOptions{name: "controller", namespaces: []string{s.Namespace}}
	for _, opt := range opts {
		opt(&o)
	}
	if _, err := os.Stat(s.env.Controller); err != nil {
		t.Fatalf("MOORING_CONTROLLER: %v; build it first", err)
	}
	c := &Controller{Name: o.name, s: s, address: s.env.NextAddress(), client: &http.Client{Timeout: 5 * time.Second}}
	token, err := s.controllerToken(&o)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := ""
	if o.direct {
		kubeconfig, err = s.Cluster.WriteKubeconfig(filepath.Join(s.dir, o.name+".kubeconfig"), token)
	} else {
		c.Recorder = kube.NewRecorder(t, s.Cluster.Kube)
		kubeconfig = c.Recorder.Kubeconfig(t, token)
	}
	if err != nil {
		t.Fatal(err)
	}
	argv := slices.Concat([]string{s.env.Controller}, s.controllerArguments(t, c, &o))
	c.Process, err = s.env.Processes.Start(s.dir, o.name, argv, process.WithEnv(
		"KUBECONFIG="+kubeconfig, "POD_NAME="+o.name, "POD_NAMESPACE="+s.systemNamespace()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.endController(t, c) })
	return c
}

// systemNamespace is where the controller of the scenario is installed.
func (s *Scenario) systemNamespace() string { return s.Namespace + "-system" }

func (s *Scenario) controllerArguments(t testing.TB, c *Controller, o *controllerOptions) []string {
	t.Helper()
	args := []string{"--wasm", s.Mooring.ModuleURL(t), "--listen", c.address, "--lease-namespace", s.systemNamespace(),
		"--lease-name", s.controllerRelease() + "-controller"}
	for _, namespace := range o.namespaces {
		args = append(args, "--namespace", namespace)
	}
	return append(args, o.args...)
}

// controllerToken installs the account and the roles of the chart, and returns a token of the account.
func (s *Scenario) controllerToken(o *controllerOptions) (string, error) {
	if err := s.Cluster.CreateNamespace(s.systemNamespace()); err != nil {
		return "", err
	}
	objects, err := s.controllerAccount(o)
	if err != nil {
		return "", err
	}
	for _, obj := range objects {
		if _, err := s.applyRaw(obj); err != nil {
			return "", fmt.Errorf("%s: %w", kube.Describe(obj), err)
		}
	}
	return s.Cluster.Kube.CreateToken(s.systemNamespace(), s.controllerRelease()+"-controller", "https://kubernetes.default.svc")
}

// controllerAccount renders the account of the chart with its roles and their bindings.
func (s *Scenario) controllerAccount(o *controllerOptions) ([]*kube.Object, error) {
	values := append([]string{"crds.install=false", "controller.enabled=true", "controller.wasm=oci://registry.example.com/mooring:0.1.0"}, o.values...)
	if len(o.namespaces) > 0 {
		values = append(values, "controller.namespaces={"+strings.Join(o.namespaces, ",")+"}")
	}
	helm := exec.Command(s.env.Program("helm"), "template", s.controllerRelease(), s.env.RepositoryFile("deploy/charts/mooring"),
		"--namespace", s.systemNamespace(), "--set", strings.Join(values, ","))
	helm.Env = append(os.Environ(), "HOME="+s.dir)
	chart, err := helm.Output()
	if err != nil {
		return nil, fmt.Errorf("helm template: %w", err)
	}
	objects, err := kube.ReadYAML(bytes.NewReader(chart))
	return slices.DeleteFunc(objects, func(obj *kube.Object) bool {
		return obj.GetKind() != "ServiceAccount" && obj.GroupVersionKind().Group != "rbac.authorization.k8s.io"
	}), err
}

// ControllerRoles returns the roles that a controller with these options has.
func (s *Scenario) ControllerRoles(t testing.TB, opts ...ControllerOption) []*kube.Object {
	t.Helper()
	o := controllerOptions{namespaces: []string{s.Namespace}}
	for _, opt := range opts {
		opt(&o)
	}
	objects, err := s.controllerAccount(&o)
	if err != nil {
		t.Fatal(err)
	}
	account := s.controllerRelease() + "-controller"
	bound := map[string]bool{}
	for _, obj := range objects {
		subjects, _, _ := unstructured.NestedSlice(obj.Object, "subjects")
		for _, subject := range subjects {
			if name, _, _ := unstructured.NestedString(subject.(map[string]any), "name"); name == account {
				role, _, _ := unstructured.NestedStringMap(obj.Object, "roleRef")
				bound[role["kind"]+"/"+role["name"]] = true
			}
		}
	}
	return slices.DeleteFunc(objects, func(obj *kube.Object) bool { return !bound[obj.GetKind()+"/"+obj.GetName()] })
}

// controllerRelease is the name of the chart's release, which is in the names of its roles.
func (s *Scenario) controllerRelease() string { return "mooring-" + s.Namespace }

// endController ends a controller with its test. One that has ended by itself fails the test.
func (s *Scenario) endController(t testing.TB, c *Controller) {
	if err := c.Process.Exited(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Log(c.Process.Tail())
	}
	c.Process.Kill()
	s.Mooring.generated = s.Written(t) // so that it is deleted as what the command has generated
}

// generatedKinds are the kinds of what Mooring generates.
var generatedKinds = []schema.GroupVersionResource{
	{Group: "extensions.istio.io", Version: "v1alpha1", Resource: "wasmplugins"},
	{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"},
	{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "grpcroutes"},
}

// Written returns what controllers have generated in the namespaces of the scenario, as the API server has it.
func (s *Scenario) Written(t testing.TB) []*kube.Object {
	t.Helper()
	in := map[string]bool{s.Namespace: true}
	for _, namespace := range s.namespaces {
		in[namespace.GetName()] = true
	}
	var written []*kube.Object
	for _, kind := range generatedKinds {
		objects, err := s.Cluster.Kube.List(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, obj := range objects {
			if in[obj.GetNamespace()] && obj.GetLabels()["app.kubernetes.io/managed-by"] == "mooring" {
				written = append(written, obj)
			}
		}
	}
	return written
}

// AwaitReady waits until the controller has read all objects once.
func (c *Controller) AwaitReady(t testing.TB) {
	t.Helper()
	wait.Eventually(t, c.Name+" is ready", func() error {
		if err := c.Process.Exited(); err != nil {
			return wait.Permanent(fmt.Errorf("%w\n%s", err, c.Process.Tail()))
		}
		code, body, err := c.Probe("/readyz")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d: %s", code, body)
		}
		return err
	})
}

// Probe requests a path of the controller's own server.
func (c *Controller) Probe(path string) (status int, body string, err error) {
	response, err := c.client.Get("http://" + c.address + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// Stop ends the controller as a kubelet does, and fails the test unless it exits with code 0 in time.
func (c *Controller) Stop(t testing.TB) {
	t.Helper()
	c.Process.Stop()
	if code := c.Process.ExitCode(); code != 0 {
		t.Errorf("%s: exit code %d after SIGTERM\n%s", c.Name, code, c.Process.Tail())
	}
}

// Kill ends the controller as a crash would.
func (c *Controller) Kill() { c.Process.Kill() }

// Start starts the controller again after Stop or Kill, and waits until it is ready.
func (c *Controller) Start(t testing.TB) {
	t.Helper()
	if err := c.Process.Start(); err != nil {
		t.Fatal(err)
	}
	c.AwaitReady(t)
}

// Metric returns the sum of the time series of a metric that have these labels: pairs of name and value. Without any it is 0.
func (c *Controller) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for _, sample := range c.Metrics(t) {
		if sample.Name != name {
			continue
		}
		has := true
		for i := 0; i+1 < len(labels); i += 2 {
			has = has && strings.Contains(sample.Labels, labels[i]+"="+strconv.Quote(labels[i+1]))
		}
		if has {
			sum += sample.Value
		}
	}
	return sum
}

// A Sample is a line of the controller's metrics.
type Sample struct {
	Name, Labels string
	Value        float64
}

// Metrics reads the controller's metrics.
func (c *Controller) Metrics(t testing.TB) []Sample {
	t.Helper()
	code, body, err := c.Probe("/metrics")
	if err != nil || code != http.StatusOK {
		t.Fatalf("%s: /metrics: %d, %v", c.Name, code, err)
	}
	var samples []Sample
	scanner := bufio.NewScanner(strings.NewReader(body))
	for scanner.Scan() {
		line := scanner.Text()
		space := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || space < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			t.Fatalf("%s: /metrics: %q: %v", c.Name, line, err)
		}
		name, labels, _ := strings.Cut(line[:space], "{")
		samples = append(samples, Sample{Name: name, Labels: strings.TrimSuffix(labels, "}"), Value: value})
	}
	return samples
}

// Memory returns the resident memory of the controller in bytes.
func (c *Controller) Memory(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes * 1024
		}
	}
	t.Fatalf("%s has no VmRSS", c.Name)
	return 0
}

// Supervise plays the kubelet: it starts the controller again whenever it ends by itself, as it does when its Lease is lost, until the returned
// function is called. That returns the exit codes.
func (c *Controller) Supervise(t testing.TB) (stop func() []int) {
	t.Helper()
	stopping, stopped := make(chan struct{}), make(chan struct{})
	var codes []int
	go func() {
		defer close(stopped)
		for {
			code, err := c.Process.AwaitExit(time.Second)
			if err == nil {
				codes = append(codes, code)
				time.Sleep(time.Second) // a kubelet waits too, and longer
				err = c.Process.Start()
				if err != nil {
					return
				}
			}
			select {
			case <-stopping:
				return
			default:
			}
		}
	}()
	return func() []int {
		close(stopping)
		<-stopped
		return codes
	}
}
