package rig

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// Get reads an object, for example Get("v1", "Service", "web"). One of another namespace than the scenario's is named
// <namespace>/<name>, here and below.
func (s *Scenario) Get(apiVersion, kind, name string) *Object {
	s.t.Helper()
	namespace, name := s.locate(name)
	obj, err := s.Cluster.kube.get(schema.FromAPIVersionAndKind(apiVersion, kind), namespace, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return obj
}

// Patch changes an object as `kubectl patch --type merge` does.
func (s *Scenario) Patch(apiVersion, kind, name, jsonMerge string) {
	s.t.Helper()
	namespace, name := s.locate(name)
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	obj, err := s.Cluster.kube.patch(gvk, namespace, name, types.MergePatchType, jsonMerge)
	if err == nil {
		err = s.record(obj)
	}
	if err == nil {
		err = s.reconcile()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// PatchJSON changes an object as `kubectl patch --type json` does: here and there, and nothing else. It is for what concerns no pod.
func (s *Scenario) PatchJSON(apiVersion, kind, name, operations string) {
	s.t.Helper()
	s.PatchJSONAs("", apiVersion, kind, name, operations)
}

// PatchJSONAs is PatchJSON by a field manager, as a controller does it.
func (s *Scenario) PatchJSONAs(manager, apiVersion, kind, name, operations string) {
	s.t.Helper()
	namespace, name := s.locate(name)
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	if _, err := s.Cluster.kube.patchAs(manager, gvk, namespace, name, types.JSONPatchType, operations); err != nil {
		s.t.Fatal(err)
	}
}

// PatchFile is Patch with a file of YAML, named from the scenario's folder.
func (s *Scenario) PatchFile(apiVersion, kind, name, file string) {
	s.t.Helper()
	s.PatchUnseen(apiVersion, kind, name, file)
	if err := s.reconcile(); err != nil {
		s.t.Fatal(err)
	}
}

// PatchUnseen is PatchFile for a change that keeps the gateways from learning all endpoints, so that none is waited for.
func (s *Scenario) PatchUnseen(apiVersion, kind, name, file string) {
	s.t.Helper()
	text, err := os.ReadFile(s.path(file))
	if err != nil {
		s.t.Fatal(err)
	}
	patch, err := yaml.YAMLToJSON(text)
	if err != nil {
		s.t.Fatal(err)
	}
	namespace, name := s.locate(name)
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	if _, err := s.Cluster.kube.patch(gvk, namespace, name, types.MergePatchType, string(patch)); err != nil {
		s.t.Fatal(err)
	}
}

// Delete deletes an object, and with a Deployment its pods.
func (s *Scenario) Delete(apiVersion, kind, name string) {
	s.t.Helper()
	obj := s.Get(apiVersion, kind, name)
	switch key := obj.GetNamespace() + "/" + obj.GetName(); kind {
	case "Deployment":
		s.Scale(obj.GetName(), 0)
		delete(s.deployments, key)
	case "Service":
		if err := s.deleteSlices(obj.GetNamespace(), s.slices[key]); err != nil {
			s.t.Fatal(err)
		}
		delete(s.services, key)
	}
	if err := s.Cluster.kube.delete(obj); err != nil {
		s.t.Fatal(err)
	}
	s.applied = slices.DeleteFunc(s.applied, func(o *Object) bool { return o.GetUID() == obj.GetUID() })
}

func (s *Scenario) locate(name string) (string, string) {
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		return namespace, rest
	}
	return s.Namespace, name
}

// A Condition is one statement of a controller about an object.
type Condition struct {
	Type, Status, Reason, Message string
	// Observed is the generation of the object that the statement is about.
	Observed int64
}

func (c Condition) String() string {
	return fmt.Sprintf("%s=%s (%s) %s", c.Type, c.Status, c.Reason, c.Message)
}

// Conditions are all conditions in the status of an object of the scenario's namespace: its own, and those for each
// parent of a route, each ancestor of a policy and each listener of a Gateway.
func (s *Scenario) Conditions(apiVersion, kind, name string) []Condition {
	s.t.Helper()
	return conditions(s.Get(apiVersion, kind, name).Object)
}

// AwaitObserved waits until istiod has said something about the newest version of an object.
func (s *Scenario) AwaitObserved(apiVersion, kind, name string) {
	s.t.Helper()
	Eventually(s.t, fmt.Sprintf("istiod has seen %s %s", kind, name), func() error {
		obj := s.Get(apiVersion, kind, name)
		found := conditions(obj.Object)
		for _, c := range found {
			if c.Observed == obj.GetGeneration() {
				return nil
			}
		}
		return fmt.Errorf("generation %d, conditions %v", obj.GetGeneration(), found)
	})
}

func conditions(object map[string]any) []Condition {
	status, _, _ := unstructured.NestedMap(object, "status")
	found := conditionsIn(status)
	for _, list := range []string{"parents", "ancestors", "listeners"} {
		entries, _, _ := unstructured.NestedSlice(status, list)
		for _, entry := range entries {
			if entry, ok := entry.(map[string]any); ok {
				found = append(found, conditionsIn(entry)...)
			}
		}
	}
	return found
}

func conditionsIn(holder map[string]any) []Condition {
	list, _, _ := unstructured.NestedSlice(holder, "conditions")
	var found []Condition
	for _, entry := range list {
		entry, _ := entry.(map[string]any)
		text := func(key string) string {
			value, _ := entry[key].(string)
			return value
		}
		observed, _ := entry["observedGeneration"].(int64)
		found = append(found, Condition{
			Type: text("type"), Status: text("status"), Reason: text("reason"), Message: text("message"),
			Observed: observed,
		})
	}
	return found
}
