package scenario

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/wait"
)

var deploymentKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}

var canaryKind = schema.GroupVersionKind{Group: "flagger.app", Version: "v1beta1", Kind: "Canary"}

// A Flagger is a running Flagger, which works on the Canaries of its scenario. It advances a Canary in intervals of at least ten seconds, and
// at once when the interval changes. The test does the latter, so it neither waits nor depends on time.
type Flagger struct {
	s     *Scenario
	turns int
}

// InstallFlagger installs Flagger's definitions.
func (s *Scenario) InstallFlagger(t testing.TB) {
	t.Helper()
	crds, err := kube.ReadFile(filepath.Join(s.env.CRDs("flagger"), "artifacts/flagger/crd.yaml"))
	if err == nil {
		err = s.Cluster.CreateCRDs(crds)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// StartFlagger starts Flagger, whose definitions must be installed. It ends with the test.
func (s *Scenario) StartFlagger(t testing.TB) *Flagger {
	t.Helper()
	// No metrics server answers on that port, which Flagger only logs.
	s.RunProgram(t, "flagger", "-kubeconfig="+s.Cluster.Kubeconfig, "-namespace="+s.Namespace, "-control-loop-interval=1s",
		"-log-level=info", "-metrics-server=http://127.0.0.1:9", fmt.Sprintf("-port=%d", s.env.NextPort()))
	return &Flagger{s: s}
}

// CanaryStatus is what Flagger says about a Canary.
type CanaryStatus struct {
	Phase  string
	Weight int64
	Failed int64 // checks
}

// Status reads the status of a Canary.
func (f *Flagger) Status(name string) (CanaryStatus, error) {
	obj, err := f.s.Cluster.Kube.Get(canaryKind, f.s.Namespace, name)
	if err != nil {
		return CanaryStatus{}, err
	}
	var status CanaryStatus
	status.Phase, _, _ = unstructured.NestedString(obj.Object, "status", "phase")
	status.Weight, _, _ = unstructured.NestedInt64(obj.Object, "status", "canaryWeight")
	status.Failed, _, _ = unstructured.NestedInt64(obj.Object, "status", "failedChecks")
	return status, nil
}

// Await waits until Flagger reports a status.
func (f *Flagger) Await(t testing.TB, name string, want CanaryStatus) {
	t.Helper()
	wait.Eventually(t, fmt.Sprintf("Canary %s has %+v", name, want), func() error {
		have, err := f.Status(name)
		if err == nil && have != want {
			err = fmt.Errorf("it has %+v", have)
		}
		return err
	})
}

// AwaitInitialized waits until Flagger has made what a Canary needs. It makes Flagger try again: one attempt creates the route, and fails.
func (f *Flagger) AwaitInitialized(t testing.TB, name string) {
	t.Helper()
	var last time.Time
	wait.Eventually(t, "Canary "+name+" is initialized", func() error {
		have, err := f.Status(name)
		if err != nil || have.Phase == "Initialized" {
			return err
		}
		if time.Since(last) > 2*time.Second {
			f.turn(t, name)
			last = time.Now()
		}
		return fmt.Errorf("it has %+v", have)
	})
}

// Advance makes Flagger take the next step of a Canary, whose Deployments must be complete, and waits for the status.
func (f *Flagger) Advance(t testing.TB, name string, want CanaryStatus) {
	t.Helper()
	f.turn(t, name)
	f.Await(t, name, want)
}

// AdvanceWhenReady returns a function that makes Flagger take the next step of a Canary whenever its Deployments are complete, at most once
// within a pause. It is for a test that waits for what Flagger does by other means.
func (f *Flagger) AdvanceWhenReady(t testing.TB, name string, pause time.Duration) func() {
	var last time.Time
	return func() {
		if time.Since(last) < pause || f.s.incomplete(name) != nil {
			return
		}
		f.turn(t, name)
		last = time.Now()
	}
}

// turn makes Flagger work on a Canary now.
func (f *Flagger) turn(t testing.TB, name string) {
	t.Helper()
	f.turns++
	_, err := f.s.Cluster.Kube.Patch(kube.Patch{
		Kind: canaryKind, Namespace: f.s.Namespace, Name: name, Type: types.MergePatchType,
		Body: fmt.Sprintf(`{"spec":{"analysis":{"interval":"%dm"}}}`, 1000+f.turns%2),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// AwaitComplete waits until a Deployment has only ready pods of its newest template, and those that they replace have ended: no proxy
// uses them any more. `kubectl rollout status` does not wait for the latter.
func (s *Scenario) AwaitComplete(t testing.TB, deployment string) {
	t.Helper()
	wait.Eventually(t, "Deployment "+deployment+" is complete", func() error {
		if err := s.incomplete(deployment); err != nil {
			return err
		}
		return s.terminating(deployment)
	})
}

// incomplete returns an error while a Deployment has other pods than ready ones of its newest template. Those that end do not count.
func (s *Scenario) incomplete(deployment string) error {
	obj, err := s.Cluster.Kube.Get(deploymentKind, s.Namespace, deployment)
	if err != nil {
		return err
	}
	number := func(fields ...string) int64 {
		n, _, _ := unstructured.NestedInt64(obj.Object, fields...)
		return n
	}
	want := number("spec", "replicas")
	updated, all, available := number("status", "updatedReplicas"), number("status", "replicas"), number("status", "availableReplicas")
	if number("status", "observedGeneration") < obj.GetGeneration() || updated != want || all != want || available != want {
		return fmt.Errorf("generation %d, observed %d; of %d pods, %d are updated and %d available; there are %d",
			obj.GetGeneration(), number("status", "observedGeneration"), want, updated, available, all)
	}
	return nil
}

// terminating returns an error while pods of a Deployment end.
func (s *Scenario) terminating(deployment string) error {
	obj, err := s.Cluster.Kube.Get(deploymentKind, s.Namespace, deployment)
	if err != nil {
		return err
	}
	selector, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector", "matchLabels")
	pods, err := s.Cluster.Kube.List(schema.GroupVersionResource{Version: "v1", Resource: "pods"})
	if err != nil {
		return err
	}
	for _, pod := range pods {
		selected := pod.GetNamespace() == s.Namespace && labels.SelectorFromSet(selector).Matches(labels.Set(pod.GetLabels()))
		if selected && pod.GetDeletionTimestamp() != nil {
			return fmt.Errorf("pod %s has not ended yet", pod.GetName())
		}
	}
	return nil
}
