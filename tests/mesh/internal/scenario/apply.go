package scenario

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/controllers"
	"mooring.dev/tests/mesh/internal/kube"
)

// Apply applies YAML documents, in the scenario's namespace unless they name another.
func (s *Scenario) Apply(t testing.TB, yaml string) {
	t.Helper()
	objects, err := kube.ReadYAML(strings.NewReader(yaml))
	if err == nil {
		err = s.applyAll(objects)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ApplyFile applies one file, named from the scenario's folder. Start applies only the files directly in the folder, so a file for
// later belongs in a subfolder.
func (s *Scenario) ApplyFile(t testing.TB, file string) {
	t.Helper()
	objects, err := kube.ReadFile(s.path(file))
	if err == nil {
		err = s.applyAll(objects)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TryApplyFile applies a file and returns the error of the API server. It starts no pods or gateways.
func (s *Scenario) TryApplyFile(t testing.TB, file string) error {
	t.Helper()
	objects, err := kube.ReadFile(s.path(file))
	if err != nil {
		t.Fatal(err)
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

func (s *Scenario) applyAll(objects []*kube.Object) error {
	for _, obj := range objects {
		if err := s.defaultNamespace(obj); err != nil {
			return fmt.Errorf("%s: %w", kube.Describe(obj), err)
		}
	}
	slices.SortStableFunc(objects, func(a, b *kube.Object) int { return kube.ApplyOrder(a) - kube.ApplyOrder(b) })
	for _, obj := range objects {
		if err := s.apply(obj); err != nil {
			return fmt.Errorf("%s: %w", kube.Describe(obj), err)
		}
	}
	return s.manager.Reconcile()
}

func (s *Scenario) defaultNamespace(obj *kube.Object) error {
	namespaced, err := s.Cluster.Kube.Namespaced(obj.GroupVersionKind())
	if err == nil && namespaced && obj.GetNamespace() == "" {
		obj.SetNamespace(s.Namespace)
	}
	return err
}

func (s *Scenario) apply(obj *kube.Object) error {
	if err := s.manager.Adapt(obj); err != nil {
		return err
	}
	obj, err := s.applyRaw(obj) // from here on with the server's defaults
	if err != nil {
		return err
	}
	if err := s.manager.Record(obj); err != nil {
		return err
	}
	isGateway := obj.GroupVersionKind().GroupKind() == schema.GroupKind{Group: "gateway.networking.k8s.io", Kind: "Gateway"}
	if !isGateway || s.manager.HasDeployment(obj.GetNamespace()+"/"+controllers.DeploymentOf(obj)) {
		return nil
	}
	more, err := controllers.GatewayObjects(obj)
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

// applyRaw applies an object as it is, and notes it for the clean-up. It returns the object with the server's defaults.
func (s *Scenario) applyRaw(obj *kube.Object) (*kube.Object, error) {
	result, err := s.Cluster.Kube.Apply(obj)
	if err != nil {
		return nil, err
	}
	list := &s.applied
	if result.GetKind() == "Namespace" {
		list = &s.namespaces
	}
	if !slices.ContainsFunc(*list, func(o *kube.Object) bool { return o.GetUID() == result.GetUID() }) {
		*list = append(*list, result)
	}
	return result, nil
}
