package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/wait"
)

var rolloutKind = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}

// ArgoRollouts is a running controller of Argo Rollouts, which works on the Rollouts of its scenario.
type ArgoRollouts struct{ s *Scenario }

// StartArgoRollouts installs the definitions of Argo Rollouts and starts its controller, which ends with the test. The workloads of the
// scenario must run. It skips the test unless MESH_ARGO_ROLLOUTS is set: building the controller takes minutes, so the rig does it on request only.
func (s *Scenario) StartArgoRollouts(t testing.TB) *ArgoRollouts {
	t.Helper()
	if os.Getenv("MESH_ARGO_ROLLOUTS") == "" {
		t.Skip("Argo Rollouts is not built; set MESH_ARGO_ROLLOUTS=1")
	}
	for _, definition := range []string{"rollout", "analysis-run", "analysis-template", "cluster-analysis-template", "experiment"} {
		crds, err := kube.ReadFile(filepath.Join(s.env.CRDs("argo-rollouts"), "manifests/crds", definition+"-crd.yaml"))
		if err == nil {
			err = s.Cluster.CreateCRDs(crds)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.RunProgram(t, "rollouts-controller", "--kubeconfig="+s.Cluster.Kubeconfig, "--namespaced", "--namespace="+s.Namespace, "--leader-elect=false",
		fmt.Sprintf("--healthzPort=%d", s.env.NextPort()), fmt.Sprintf("--metricsPort=%d", s.env.NextPort()))
	return &ArgoRollouts{s: s}
}

// DeleteWhenDone deletes a Rollout at the end of the test, before the pods of its scenario.
func (r *ArgoRollouts) DeleteWhenDone(t testing.TB, name string) {
	t.Cleanup(func() {
		obj, err := r.s.Cluster.Kube.Get(rolloutKind, r.s.Namespace, name)
		if err == nil {
			err = r.s.Cluster.Kube.Delete(obj)
		}
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
}

// RolloutStatus is what Argo Rollouts says about a Rollout.
type RolloutStatus struct {
	Phase string
	Step  int64 // the next one
}

// Await waits until the newest generation of a Rollout has a status.
func (r *ArgoRollouts) Await(t testing.TB, name string, want RolloutStatus) {
	t.Helper()
	wait.Eventually(t, fmt.Sprintf("Rollout %s has %+v", name, want), func() error {
		obj, err := r.s.Cluster.Kube.Get(rolloutKind, r.s.Namespace, name)
		if err != nil {
			return err
		}
		var have RolloutStatus
		have.Phase, _, _ = unstructured.NestedString(obj.Object, "status", "phase")
		have.Step, _, _ = unstructured.NestedInt64(obj.Object, "status", "currentStepIndex")
		observed, _, _ := unstructured.NestedString(obj.Object, "status", "observedGeneration")
		if have != want || observed != fmt.Sprint(obj.GetGeneration()) {
			message, _, _ := unstructured.NestedString(obj.Object, "status", "message")
			return fmt.Errorf("it has %+v, generation %d, observed %s: %s", have, obj.GetGeneration(), observed, message)
		}
		return nil
	})
}

// StableHash returns the rollouts-pod-template-hash of the stable version of a Rollout.
func (r *ArgoRollouts) StableHash(t testing.TB, name string) string {
	t.Helper()
	return r.statusOf(t, name, "stableRS")
}

// NewestHash returns the rollouts-pod-template-hash of the version that a Rollout releases, or has released last.
func (r *ArgoRollouts) NewestHash(t testing.TB, name string) string {
	t.Helper()
	return r.statusOf(t, name, "currentPodHash")
}

func (r *ArgoRollouts) statusOf(t testing.TB, name, field string) string {
	t.Helper()
	obj, err := r.s.Cluster.Kube.Get(rolloutKind, r.s.Namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := unstructured.NestedString(obj.Object, "status", field)
	return text
}

// Release gives the pods of a Rollout another image, as a pipeline does.
func (r *ArgoRollouts) Release(t testing.TB, name, version string) {
	t.Helper()
	r.patch(t, name, "", fmt.Sprintf(
		`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"registry.example.com/web:%s","ports":[{"name":"http","containerPort":8080}]}]}}}}`, version))
}

// Promote ends the pause of a Rollout, as `kubectl argo rollouts promote` does.
func (r *ArgoRollouts) Promote(t testing.TB, name string) {
	t.Helper()
	r.patch(t, name, "status", `{"status":{"pauseConditions":null}}`)
}

// Abort is `kubectl argo rollouts abort`.
func (r *ArgoRollouts) Abort(t testing.TB, name string) {
	t.Helper()
	r.patch(t, name, "status", `{"status":{"abort":true}}`)
}

func (r *ArgoRollouts) patch(t testing.TB, name, subresource, body string) {
	t.Helper()
	patch := kube.Patch{Kind: rolloutKind, Namespace: r.s.Namespace, Name: name, Type: types.MergePatchType, Body: body, Subresource: subresource}
	if _, err := r.s.Cluster.Kube.Patch(patch); err != nil {
		t.Fatal(err)
	}
}
