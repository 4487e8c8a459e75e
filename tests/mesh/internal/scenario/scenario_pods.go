package scenario

import (
	"testing"

	"mooring.dev/tests/mesh/internal/pods"
)

// Pods changes the pods of a Scenario, and returns when every worker of every proxy knows the change. Pods are named
// <deployment>-<n>, counted from 0.
type Pods struct{ s *Scenario }

// Scale changes the number of a Deployment's pods. Fewer replicas end the last pods at once.
func (p *Pods) Scale(t testing.TB, deployment string, replicas int) {
	t.Helper()
	d := p.s.manager.Deployment(deployment)
	if d == nil {
		t.Fatalf("no Deployment %s", deployment)
	}
	n := int32(replicas)
	d.Spec.Replicas = &n
	if err := p.s.manager.Reconcile(); err != nil {
		t.Fatal(err)
	}
}

// Drain marks a pod as terminating but still serving, as Kubernetes does with a pod that is being deleted.
func (p *Pods) Drain(t testing.TB, pod string) {
	t.Helper()
	p.setState(t, pods.Draining, p.s.Pod(t, pod))
}

// Unready takes a pod out of the endpoints as a failed readiness probe does.
func (p *Pods) Unready(t testing.TB, pod string) {
	t.Helper()
	p.setState(t, pods.NotReady, p.s.Pod(t, pod))
}

// Ready brings a pod back after Drain or Unready.
func (p *Pods) Ready(t testing.TB, pod string) {
	t.Helper()
	p.setState(t, pods.Ready, p.s.Pod(t, pod))
}

func (p *Pods) setState(t testing.TB, state pods.State, changed ...*pods.Pod) {
	t.Helper()
	if err := p.s.manager.SetState(state, changed...); err != nil {
		t.Fatal(err)
	}
}

// Remove ends one pod and takes its endpoint away. Its Deployment then has one replica less.
func (p *Pods) Remove(t testing.TB, pod string) {
	t.Helper()
	if err := p.s.manager.RemovePod(p.s.Pod(t, pod)); err != nil {
		t.Fatal(err)
	}
}

// Retire removes a pod without failing a request: the pod drains, its endpoint goes, and it ends after it has answered the requests in
// flight.
func (p *Pods) Retire(t testing.TB, pod string) {
	t.Helper()
	p.Drain(t, pod)
	p.Unready(t, pod)
	if err := p.s.Pod(t, pod).Shutdown(); err != nil {
		t.Fatal(err)
	}
	p.Remove(t, pod)
}

// RetireAll is Retire for all pods of a Deployment at once. None ends before every proxy has stopped sending requests to all of them,
// which is later if the Service's label lets pods drain. The Deployment then has no replicas.
func (p *Pods) RetireAll(t testing.TB, deployment string) {
	t.Helper()
	retired := p.s.manager.PodsOf(p.s.Namespace, deployment)
	p.setState(t, pods.Draining, retired...)
	p.setState(t, pods.NotReady, retired...)
	if err := p.s.manager.AwaitUnused(retired); err != nil {
		t.Fatal(err)
	}
	for _, pod := range retired {
		if err := pod.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
	p.Scale(t, deployment, 0)
}
