//go:build mesh

package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/wait"
)

// The Helm chart on an API server: the page's commands, and upgrades of the definition.

// promRuleCRD stands for the definition of the Prometheus Operator.
const promRuleCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: PrometheusRule, plural: prometheusrules, singular: prometheusrule}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            properties:
              groups:
                type: array
                items:
                  type: object
                  required: [name]
                  properties:
                    name: {type: string, minLength: 1}
                    rules:
                      type: array
                      items:
                        type: object
                        required: [expr]
                        properties:
                          alert: {type: string}
                          expr: {x-kubernetes-int-or-string: true}
                          for: {type: string, pattern: "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"}
                          labels: {type: object, additionalProperties: {type: string}}
                          annotations: {type: object, additionalProperties: {type: string}}
`

// The commands of the page, on an API server without Mooring.
func TestPageOfTheHelmChart(t *testing.T) {
	t.Parallel()
	c := withoutMooring(t)
	commands, err := readme.Commands(rig.Env.RepositoryFile("docs/helm-chart.md"), "")
	if err != nil {
		t.Fatal(err)
	}
	// What the last section applies would be in the way of a release, and so would the release if a command before has failed.
	t.Cleanup(func() {
		runProgram(c.Kubeconfig, nil, rig.Env.Program("helm"), "uninstall", "mooring", "--namespace", "mooring-system", "--ignore-not-found")
		objects, err := kube.ReadFile(rig.Env.RepositoryFile("deploy/kustomize/reader.yaml"))
		if err != nil {
			t.Error(err)
		}
		for _, obj := range objects {
			_ = c.Kube.Delete(obj)
		}
	})
	readme.NewShell(t, rig.Env, c.Kubeconfig).Run(commands)
}

// The definition is upgraded with the release, stays after it, and the next release takes it over.
func TestChartUpgradesItsDefinition(t *testing.T) {
	t.Parallel()
	c := withoutMooring(t)
	run := func(want int, args ...string) string {
		t.Helper()
		code, output := runProgram(c.Kubeconfig, []string{"HOME=" + t.TempDir()}, rig.Env.Program("helm"), append(args, "--namespace", "mooring-system")...)
		if code != want {
			t.Fatalf("helm %q: exit code %d\n%s", args, code, output)
		}
		return output
	}
	crd := func() *kube.Object {
		t.Helper()
		obj, err := c.Kube.Get(crdKind, "", "canarypolicies.mooring.dev")
		if err != nil {
			t.Fatal(err)
		}
		return obj
	}
	older := filepath.Join(t.TempDir(), "mooring")
	if err := os.CopyFS(older, os.DirFS(chartFile(""))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(older, "files/canarypolicy.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "- gateway-api\n", "- of-an-older-version\n", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	categories := func() string {
		return fmt.Sprint(crd().Object["spec"].(map[string]any)["names"].(map[string]any)["categories"])
	}

	run(0, "install", "mooring", older, "--create-namespace")
	if have := categories(); have != "[of-an-older-version]" {
		t.Errorf("installed: %s", have)
	}
	run(0, "upgrade", "mooring", chartFile(""))
	if have := categories(); have != "[gateway-api]" {
		t.Errorf("upgraded: %s", have)
	}
	uid := crd().GetUID()
	run(0, "uninstall", "mooring")
	if crd().GetUID() != uid {
		t.Error("the definition was deleted")
	}
	run(0, "install", "mooring", chartFile(""))
	run(0, "uninstall", "mooring")

	// A definition of kubectl is taken over only on request.
	deleteDefinition(t, c)
	if err := installDefinition(c); err != nil {
		t.Fatal(err)
	}
	if output := run(1, "install", "mooring", chartFile("")); !strings.Contains(output, "invalid ownership metadata") {
		t.Error(output)
	}
	run(0, "install", "mooring", chartFile(""), "--take-ownership")
	run(0, "upgrade", "mooring", chartFile(""), "--set", "crds.keep=false")
	run(0, "uninstall", "mooring")
	awaitNoDefinition(t, c)
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

func deleteDefinition(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	err := c.Kube.Delete(kube.Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "canarypolicies.mooring.dev"))
	if err != nil {
		t.Fatal(err)
	}
	awaitNoDefinition(t, c)
}

func awaitNoDefinition(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	wait.Eventually(t, "the definition is deleted", func() error {
		_, err := c.Kube.Get(crdKind, "", "canarypolicies.mooring.dev")
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %w", err)
	})
}

// withoutMooring returns a control plane for this test alone, without CanaryPolicy but with PrometheusRule.
func withoutMooring(t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := rig.Clusters.Get(cluster.GatewayAPI17)
	if err != nil {
		t.Fatal(err)
	}
	const namespace = "mooring-system"
	if err := c.Namespaces.Acquire(t.Name(), namespace, true); err != nil {
		t.Fatal(err)
	}
	rules, err := kube.ReadYAML(strings.NewReader(promRuleCRD))
	if err == nil {
		err = c.CreateCRDs(rules)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer c.Namespaces.Release(namespace)
		if err := installDefinition(c); err != nil {
			t.Error(err)
		}
	})
	deleteDefinition(t, c)
	return c
}

func installDefinition(c *cluster.Cluster) error {
	own, err := kube.ReadDir(rig.Env.RepositoryFile("deploy/crds"))
	if err != nil {
		return err
	}
	return c.CreateCRDs(own)
}
