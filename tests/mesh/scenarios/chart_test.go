//go:build mesh

package scenarios

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/kube"
)

// The Helm chart and the kustomize base, with the real Helm, kustomize and kubectl.

func chartFile(path string) string { return rig.Env.RepositoryFile("deploy/charts/mooring/" + path) }

// helm runs Helm without a cluster.
func helm(t *testing.T, args ...string) (int, string) {
	t.Helper()
	return runProgram("/dev/null", []string{"HOME=" + t.TempDir()}, rig.Env.Program("helm"), args...)
}

func TestChartPassesLint(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"crds.install=true", everything} {
		if code, output := helm(t, "lint", "--strict", chartFile(""), "--set", set); code != 0 {
			t.Errorf("%s\n%s", set, output)
		}
	}
}

const (
	aKey       = "be:CGOyftn0sz9UXO8QD_JEIrcFfnBUunMrk4q4xbKAtbo"
	everything = "keys.create=true,keys.ring=" + aKey + ",keys.namespaces={default},dashboards.enabled=true,alerts.enabled=true," +
		"cronJob.enabled=true,cronJob.suspend=true,cronJob.wasm=oci://registry.example.com/mooring:0.1.0," +
		"controller.enabled=true,controller.replicas=2,controller.serviceMonitor.enabled=true,controller.wasm=oci://registry.example.com/mooring:0.1.0"
	promRules = "monitoring.coreos.com/v1/PrometheusRule"
	monitors  = "monitoring.coreos.com/v1/ServiceMonitor"
)

// controllerKinds are those of a controller of all namespaces.
var controllerKinds = []string{"Deployment", "Service", "ServiceAccount", "ClusterRole", "ClusterRole", "ClusterRoleBinding",
	"ClusterRoleBinding", "Role", "RoleBinding", "RoleBinding"}

// Each option adds its objects and nothing else.
func TestChartRendersWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	always := []string{"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Role", "RoleBinding", "ServiceAccount"}
	without := func(kinds ...string) []string {
		return slices.DeleteFunc(slices.Clone(always), func(kind string) bool { return slices.Contains(kinds, kind) })
	}
	for _, c := range []struct {
		set   string
		kinds []string
	}{
		{"", always},
		{"crds.install=false", without("CustomResourceDefinition")},
		{"rbac.create=false,serviceAccount.create=false", []string{"CustomResourceDefinition"}},
		{"keys.create=true,keys.ring=" + aKey + ",keys.namespaces={one,two}", append([]string{"Secret", "Secret"}, always...)},
		{"dashboards.enabled=true", append([]string{"ConfigMap"}, always...)},
		{"alerts.enabled=true", append([]string{"PrometheusRule"}, always...)},
		{"cronJob.enabled=true,cronJob.wasm=oci://r.example/m:1", append([]string{"CronJob", "ServiceAccount", "ClusterRole", "ClusterRoleBinding",
			"ClusterRoleBinding", "RoleBinding"}, always...)},
		{"controller.enabled=true,controller.wasm=oci://r.example/m:1", append(slices.Clone(controllerKinds), always...)},
		{"controller.enabled=true,controller.replicas=2,controller.serviceMonitor.enabled=true,controller.wasm=oci://r.example/m:1",
			append(append([]string{"PodDisruptionBudget", "ServiceMonitor"}, controllerKinds...), always...)},
		{"controller.enabled=true,controller.namespaces={one,two},controller.wasm=oci://r.example/m:1", append([]string{"Deployment", "Service",
			"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "Role", "Role", "RoleBinding", "RoleBinding", "RoleBinding",
			"RoleBinding"}, always...)},
		{"cronJob.enabled=true,cronJob.prune=false,cronJob.wasm=oci://r.example/m:1", append([]string{"CronJob", "ServiceAccount", "ClusterRole",
			"ClusterRoleBinding", "ClusterRoleBinding", "RoleBinding"}, always...)},
	} {
		objects := render(t, "--api-versions", promRules, "--api-versions", monitors, "--set", c.set)
		var kinds []string
		for _, obj := range objects {
			kinds = append(kinds, obj.GetKind())
			if by := obj.GetLabels()["app.kubernetes.io/managed-by"]; by != "Helm" {
				t.Errorf("%s: %s is managed by %q", c.set, kube.Describe(obj), by)
			}
		}
		slices.Sort(kinds)
		if slices.Sort(c.kinds); !slices.Equal(kinds, c.kinds) {
			t.Errorf("%q: %q, expected %q", c.set, kinds, c.kinds)
		}
	}
	for _, obj := range render(t, "--set", everything) {
		if kind := obj.GetKind(); kind == "PrometheusRule" || kind == "ServiceMonitor" {
			t.Errorf("there is a %s although the cluster does not have the kind", kind)
		}
	}
}

// render returns the objects of `helm template`.
func render(t *testing.T, args ...string) []*kube.Object {
	t.Helper()
	code, output := helm(t, append([]string{"template", "mooring", chartFile(""), "--namespace", "mooring-system"}, args...)...)
	if code != 0 {
		t.Fatalf("%q: %s", args, output)
	}
	objects, err := kube.ReadYAML(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Wrong values are refused with their name, and without the key.
func TestChartRefusesWrongValues(t *testing.T) {
	t.Parallel()
	for set, message := range map[string]string{
		"crd.install=false":                   "'crd' not allowed",
		"crds.install=perhaps":                "/crds/install",
		"cronJob.enabled=true":                "/cronJob/wasm",
		"cronJob.wasm=registry.example.com/m": "/cronJob/wasm",
		"cronJob.wasmSha256=sha256:12":        "/cronJob/wasmSha256",
		"cronJob.image.pullPolicy=sometimes":  "/cronJob/image/pullPolicy",
		"controller.enabled=true":             "/controller/wasm",
		"controller.logFormat=xml":            "/controller/logFormat",
		"controller.replicas=-1":              "/controller/replicas",
		"controller.enabled=true,controller.wasm=oci://r/m:1,cronJob.enabled=true,cronJob.wasm=oci://r/m:1": "both would write the same objects",
		"cronJob.namespaces={Shop}":            "/cronJob/namespaces/0",
		"keys.create=true,keys.ring=" + aKey:   "/keys/namespaces",
		"keys.ring=" + aKey:                    "/keys/ring",
		"commonLabels.helm\\.sh/chart=another": "helm.sh/chart",
		"keys.create=true,keys.namespaces={default},keys.ring=be:CGOyftn0sz9UXO8QD_JEIrcFfnBUunMrk4q4xbKAtb":                          "keys.ring is not a key ring",
		"keys.create=true,keys.namespaces={default},keys.existingSecret=mooring-keys,keys.ring=" + aKey:                               "/keys/existingSecret",
		"keys.create=true,keys.namespaces={default},keys.ring=be:CGOyftn0sz9UXO8QD_JEIrcFfnBUunMrk4q4xbKAtbo-and-more-than-a-key-has": "keys.ring is not a key ring",
	} {
		code, output := helm(t, "template", chartFile(""), "--set", set)
		if code == 0 || !strings.Contains(output, message) {
			t.Errorf("%s: exit code %d, no %q in %s", set, code, message, output)
		}
		if strings.Contains(output, "CGOyftn0sz9") {
			t.Errorf("%s: the error shows the key: %s", set, output)
		}
	}
}

// The version of the chart and that of its images are the version of the workspace, and it is packaged with all its files.
func TestChartHasTheVersionOfTheWorkspace(t *testing.T) {
	t.Parallel()
	cargo := readRepositoryFile(t, "Cargo.toml")
	version := regexp.MustCompile(`(?m)^version = "(.*)"$`).FindStringSubmatch(cargo)
	if version == nil {
		t.Fatal("Cargo.toml has no version")
	}
	var chart struct{ Version, AppVersion string }
	if err := yaml.Unmarshal([]byte(readRepositoryFile(t, "deploy/charts/mooring/Chart.yaml")), &chart); err != nil {
		t.Fatal(err)
	}
	if chart.Version != version[1] || chart.AppVersion != version[1] {
		t.Errorf("Chart.yaml: version %s, appVersion %s; Cargo.toml: %s", chart.Version, chart.AppVersion, version[1])
	}
	dir := t.TempDir()
	if code, output := helm(t, "package", chartFile(""), "--destination", dir); code != 0 {
		t.Fatal(output)
	}
	args := []string{"--namespace", "mooring-system", "--api-versions", promRules, "--api-versions", monitors, "--set", everything}
	_, fromPackage := helm(t, append([]string{"template", "mooring", filepath.Join(dir, "mooring-"+version[1]+".tgz")}, args...)...)
	if _, fromFiles := helm(t, append([]string{"template", "mooring", chartFile("")}, args...)...); fromPackage != fromFiles {
		t.Errorf("the package renders something else:\n%s", fromPackage)
	}
}

func readRepositoryFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(rig.Env.RepositoryFile(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// `make deploy-files` would change nothing.
func TestRenderedDeployFilesAreCurrent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if code, output := runProgram("/dev/null", []string{"HELM=" + rig.Env.Program("helm")}, rig.Env.RepositoryFile("deploy/render"), dir); code != 0 {
		t.Fatal(output)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		rendered, err := os.ReadFile(path)
		if err == nil && string(rendered) != readRepositoryFile(t, name) {
			t.Errorf("%s is not current; run `make deploy-files`", name)
		}
		return err
	})
	if err != nil || files != 8 {
		t.Errorf("%d files, %v", files, err)
	}
}

const overlay = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%[1]s/deploy/kustomize]
components: [%[1]s/deploy/kustomize/cronjob, %[1]s/deploy/kustomize/controller, %[1]s/dashboards, %[1]s/alerts]
patches:
`

// The base with all components has the objects of the chart with all options, except the namespace, which Helm creates.
func TestKustomizeBaseHasTheObjectsOfTheChart(t *testing.T) {
	t.Parallel()
	// kustomize takes relative paths only.
	dir := t.TempDir()
	root, err := filepath.Abs(rig.Env.RepositoryFile(""))
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(dir, root)
	if err != nil {
		t.Fatal(err)
	}
	// The patch of the page replaces the URL of the module.
	page := readRepositoryFile(t, "docs/helm-chart.md")
	_, patch, found := strings.Cut(page, "\npatches:\n")
	patch, _, ended := strings.Cut(patch, "```")
	if !found || !ended {
		t.Fatal("docs/helm-chart.md has no patches")
	}
	text := fmt.Sprintf(overlay, relative) + patch
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	code, output := runProgram("/dev/null", nil, rig.Env.Program("kustomize"), "build", dir)
	if code != 0 {
		t.Fatal(output)
	}
	built, err := kube.ReadYAML(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	names := func(objects []*kube.Object) (all []string) {
		for _, obj := range objects {
			if obj.GetKind() != "Namespace" {
				all = append(all, kube.Describe(obj))
			}
		}
		slices.Sort(all)
		return all
	}
	chart := render(t, "--api-versions", promRules, "--set", "dashboards.enabled=true,alerts.enabled=true,cronJob.enabled=true",
		"--set", "cronJob.suspend=true,cronJob.wasm=oci://registry.example.com/mooring:0.1.0",
		"--set", "controller.enabled=true,controller.wasm=oci://registry.example.com/mooring:0.1.0")
	if have, want := names(built), names(chart); !slices.Equal(have, want) {
		t.Errorf("kustomize: %q\nchart: %q", have, want)
	}
	if strings.Count(output, "--wasm=oci://registry.example.com/mooring:0.1.0") != 2 || strings.Contains(output, "VERSION") {
		t.Errorf("the patch does not set the URL of the module:\n%s", output)
	}
}

// Every value is on the page, with its default.
func TestPageHasEveryValueOfTheChart(t *testing.T) {
	t.Parallel()
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(readRepositoryFile(t, "deploy/charts/mooring/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	var want []string
	for section, fields := range values {
		fields, _ := fields.(map[string]any)
		if len(fields) == 0 {
			want = append(want, section)
		}
		for name := range fields {
			want = append(want, section+"."+name)
		}
	}
	var have []string
	_, table, _ := strings.Cut(readRepositoryFile(t, "docs/helm-chart.md"), "\n## Values\n")
	for _, line := range strings.Split(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, name := range strings.Split(cells[1], ",") {
			name = strings.Trim(name, " `")
			have = append(have, name)
			section, field, _ := strings.Cut(name, ".")
			value := values[section]
			if fields, ok := value.(map[string]any); ok && field != "" {
				value = fields[field]
			}
			shown, written := strings.Trim(cells[2], " `"), ""
			if shown == "" {
				continue // an object
			}
			if text, err := yaml.Marshal(value); err == nil {
				written = strings.TrimSpace(string(text))
			}
			if strings.Trim(written, `'"`) != strings.Trim(shown, `'"`) {
				t.Errorf("docs/helm-chart.md: the default of %s is %s, not %s", name, written, shown)
			}
		}
	}
	slices.Sort(want)
	if slices.Sort(have); !slices.Equal(have, want) {
		t.Errorf("docs/helm-chart.md has the values %q\nvalues.yaml has %q", have, want)
	}
}
