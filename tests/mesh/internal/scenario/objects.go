package scenario

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/wait"
)

// Get reads an object, for example Get(t, "v1", "Service", "web"). Here and below, an object of another namespace than the scenario's
// is named <namespace>/<name>.
func (s *Scenario) Get(t testing.TB, apiVersion, kind, name string) *kube.Object {
	t.Helper()
	namespace, name := s.locate(name)
	obj, err := s.Cluster.Kube.Get(schema.FromAPIVersionAndKind(apiVersion, kind), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

// Patch changes an object as `kubectl patch --type merge` does.
func (s *Scenario) Patch(t testing.TB, apiVersion, kind, name, jsonMerge string) {
	t.Helper()
	obj := s.patch(t, types.MergePatchType, "", apiVersion, kind, name, jsonMerge)
	err := s.manager.Record(obj)
	if err == nil {
		err = s.manager.Reconcile()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// PatchJSON changes an object as `kubectl patch --type json` does. It is for objects that concern no pod.
func (s *Scenario) PatchJSON(t testing.TB, apiVersion, kind, name, operations string) {
	t.Helper()
	s.PatchJSONAs(t, "", apiVersion, kind, name, operations)
}

// PatchJSONAs is PatchJSON by a field manager, as a controller does it.
func (s *Scenario) PatchJSONAs(t testing.TB, manager, apiVersion, kind, name, operations string) {
	t.Helper()
	s.patch(t, types.JSONPatchType, manager, apiVersion, kind, name, operations)
}

// PatchFile is Patch with a file of YAML, named from the scenario's folder. It is for objects that concern no pod: it does not wait until
// the gateways know all endpoints, which they may not after the change.
func (s *Scenario) PatchFile(t testing.TB, apiVersion, kind, name, file string) {
	t.Helper()
	text, err := os.ReadFile(s.path(file))
	if err != nil {
		t.Fatal(err)
	}
	patch, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	s.patch(t, types.MergePatchType, "", apiVersion, kind, name, string(patch))
}

func (s *Scenario) patch(t testing.TB, as types.PatchType, manager, apiVersion, kind, name, body string) *kube.Object {
	t.Helper()
	patch := kube.Patch{Kind: schema.FromAPIVersionAndKind(apiVersion, kind), Type: as, Body: body, Manager: manager}
	patch.Namespace, patch.Name = s.locate(name)
	obj, err := s.Cluster.Kube.Patch(patch)
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

// Delete deletes an object, and with a Deployment its pods.
func (s *Scenario) Delete(t testing.TB, apiVersion, kind, name string) {
	t.Helper()
	obj := s.Get(t, apiVersion, kind, name)
	switch kind {
	case "Deployment":
		s.Pods.Scale(t, obj.GetName(), 0)
		s.manager.ForgetDeployment(kube.Key(obj))
	case "Service":
		if err := s.manager.ForgetService(kube.Key(obj)); err != nil {
			t.Fatal(err)
		}
	default:
		s.manager.Forget(obj)
	}
	if err := s.Cluster.Kube.Delete(obj); err != nil {
		t.Fatal(err)
	}
	s.applied = slices.DeleteFunc(s.applied, func(o *kube.Object) bool { return o.GetUID() == obj.GetUID() })
}

// Conditions returns all conditions in the status of an object; see kube.Conditions.
func (s *Scenario) Conditions(t testing.TB, apiVersion, kind, name string) []kube.Condition {
	t.Helper()
	return kube.Conditions(s.Get(t, apiVersion, kind, name))
}

// AwaitObserved waits until istiod has written a condition about the current generation of an object.
func (s *Scenario) AwaitObserved(t testing.TB, apiVersion, kind, name string) {
	t.Helper()
	wait.Eventually(t, fmt.Sprintf("istiod has seen %s %s", kind, name), func() error {
		obj := s.Get(t, apiVersion, kind, name)
		found := kube.Conditions(obj)
		for _, c := range found {
			if c.Observed == obj.GetGeneration() {
				return nil
			}
		}
		return fmt.Errorf("generation %d, conditions %v", obj.GetGeneration(), found)
	})
}
