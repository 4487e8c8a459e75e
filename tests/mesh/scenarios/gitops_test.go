//go:build mesh

package scenarios

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/readme"
)

// Mooring in pipelines: with the real kustomize, Helm, kubectl and Git, as docs/gitops.md shows. None of these tests needs a cluster.

// TestPageGitOps runs the commands of docs/gitops.md.
func TestPageGitOps(t *testing.T) {
	t.Parallel()
	commands, err := readme.Commands(rig.Env.RepositoryFile("docs/gitops.md"), "none")
	if err != nil {
		t.Fatal(err)
	}
	shell := readme.NewShell(t, rig.Env, "/dev/null")
	// Argo CD's own objects are on the internet; the patch needs only the Deployment.
	writeFile(t, filepath.Join(shell.Dir(), "argocd-install.yaml"), argoCDRepoServer)
	shell.Replace("https://raw.githubusercontent.com/argoproj/argo-cd/v3.5.7/manifests/install.yaml", "install.yaml",
		"$ cp -r deploy/argocd/ argocd/mooring", "")
	for i := range commands {
		if strings.HasPrefix(commands[i].Text, "mkdir argocd") {
			commands[i].Text += " && cp argocd-install.yaml argocd/install.yaml"
		}
	}
	shell.Run(commands)
}

const argoCDRepoServer = `apiVersion: apps/v1
kind: Deployment
metadata: {name: argocd-repo-server}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: argocd-repo-server}}
  template:
    metadata: {labels: {app.kubernetes.io/name: argocd-repo-server}}
    spec:
      containers:
      - {name: argocd-repo-server, image: quay.io/argoproj/argocd:v3.5.7}
      volumes:
      - {name: var-files, emptyDir: {}}
      - {name: plugins, emptyDir: {}}
`

// A pipeline is a folder in which commands run with the programs of a user, and nothing else in their environment.
type pipeline struct {
	t         *testing.T
	dir       string
	variables map[string]string
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{"mooring": rig.Env.Mooring}
	for _, program := range []string{"helm", "kustomize"} {
		programs[program] = rig.Env.Program(program)
	}
	for program, path := range programs {
		if err := os.Symlink(path, filepath.Join(bin, program)); err != nil {
			t.Fatal(err)
		}
	}
	return &pipeline{t: t, dir: dir, variables: map[string]string{"PATH": bin + ":/usr/local/bin:/usr/bin:/bin", "HOME": dir}}
}

// with returns the same pipeline with more variables.
func (p *pipeline) with(variables map[string]string) *pipeline {
	all := maps.Clone(p.variables)
	maps.Copy(all, variables)
	return &pipeline{t: p.t, dir: p.dir, variables: all}
}

// run runs a program in a folder of the pipeline, and returns its outputs and exit code.
func (p *pipeline) run(folder string, arguments ...string) (string, string, int) {
	p.t.Helper()
	command := exec.Command(arguments[0], arguments[1:]...)
	if path, err := exec.LookPath(filepath.Join(p.dir, "bin", arguments[0])); err == nil {
		command.Path, command.Err = path, nil
	}
	command.Dir = filepath.Join(p.dir, folder)
	for name, value := range p.variables {
		command.Env = append(command.Env, name+"="+value)
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		p.t.Fatal(err)
	}
	return stdout.String(), stderr.String(), command.ProcessState.ExitCode()
}

// write writes a file below the pipeline's folder.
func (p *pipeline) write(path, text string) {
	p.t.Helper()
	writeFile(p.t, filepath.Join(p.dir, path), text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func repositoryText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(rig.Env.RepositoryFile(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const mooringConfig = `apiVersion: mooring.dev/v1alpha1
kind: MooringGenerate
metadata:
  name: mooring
%sspec:
  wasm: https://registry.example/mooring.wasm
`

// config is the configuration of the function, with the annotation by which kustomize runs it.
func config(function string) string {
	if function == "" {
		return fmt.Sprintf(mooringConfig, "")
	}
	return fmt.Sprintf(mooringConfig, "  annotations:\n    config.kubernetes.io/function: |\n      "+function+"\n")
}

// writeApp writes the manifests of an example into a folder.
func (p *pipeline) writeApp(folder string) {
	p.t.Helper()
	for _, name := range []string{"app.yaml", "canary.yaml"} {
		p.write(filepath.Join(folder, name), repositoryText(p.t, "examples/sticky-canary/"+name))
	}
}

// brokenApp is canary.yaml of the example with a port that the Services do not have.
func brokenApp(t *testing.T) string {
	t.Helper()
	return strings.ReplaceAll(repositoryText(t, "examples/sticky-canary/canary.yaml"), "port: 80, weight", "port: 81, weight")
}

// kinds returns the kinds of a stream of objects, in order. Anything else than objects fails the test.
func kinds(t *testing.T, stream string) []string {
	t.Helper()
	var kinds []string
	for _, document := range strings.Split("\n"+stream, "\n---") {
		object := struct{ APIVersion, Kind string }{}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("%v: %s", err, document)
		}
		if strings.TrimSpace(document) != "" && object.APIVersion == "" {
			t.Fatalf("no object: %s", document)
		}
		kinds = append(kinds, object.Kind)
	}
	return slices.DeleteFunc(kinds, func(kind string) bool { return kind == "" })
}

var kindsOfExample = []string{"EnvoyFilter", "HTTPRoute", "WasmPlugin"}

// expectGenerated asserts that a stream has the manifests of the example and the generated objects after them.
func expectGenerated(t *testing.T, stream string) {
	t.Helper()
	found := kinds(t, stream)
	if len(found) != 10 || !slices.Equal(found[7:], kindsOfExample) {
		t.Fatalf("unexpected objects: %v\n%s", found, stream)
	}
}

func TestKustomizeRunsTheFunctionInAContainer(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.writeApp("app")
	p.write("app/mooring.yaml", config("container: {image: registry.example/mooring-fn:0.1.0}"))
	p.write("app/kustomization.yaml", "resources: [app.yaml, canary.yaml]\ntransformers: [mooring.yaml]\nsortOptions: {order: fifo}\n")
	// There are no containers here: docker is played, and runs what the entrypoint of the image would.
	p.write("bin/docker", "#!/bin/sh\necho \"$@\" >\"$HOME/docker.log\"\nexec mooring fn\n")
	if err := os.Chmod(filepath.Join(p.dir, "bin/docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := p.run("app", "kustomize", "build", "--enable-alpha-plugins", ".")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	expectGenerated(t, stdout)
	arguments, err := os.ReadFile(filepath.Join(p.dir, "docker.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(arguments), "run ") || !strings.HasSuffix(string(arguments), "registry.example/mooring-fn:0.1.0\n") {
		t.Fatalf("unexpected call: docker %s", arguments)
	}
}

func TestKustomizeBuildsTwice(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.writeApp("app")
	p.write("app/mooring.yaml", config("exec: {path: mooring, args: [fn]}"))
	resources := "resources: [app.yaml, canary.yaml%s]\ntransformers: [mooring.yaml]\nsortOptions: {order: fifo}\nbuildMetadata: [originAnnotations]\n"
	p.write("app/kustomization.yaml", fmt.Sprintf(resources, ""))
	build := []string{"kustomize", "build", "--enable-alpha-plugins", "--enable-exec", "."}
	first, stderr, code := p.run("app", build...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	expectGenerated(t, first)
	// Generated objects among the resources, of which one is stale, are replaced.
	generated, _, _ := p.run("app", "mooring", "generate", "-f", "app.yaml", "canary.yaml", "--quiet", "--wasm", "https://old.example/mooring.wasm")
	stale := strings.Replace(generated[strings.LastIndex(generated, "---"):], "name: mooring-web", "name: mooring-gone", 1)
	p.write("app/generated.yaml", generated+stale)
	p.write("app/kustomization.yaml", fmt.Sprintf(resources, ", generated.yaml"))
	second, stderr, code := p.run("app", build...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	expectGenerated(t, second)
	if strings.Contains(second, "old.example") || strings.Contains(second, "mooring-gone") {
		t.Fatal(second)
	}
	// An error ends the build.
	p.write("app/canary.yaml", brokenApp(t))
	stdout, stderr, code := p.run("app", build...)
	if code == 0 || stdout != "" || !strings.Contains(stderr, "error[") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// argoCDPlugin is what the server of a plugin reads of plugin.yaml (argo-cd: cmpserver/plugin/config.go).
type argoCDPlugin struct {
	APIVersion, Kind string
	Metadata         struct{ Name string }
	Spec             struct {
		Init, Generate struct{ Command, Args []string }
		Discover       struct{ FileName string }
		Parameters     struct {
			Static []struct{ Name, Title, Tooltip, String string }
		}
	}
}

// argoCDTimeout is how long the repo-server waits for the plugin.
const argoCDTimeout = 60 * time.Second

// generate runs the plugin as its server does: in a copy of the application, whose folder is the working directory.
func (plugin *argoCDPlugin) generate(p *pipeline, app string) (string, string, int) {
	p.t.Helper()
	if matches, err := filepath.Glob(filepath.Join(p.dir, app, plugin.Spec.Discover.FileName)); err != nil || len(matches) != 1 {
		p.t.Fatalf("%s is not discovered: %v %v", app, matches, err)
	}
	start := time.Now()
	stdout, stderr, code := p.run(app, append(plugin.Spec.Generate.Command, plugin.Spec.Generate.Args...)...)
	if took := time.Since(start); took > argoCDTimeout {
		p.t.Errorf("the plugin took %s", took)
	}
	return stdout, stderr, code
}

func TestArgoCDPlugin(t *testing.T) {
	t.Parallel()
	plugin := &argoCDPlugin{}
	if err := yaml.UnmarshalStrict([]byte(repositoryText(t, "deploy/argocd/plugin.yaml")), plugin); err != nil {
		t.Fatal(err)
	}
	if plugin.APIVersion != "argoproj.io/v1alpha1" || plugin.Kind != "ConfigManagementPlugin" || len(plugin.Spec.Init.Command) > 0 {
		t.Fatalf("%+v", plugin)
	}
	p := newPipeline(t).with(map[string]string{
		"ARGOCD_APP_NAME": "shop", "ARGOCD_APP_NAMESPACE": "default", "ARGOCD_APP_PARAMETERS": "[]", "KUBE_VERSION": "1.36.0",
	})
	p.writeApp("plain")
	p.writeApp("kustomize")
	p.write("kustomize/kustomization.yaml", "resources: [app.yaml, canary.yaml]\nsortOptions: {order: fifo}\n")
	p.writeApp("helm/templates")
	p.write("helm/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n")
	for _, app := range []string{"plain", "kustomize", "helm"} {
		p.write(app+"/mooring.yaml", config(""))
		stdout, stderr, code := plugin.generate(p, app)
		if code != 0 || stderr != "" {
			t.Fatalf("%s: exit code %d: %s", app, code, stderr)
		}
		expectGenerated(t, stdout)
	}

	t.Run("errors print nothing to apply", func(t *testing.T) {
		p.writeApp("broken")
		p.write("broken/mooring.yaml", config(""))
		p.write("broken/canary.yaml", brokenApp(t))
		stdout, stderr, code := plugin.generate(p, "broken")
		if code == 0 || stdout != "" || !strings.Contains(stderr, "error[BackendNotFound]") {
			t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
		}
		p.write("kustomize/kustomization.yaml", "resources: [missing.yaml]\n")
		stdout, stderr, code = plugin.generate(p, "kustomize")
		if code == 0 || stdout != "" || !strings.Contains(stderr, "missing.yaml") {
			t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
		}
	})
	t.Run("parameters", func(t *testing.T) {
		p.write("plain/sub/other.yaml", strings.Replace(config(""), "registry.example", "other.example", 1))
		parameter := map[string]string{"PARAM_CONFIG": "sub/other.yaml", "ARGOCD_APP_PARAMETERS": `[{"name":"config","string":"sub/other.yaml"}]`}
		variable := map[string]string{"ARGOCD_ENV_MOORING_CONFIG": "sub/other.yaml"}
		for _, variables := range []map[string]string{parameter, variable} {
			p.write("plain/mooring.yaml", "")
			stdout, stderr, code := plugin.generate(p.with(variables), "plain")
			if code != 0 || !strings.Contains(stdout, "other.example") {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
		}
		for _, path := range []string{"/etc/passwd", "../plain/mooring.yaml", "sub/../../secret"} {
			stdout, stderr, code := plugin.generate(p.with(map[string]string{"PARAM_CONFIG": path}), "plain")
			if code == 0 || stdout != "" || !strings.Contains(stderr, "error: the parameter config") {
				t.Fatalf("%s: exit code %d: %s%s", path, code, stdout, stderr)
			}
		}
	})
}
