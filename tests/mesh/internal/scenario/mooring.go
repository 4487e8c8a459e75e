package scenario

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/sidecar"
)

// Mooring brings Mooring into a Scenario, by the `mooring` command and the API server as a pipeline would.
type Mooring struct {
	s         *Scenario
	generated []*kube.Object // what the command has generated, as last applied
}

// Run runs the command in the scenario's folder, with the scenario's cluster as kubectl's current one, and returns its standard output.
// Any exit code but 0 fails the test.
func (m *Mooring) Run(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, code := m.Try(t, args...)
	if code != 0 {
		t.Fatalf("mooring %q: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// Try is Run for a test of the exit code or of the messages.
func (m *Mooring) Try(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := mooring.Command{Dir: m.s.options.dir, Kubeconfig: m.s.Cluster.Kubeconfig}
	stdout, stderr, code, err := command.Run(m.s.env, args...)
	if err != nil {
		t.Fatal(err)
	}
	return stdout, stderr, code
}

// ModuleURL returns how a WasmPlugin names the module under test.
func (m *Mooring) ModuleURL(t testing.TB) string {
	t.Helper()
	url, err := mooring.ModuleURL(m.s.env)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Generated returns what the command has generated, as last applied.
func (m *Mooring) Generated() []*kube.Object { return m.generated }

// Manifests writes what the user has applied, as the API server has it now, and returns the file: a List in JSON, like the output of
// `kubectl get --output json`, without what Mooring has generated. With namespaces, it holds only the objects in these.
func (m *Mooring) Manifests(t testing.TB, namespaces ...string) string {
	t.Helper()
	var items []any
	for _, obj := range slices.Concat(m.s.namespaces, m.s.applied) {
		group := obj.GroupVersionKind().Group
		policy := strings.HasPrefix(group, "gateway.networking.") || group == "networking.istio.io" || group == "mooring.dev"
		read := policy || obj.GetKind() == "Service" || obj.GetKind() == "Namespace"
		if !read || obj.GetLabels()[sidecar.PodLabel] != "" || obj.GetLabels()["app.kubernetes.io/managed-by"] == "mooring" {
			continue
		}
		if len(namespaces) > 0 && !slices.Contains(namespaces, cmp.Or(obj.GetNamespace(), obj.GetName())) {
			continue
		}
		now, err := m.s.Cluster.Kube.Get(obj.GroupVersionKind(), obj.GetNamespace(), obj.GetName())
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, now.Object)
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(m.s.dir, strings.Join(append([]string{"manifests"}, namespaces...), "-")+".json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// Generate runs `mooring generate` on the objects in the cluster. A --wasm in args replaces the module, a --file the objects.
func (m *Mooring) Generate(t testing.TB, args ...string) string {
	t.Helper()
	return m.Run(t, m.generateArgs(t, args)...)
}

func (m *Mooring) generateArgs(t testing.TB, args []string) []string {
	t.Helper()
	command := []string{"generate"}
	if !slices.Contains(args, "--file") {
		command = append(command, "--file", m.Manifests(t))
	}
	if !slices.Contains(args, "--wasm") {
		command = append(command, "--wasm", m.ModuleURL(t))
	}
	return append(command, args...)
}

// Deploy generates and applies the result, after a dry run on the API server. It deletes what is no longer generated, and returns when
// every worker of every proxy serves by the new configuration.
func (m *Mooring) Deploy(t testing.TB, args ...string) {
	t.Helper()
	m.deploy(t, m.Generate(t, args...))
}

// DeployWithExitCode is Deploy for objects for which `mooring generate` exits with this code. It returns the messages.
func (m *Mooring) DeployWithExitCode(t testing.TB, code int, args ...string) string {
	t.Helper()
	stdout, stderr, have := m.Try(t, m.generateArgs(t, args)...)
	if have != code {
		t.Fatalf("mooring generate: exit code %d, expected %d\n%s", have, code, stderr)
	}
	m.deploy(t, stdout)
	return stderr
}

// DeployFile is Deploy with a file of generated objects, named from the scenario's folder. It replaces $MODULE in the file by the URL of
// the module.
func (m *Mooring) DeployFile(t testing.TB, file, module string) {
	t.Helper()
	text, err := os.ReadFile(m.s.path(file))
	if err != nil {
		t.Fatal(err)
	}
	m.deploy(t, strings.ReplaceAll(string(text), "$MODULE", module))
}

// DeployOnly is Deploy with the generated objects of these kinds only.
func (m *Mooring) DeployOnly(t testing.TB, kinds ...string) {
	t.Helper()
	objects, err := kube.ReadYAML(strings.NewReader(m.Generate(t)))
	if err != nil {
		t.Fatal(err)
	}
	old := m.apply(t, slices.DeleteFunc(objects, func(o *kube.Object) bool { return !slices.Contains(kinds, o.GetKind()) }))
	m.AwaitDeployed(t)
	m.prune(t, old)
	m.awaitPruned(t, old)
}

// DeployInSteps is Deploy that applies the plugin only after the gateways have everything else, and deletes what is no longer generated
// only after they have the plugin.
func (m *Mooring) DeployInSteps(t testing.TB) {
	t.Helper()
	old := m.generated
	text := m.Generate(t)
	objects, err := kube.ReadYAML(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	m.apply(t, slices.DeleteFunc(objects, func(o *kube.Object) bool { return o.GetKind() == "WasmPlugin" }))
	m.AwaitDeployed(t)
	m.applyYAML(t, text)
	m.AwaitDeployed(t)
	m.prune(t, old)
	m.awaitPruned(t, old)
}

// DeployWithoutWaiting is Deploy for a test that does not wait for the gateways, or in which they must not accept the configuration.
func (m *Mooring) DeployWithoutWaiting(t testing.TB, args ...string) {
	t.Helper()
	m.prune(t, m.applyYAML(t, m.Generate(t, args...)))
}

// Undeploy deletes what has been generated and returns when no worker of any proxy has it: first the plugin, then the EnvoyFilters, and
// the session routes when no plugin refers to them.
func (m *Mooring) Undeploy(t testing.TB) {
	t.Helper()
	old := m.generated
	var others, routes []*kube.Object
	for _, obj := range mooring.RemovalOrder(old) {
		if mooring.IsRoute(obj) {
			routes = append(routes, obj)
		} else {
			others = append(others, obj)
		}
	}
	m.generated = routes
	m.delete(t, others)
	m.awaitNoFilters(t)
	m.generated = nil
	m.delete(t, routes)
	m.awaitPruned(t, old)
}

func (m *Mooring) deploy(t testing.TB, yaml string) {
	t.Helper()
	old := m.applyYAML(t, yaml)
	m.AwaitDeployed(t)
	m.prune(t, old)
	m.awaitPruned(t, old)
}

func (m *Mooring) applyYAML(t testing.TB, yaml string) []*kube.Object {
	t.Helper()
	objects, err := kube.ReadYAML(strings.NewReader(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return m.apply(t, objects)
}

// apply applies generated objects in the order in which they were printed, after a dry run of all. It returns those that had been
// generated before.
func (m *Mooring) apply(t testing.TB, objects []*kube.Object) []*kube.Object {
	t.Helper()
	for _, obj := range objects {
		if err := m.s.Cluster.Kube.CheckApply(obj); err != nil {
			t.Fatalf("dry run: %s: %v", kube.Describe(obj), err)
		}
	}
	if err := m.s.applyAll(objects); err != nil {
		t.Fatal(err)
	}
	old := m.generated
	m.generated = objects
	return old
}

// prune deletes what had been generated and no longer is, as GitOps tools do.
func (m *Mooring) prune(t testing.TB, old []*kube.Object) {
	t.Helper()
	m.delete(t, slices.DeleteFunc(mooring.RemovalOrder(old), m.isGenerated))
}

func (m *Mooring) isGenerated(obj *kube.Object) bool {
	return slices.ContainsFunc(m.generated, func(o *kube.Object) bool { return kube.Describe(o) == kube.Describe(obj) })
}

func (m *Mooring) delete(t testing.TB, objects []*kube.Object) {
	t.Helper()
	for _, obj := range objects {
		m.s.Delete(t, obj.GetAPIVersion(), obj.GetKind(), kube.Key(obj))
	}
}

// Adopt takes over what commands of a page have generated and applied in the scenario's namespace, as if Deploy had done it, and waits
// until every worker of every proxy serves by it.
func (m *Mooring) Adopt(t testing.TB) {
	t.Helper()
	kinds := "wasmplugins.extensions.istio.io,envoyfilters.networking.istio.io,httproutes.gateway.networking.k8s.io,grpcroutes.gateway.networking.k8s.io"
	cmd := exec.Command(m.s.env.Program("kubectl"), "--kubeconfig", m.s.Cluster.Kubeconfig, "get", kinds,
		"--namespace", m.s.Namespace, "--selector", "app.kubernetes.io/managed-by=mooring", "--output", "json")
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	m.generated = nil
	for _, item := range list.Items {
		obj := &kube.Object{}
		if err := obj.UnmarshalJSON(item); err != nil {
			t.Fatal(err)
		}
		m.generated = append(m.generated, obj)
	}
	m.AwaitDeployed(t)
}
