//go:build mesh

package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// What the controller writes and what it leaves alone, as the API server records it.

// ownedRoute is a split with sessions, so that all kinds of generated objects are needed.
const ownedRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: owned
  labels: {argocd.argoproj.io/instance: shop}
  annotations: {example.com/team: shop}
spec:
  parentRefs: [{name: gateway-sp-demo}]
  hostnames: [owned.example]
  rules: [{backendRefs: [{name: sp-demo, port: 80, weight: 1}, {name: owned, port: 80, weight: 1}]}]
---
apiVersion: v1
kind: Service
metadata: {name: owned}
spec: {selector: {app: sp-demo}, ports: [{name: http, port: 80, targetPort: 8080}]}
`

const ownedPolicy = `apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: owned}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: owned}
  sticky: {cookie: {name: owned-session}}
`

const appliedAnnotation = "mooring.dev/applied"

// generatedWrites are the writes of generated objects after the first n writes, dry runs left out.
func generatedWrites(c *scenario.Controller, n int) []kube.Write {
	return slices.DeleteFunc(c.Recorder.Writes()[n:], func(w kube.Write) bool {
		generated := []string{"envoyfilters", "httproutes", "grpcroutes", "wasmplugins"}
		return w.DryRun || !slices.Contains(generated, w.Resource)
	})
}

// resourcesOf are the resources of writes, each once, in their order.
func resourcesOf(writes []kube.Write) []string {
	var resources []string
	for _, w := range writes {
		resources = append(resources, w.Resource)
	}
	return slices.Compact(resources)
}

// awaitWritten waits until this many generated objects are there.
func awaitWritten(t *testing.T, s *scenario.Scenario, n int, what string, is func(*kube.Object) bool) []*kube.Object {
	t.Helper()
	var written []*kube.Object
	wait.Eventually(t, what, func() error {
		written = s.Written(t)
		var names []string
		for _, obj := range written {
			if is(obj) {
				names = append(names, kube.Describe(obj))
			}
		}
		if len(names) != n {
			return fmt.Errorf("%d of %d: %v", len(names), n, names)
		}
		return nil
	})
	return written
}

func hasApplied(obj *kube.Object) bool { return obj.GetAnnotations()[appliedAnnotation] != "" }

// awaitSettled waits until the controller has found the cluster as planned after its start.
func awaitSettled(t *testing.T, c *scenario.Controller) {
	t.Helper()
	wait.Eventually(t, "the cluster is as planned", func() error {
		if c.Metric(t, "mooring_controller_last_apply_timestamp_seconds") == 0 {
			return fmt.Errorf("no pass has ended")
		}
		return nil
	})
}

func TestControllerOwnsOnlyWhatItWrites(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Apply(t, ownedRoute)
	s.Apply(t, ownedPolicy)

	// A dry run writes nothing and says what it would write.
	dry := s.StartController(t, scenario.ControllerNamed("dry"), scenario.ControllerArgs("--dry-run"))
	wait.Eventually(t, "the dry run shows the differences", func() error {
		log := dry.Process.Log()
		for _, kind := range []string{"EnvoyFilter", "HTTPRoute", "WasmPlugin"} {
			if !strings.Contains(log, fmt.Sprintf("+++ %s %s/mooring-", kind, s.Namespace)) {
				return fmt.Errorf("no difference of a %s", kind)
			}
		}
		return nil
	})
	if writes := generatedWrites(dry, 0); len(writes) > 0 || len(s.Written(t)) > 0 {
		t.Errorf("a dry run writes: %v", writes)
	}
	dry.Stop(t)

	c := s.StartController(t)
	gateway := s.Get(t, gatewayGroup, "Gateway", "gateway-sp-demo")
	route := s.Get(t, gatewayGroup, "HTTPRoute", "owned")
	awaitWritten(t, s, 1, "the plugin is written last", func(obj *kube.Object) bool { return obj.GetKind() == "WasmPlugin" })
	if order := resourcesOf(generatedWrites(c, 0)); !slices.Equal(order, []string{"envoyfilters", "httproutes", "wasmplugins"}) {
		t.Errorf("written in the order %v", order)
	}
	written := s.Written(t)
	for _, obj := range written {
		owner := gateway
		if obj.GetKind() == "HTTPRoute" {
			owner = route
		}
		owners := obj.GetOwnerReferences()
		if len(owners) != 1 || owners[0].UID != owner.GetUID() {
			t.Errorf("%s has the owners %v", kube.Describe(obj), owners)
		}
		for _, foreign := range []string{"argocd.argoproj.io/instance", "example.com/team"} {
			if obj.GetLabels()[foreign]+obj.GetAnnotations()[foreign] != "" {
				t.Errorf("%s has %s of the user's route", kube.Describe(obj), foreign)
			}
		}
	}

	t.Run("a restart writes nothing", func(t *testing.T) {
		before := len(c.Recorder.Writes())
		c.Stop(t)
		c.Start(t)
		awaitSettled(t, c)
		if writes := generatedWrites(c, before); len(writes) > 0 {
			t.Errorf("%v", writes)
		}
	})

	t.Run("an edit is put back", func(t *testing.T) {
		for name, operation := range map[string]string{
			"a changed field": `{"op": "replace", "path": "/spec/failStrategy", "value": "FAIL_CLOSE"}`,
			"an added field":  `{"op": "add", "path": "/spec/priority", "value": 7}`,
			"a removed field": `{"op": "remove", "path": "/spec/pluginName"}`,
			"a removed label": `{"op": "remove", "path": "/metadata/labels/app.kubernetes.io~1managed-by"}`,
		} {
			plugin := s.Get(t, "extensions.istio.io/v1alpha1", "WasmPlugin", "mooring-gateway-sp-demo")
			s.PatchJSONAs(t, "ann", "extensions.istio.io/v1alpha1", "WasmPlugin", plugin.GetName(), "["+operation+"]")
			wait.Eventually(t, name+" is put back", func() error {
				now := s.Get(t, "extensions.istio.io/v1alpha1", "WasmPlugin", plugin.GetName())
				if !sameValue(now.Object["spec"], plugin.Object["spec"]) || !sameValue(now.GetLabels(), plugin.GetLabels()) {
					return fmt.Errorf("%v %v", now.GetLabels(), now.Object["spec"])
				}
				return nil
			})
		}
	})

	t.Run("what is no longer needed goes in the reverse order", func(t *testing.T) {
		before := len(c.Recorder.Writes())
		s.Delete(t, "mooring.dev/v1alpha1", "CanaryPolicy", "owned")
		awaitWritten(t, s, 0, "nothing is left", func(*kube.Object) bool { return true })
		if order := resourcesOf(generatedWrites(c, before)); !slices.Equal(order, []string{"wasmplugins", "httproutes", "envoyfilters"}) {
			t.Errorf("removed in the order %v", order)
		}
	})
	c.Stop(t)

	// What a pipeline has applied with kubectl is left alone, until the controller is to take it over.
	s.Apply(t, ownedPolicy)
	file := filepath.Join(t.TempDir(), "generated.yaml")
	if err := os.WriteFile(file, []byte(s.Mooring.Generate(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, output := runProgram(s.Cluster.Kubeconfig, nil, rig.Env.Program("kubectl"), "apply", "--filename", file); code != 0 {
		t.Fatal(output)
	}
	piped := s.Written(t)
	keeping := s.StartController(t, scenario.ControllerNamed("keeping"))
	wait.Eventually(t, "the objects of the pipeline are reported", func() error {
		if log := keeping.Process.Log(); strings.Count(log, "kubectl-client-side-apply") < len(piped) {
			return fmt.Errorf("not yet:\n%s", keeping.Process.Tail())
		}
		return nil
	})
	if writes := generatedWrites(keeping, 0); len(writes) > 0 {
		t.Errorf("objects of a pipeline are written: %v", writes)
	}
	keeping.Stop(t)
	adopting := s.StartController(t, scenario.ControllerNamed("adopting"), scenario.ControllerArgs("--adopt"))
	awaitWritten(t, s, len(piped), "the controller takes them over", hasApplied)
	s.Delete(t, "mooring.dev/v1alpha1", "CanaryPolicy", "owned")
	awaitWritten(t, s, 0, "and removes them", func(*kube.Object) bool { return true })
	t.Logf("writes of the taking over: %v", generatedWrites(adopting, 0))
}

// sameValue compares values of objects, whatever the types of their numbers.
func sameValue(one, other any) bool { return fmt.Sprint(one) == fmt.Sprint(other) }
