//go:build mesh

package scenarios

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// What the service accounts of the chart may do, compared with what the programs ask for.

// accessOfRole returns what a role allows.
func accessOfRole(t *testing.T, role *kube.Object) []kube.Access {
	t.Helper()
	rules, _, err := unstructured.NestedSlice(role.Object, "rules")
	if err != nil {
		t.Fatal(err)
	}
	var all []kube.Access
	for _, rule := range rules {
		list := func(field string) []string {
			values, _, err := unstructured.NestedStringSlice(rule.(map[string]any), field)
			if err != nil {
				t.Fatal(err)
			}
			return values
		}
		for _, group := range list("apiGroups") {
			for _, resource := range list("resources") {
				for _, verb := range list("verbs") {
					all = append(all, kube.Access{Verb: verb, Group: group, Resource: resource})
				}
			}
		}
	}
	return all
}

// expectExactly fails unless programs asked for all that roles allow, and for nothing else but what others allow.
func expectExactly(t *testing.T, roles, others []kube.Access, recorders ...*kube.Recorder) {
	t.Helper()
	asked := map[kube.Access]bool{}
	for _, recorder := range recorders {
		allowed, refused := recorder.Accesses()
		for _, access := range refused {
			t.Errorf("the roles do not allow what is asked for: %s", access)
		}
		for _, access := range allowed {
			asked[access] = true
			if access.Verb == "patch" {
				// To apply an object that does not exist takes both.
				asked[kube.Access{Verb: "create", Group: access.Group, Resource: access.Resource}] = true
			}
			if !slices.Contains(slices.Concat(roles, others), access) {
				t.Errorf("allowed, but not by these roles: %s", access)
			}
		}
	}
	for _, access := range roles {
		if !asked[access] {
			t.Errorf("the roles allow what is never asked for: %s", access)
		}
	}
	t.Logf("%d kinds of access", len(asked))
}

// XListenerSet is in Gateway API 1.3 and 1.4, of which the rig has neither.
const listenerSetCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: xlistenersets.gateway.networking.x-k8s.io}
spec:
  group: gateway.networking.x-k8s.io
  scope: Namespaced
  names: {kind: XListenerSet, plural: xlistenersets, singular: xlistenerset}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// The ClusterRole of the chart allows what `mooring generate --from-cluster` asks for, and nothing else. No release of Gateway API has all
// kinds, so two are asked.
func TestReaderRoleIsWhatFromClusterReads(t *testing.T) {
	t.Parallel()
	objects, err := kube.ReadFile(rig.Env.RepositoryFile("deploy/kustomize/reader.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var roles []kube.Access
	for _, obj := range objects {
		if strings.HasSuffix(obj.GetKind(), "Role") {
			roles = append(roles, accessOfRole(t, obj)...)
		}
	}
	var recorders []*kube.Recorder
	for _, release := range []string{cluster.GatewayAPI12, cluster.GatewayAPI15} {
		recorders = append(recorders, readAsServiceAccount(t, release, objects))
	}
	expectExactly(t, roles, nil, recorders...)
}

// readAsServiceAccount runs the command as the chart's service account.
func readAsServiceAccount(t *testing.T, release string, objects []*kube.Object) *kube.Recorder {
	t.Helper()
	const namespace = "mooring-system"
	c, err := rig.Clusters.Get(release)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Namespaces.Acquire(t.Name(), namespace, false); err != nil {
		t.Fatal(err)
	}
	defer c.Namespaces.Release(namespace)
	if err := c.CreateNamespace(namespace); err != nil {
		t.Fatal(err)
	}
	for _, obj := range objects {
		if _, err := c.Kube.Apply(obj); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Kube.Delete(obj) }()
	}
	if release == cluster.GatewayAPI12 {
		crds, err := kube.ReadYAML(strings.NewReader(listenerSetCRD))
		if err == nil {
			err = c.CreateCRDs(crds)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Kube.Delete(crds[0]) }()
	}
	token, err := c.Kube.CreateToken(namespace, "mooring", "https://kubernetes.default.svc")
	if err != nil {
		t.Fatal(err)
	}
	recorder := kube.NewRecorder(t, c.Kube)
	command := mooring.Command{Dir: t.TempDir(), Kubeconfig: recorder.Kubeconfig(t, token)}
	generate := []string{"generate", "--from-cluster", "--wasm", "oci://registry.example.com/mooring:0.1.0"}
	for _, run := range []struct {
		args  []string
		codes []int
	}{
		// 3: in other scenarios something is left out.
		{generate, []int{0, 3}},
		{append(slices.Clone(generate), "--namespace", "default"), []int{0, 3}},
		// 1: no Gateway of other scenarios has such a route, or several Gateways may have.
		{[]string{"explain", "--from-cluster", "--url", "http://shop.example.com/"}, []int{0, 1}},
	} {
		if _, stderr, code, err := command.Run(rig.Env, run.args...); err != nil || !slices.Contains(run.codes, code) {
			t.Fatalf("mooring %q: exit code %d, %v\n%s", run.args, code, err, stderr)
		}
	}
	return recorder
}

// splitRoute is a second route, with session routes.
const splitRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: half}
spec:
  parentRefs: [{name: gateway-sp-demo}]
  hostnames: [half.example]
  rules:
  - sessionPersistence: {sessionName: half-session}
    backendRefs:
    - {name: sp-demo, port: 80, weight: 1}
    - {name: plain, port: 80, weight: 1}
`

// The CronJob of the chart applies what the policies ask for, and deletes what they no longer do. Its containers' commands run with the
// rights of its service account.
func TestCronJobAppliesAndPrunes(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "routes/plain.yaml")
	job := installCronJob(t, s)
	job.expectRestricted(t)

	// Before there is a policy.
	if code, output := job.run(t); code == 0 || !strings.Contains(output, "--fail-on-empty") {
		t.Errorf("without policies: exit code %d\n%s", code, output)
	}

	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.Apply(t, splitRoute)
	job.expectSuccess(t)
	gateway := s.Gateway(t, "gateway-sp-demo")
	wait.Eventually(t, "sessions begin", func() error {
		for host, cookie := range map[string]string{"any.example": "foo-session", "half.example": "half-session"} {
			client := gateway.ClientForHost(t, host)
			if client.Get(t, "/"); client.Cookies("/")[cookie] == "" {
				return fmt.Errorf("%s: no cookie %s", host, cookie)
			}
		}
		return nil
	})
	expectSessionOn(t, gateway.ClientForHost(t, "half.example"))
	before := job.generated(t)
	if len(before) != 3 {
		t.Errorf("applied: %q, expected an EnvoyFilter, session routes and a WasmPlugin", before)
	}

	// A run without a change writes nothing, and what it does not own stays.
	s.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, labels: {app.kubernetes.io/managed-by: mooring}}\n")
	job.expectSuccess(t)
	if again := job.generated(t); !slices.Equal(again, before) {
		t.Errorf("a second run changed %q to %q", before, again)
	}

	// Another writer's change is a conflict.
	s.PatchJSONAs(t, "somebody", "extensions.istio.io/v1alpha1", "WasmPlugin", "mooring-gateway-sp-demo",
		`[{"op": "replace", "path": "/spec/failStrategy", "value": "FAIL_CLOSE"}]`)
	if code, output := job.run(t); code == 0 || !strings.Contains(output, "conflict") {
		t.Errorf("with another writer: exit code %d\n%s", code, output)
	}
	s.PatchJSONAs(t, "mooring", "extensions.istio.io/v1alpha1", "WasmPlugin", "mooring-gateway-sp-demo",
		`[{"op": "replace", "path": "/spec/failStrategy", "value": "FAIL_OPEN"}]`)
	job.expectSuccess(t)

	// While something is left out because of an error, the rest is applied, and nothing is deleted.
	broken := strings.ReplaceAll(splitRoute, "name: half", "name: broken")
	s.Apply(t, strings.ReplaceAll(broken, "sessionName: half-session", "sessionName: 'a b'"))
	s.Delete(t, gatewayGroup, "HTTPRoute", "half")
	job.expectSuccess(t)
	if with := job.generated(t); len(with) != 3 {
		t.Errorf("with an error: %q", with)
	}

	// Without the error, the session routes follow their route, and what others have made stays.
	s.Delete(t, gatewayGroup, "HTTPRoute", "broken")
	job.expectSuccess(t)
	after := job.generated(t)
	if len(after) != 2 || slices.ContainsFunc(after, func(line string) bool { return strings.HasPrefix(line, "HTTPRoute") }) {
		t.Errorf("without the route, there are still %q", after)
	}
	expectSessionOn(t, gateway.ClientForHost(t, "any.example"))
	s.Get(t, "v1", "ConfigMap", "other")
	apply, reader := job.roles(t)
	expectExactly(t, sameForAllKinds(slices.Clone(apply)), slices.Concat(apply, reader), job.recorder)
}

// sameForAllKinds leaves out the kinds of which this scenario has no object to apply or delete. All generated kinds are handled alike.
func sameForAllKinds(roles []kube.Access) []kube.Access {
	return slices.DeleteFunc(roles, func(access kube.Access) bool {
		return access.Resource == "grpcroutes" || access.Verb == "delete" && access.Resource != "httproutes"
	})
}

func expectSessionOn(t *testing.T, client *traffic.Client) {
	t.Helper()
	first := client.Get(t, "/")
	expectOnPod(t, client, "/", first.Pod, 20)
}

// A cronJob runs the commands of the chart's CronJob as a kubelet would.
type cronJob struct {
	s        *scenario.Scenario
	recorder *kube.Recorder
	release  string
	system   string // the namespace of the release; the generated objects are in others
	config   string // the kubeconfig of the service account
	dir      string // stands for the volumes
}

// installCronJob installs the chart with Helm, without the definition that the rig has installed.
func installCronJob(t *testing.T, s *scenario.Scenario) *cronJob {
	t.Helper()
	j := &cronJob{s: s, release: "mooring-" + s.Namespace, system: s.Namespace + "-system", dir: t.TempDir()}
	chart := rig.Env.RepositoryFile("deploy/charts/mooring")
	helm := func(args ...string) {
		t.Helper()
		args = append(args, "--namespace", j.system)
		if code, output := runProgram(s.Cluster.Kubeconfig, nil, rig.Env.Program("helm"), args...); code != 0 {
			t.Fatalf("helm %q: exit code %d\n%s", args, code, output)
		}
	}
	helm("install", j.release, chart, "--create-namespace", "--set", "crds.install=false,cronJob.enabled=true,cronJob.wasm="+s.Mooring.ModuleURL(t),
		"--set", "cronJob.namespaces={"+s.Namespace+"}")
	t.Cleanup(func() {
		j.deleteGenerated(t)
		helm("uninstall", j.release)
	})
	token, err := s.Cluster.Kube.CreateToken(j.system, j.release+"-apply", "https://kubernetes.default.svc")
	if err != nil {
		t.Fatal(err)
	}
	j.recorder = kube.NewRecorder(t, s.Cluster.Kube)
	j.config = j.recorder.Kubeconfig(t, token)
	return j
}

// runProgram runs a program and returns its exit code and what it printed.
func runProgram(kubeconfig string, variables []string, program string, args ...string) (int, string) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(append(os.Environ(), "KUBECONFIG="+kubeconfig), variables...)
	output, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		return -1, err.Error()
	}
	return cmd.ProcessState.ExitCode(), string(output)
}

// run runs the containers of one job, and returns the exit code of the first that fails.
func (j *cronJob) run(t *testing.T) (int, string) {
	t.Helper()
	spec := j.s.Get(t, "batch/v1", "CronJob", j.system+"/"+j.release)
	objects := filepath.Join(j.dir, "objects")
	if err := os.RemoveAll(objects); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(objects, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"initContainers", "containers"} {
		containers, _, err := unstructured.NestedSlice(spec.Object, "spec", "jobTemplate", "spec", "template", "spec", kind)
		if err != nil || len(containers) == 0 {
			t.Fatalf("%s: %d, %v", kind, len(containers), err)
		}
		for _, container := range containers {
			if code, output := j.runContainer(t, container.(map[string]any)); code != 0 {
				return code, output
			}
		}
	}
	return 0, ""
}

func (j *cronJob) runContainer(t *testing.T, container map[string]any) (int, string) {
	t.Helper()
	programs := map[string]string{"mooring": rig.Env.Mooring, "kubectl": rig.Env.Program("kubectl")}
	command, _, _ := unstructured.NestedStringSlice(container, "command")
	args, _, _ := unstructured.NestedStringSlice(container, "args")
	var variables []string
	env, _, _ := unstructured.NestedSlice(container, "env")
	for _, variable := range env {
		variable := variable.(map[string]any)
		variables = append(variables, fmt.Sprintf("%s=%s", variable["name"], strings.Replace(variable["value"].(string), "/tmp", j.dir, 1)))
	}
	for i := range args {
		args[i] = strings.Replace(args[i], "=/objects", "="+j.dir+"/objects", 1)
	}
	code, output := runProgram(j.config, variables, programs[command[0]], args...)
	t.Logf("%s %s: exit code %d\n%s", command[0], strings.Join(args, " "), code, output)
	return code, output
}

// expectRestricted expects that the pods of the job meet the strictest of Kubernetes' Pod Security Standards.
func (j *cronJob) expectRestricted(t *testing.T) {
	t.Helper()
	j.s.Patch(t, "v1", "Namespace", j.system, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	template, _, err := unstructured.NestedMap(j.s.Get(t, "batch/v1", "CronJob", j.system+"/"+j.release).Object, "spec", "jobTemplate", "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	pod := &kube.Object{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetNamespace(j.system)
	pod.SetName("restricted")
	if err := j.s.Cluster.Kube.CheckCreate(pod); err != nil {
		t.Error(err)
	}
	_ = unstructured.SetNestedField(pod.Object, int64(0), "spec", "securityContext", "runAsUser")
	if err := j.s.Cluster.Kube.CheckCreate(pod); err == nil {
		t.Error("a pod of root is accepted, so the namespace is not restricted")
	}
	j.s.Patch(t, "v1", "Namespace", j.system, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":null}}}`)
}

func (j *cronJob) expectSuccess(t *testing.T) {
	t.Helper()
	if code, output := j.run(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, output)
	}
}

const generatedKinds = "wasmplugins.extensions.istio.io,httproutes.gateway.networking.k8s.io,grpcroutes.gateway.networking.k8s.io,envoyfilters.networking.istio.io"

// generated returns the generated objects of the cluster, with their resource versions.
func (j *cronJob) generated(t *testing.T) []string {
	t.Helper()
	code, output := runProgram(j.s.Cluster.Kubeconfig, nil, rig.Env.Program("kubectl"), "get", generatedKinds, "--namespace", j.s.Namespace,
		"--selector", "app.kubernetes.io/managed-by=mooring",
		"--output", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.generation}{"\n"}{end}`)
	if code != 0 {
		t.Fatal(output)
	}
	return strings.Split(strings.TrimSpace(output), "\n")
}

func (j *cronJob) deleteGenerated(t *testing.T) {
	t.Helper()
	code, output := runProgram(j.s.Cluster.Kubeconfig, nil, rig.Env.Program("kubectl"), "delete", generatedKinds, "--namespace", j.s.Namespace,
		"--selector", "app.kubernetes.io/managed-by=mooring")
	if code != 0 {
		t.Error(output)
	}
}

// roles returns what the roles of the CronJob's account allow.
func (j *cronJob) roles(t *testing.T) (apply, reader []kube.Access) {
	t.Helper()
	apply = accessOfRole(t, j.s.Get(t, rbac, "ClusterRole", j.release+"-apply"))
	reader = accessOfRole(t, j.s.Get(t, rbac, "ClusterRole", j.release+"-reader"))
	return apply, append(reader, accessOfRole(t, j.s.Get(t, rbac, "Role", "kube-system/"+j.release+"-reader"))...)
}

const rbac = "rbac.authorization.k8s.io/v1"
