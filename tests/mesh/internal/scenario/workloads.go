package scenario

import (
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/kubelet"
)

// RunWorkloads runs Kubernetes' own controllers of Deployments, ReplicaSets and EndpointSlices in the scenario's namespace from now on, and
// plays the kubelet for their pods: for tools that change Deployments or ReplicaSets themselves, such as Flagger. They leave alone
// what the scenario has applied before, such as gateways. TryApplyFile applies a workload for them; Apply would make it one of the rig's own.
// Everything in the namespace is deleted when the test ends.
func (s *Scenario) RunWorkloads(t testing.TB) *kubelet.Kubelet {
	t.Helper()
	t.Cleanup(func() { s.deleteUnknown(t) })
	k := kubelet.Start(t, s.env, s.Cluster, s.Namespace, s.manager.Unused)
	s.RunProgram(t, "workload-controllers", "-kubeconfig", s.Cluster.Kubeconfig, "-namespace", s.Namespace,
		"-except", strings.Join(s.manager.Names(s.Namespace), ","))
	return k
}

// RunProgram runs a program of the rig until the test ends. One that has ended by itself fails the test.
func (s *Scenario) RunProgram(t testing.TB, name string, args ...string) {
	t.Helper()
	p, err := s.env.Processes.Start(s.dir, name, append([]string{s.env.Program(name)}, args...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Exited(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Tail())
		}
		p.Kill()
	})
}

// madeByTools are the kinds that tools of progressive delivery and the controllers of workloads write: what others own comes last.
var madeByTools = []schema.GroupVersionResource{
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"},
	{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"},
	{Version: "v1", Resource: "services"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
}

// deleteUnknown deletes what the scenario has not applied.
func (s *Scenario) deleteUnknown(t testing.TB) {
	for _, resource := range madeByTools {
		objects, err := s.Cluster.Kube.List(resource)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, obj := range objects {
			known := slices.ContainsFunc(s.applied, func(o *kube.Object) bool { return o.GetUID() == obj.GetUID() })
			if known || obj.GetNamespace() != s.Namespace {
				continue
			}
			if err := s.Cluster.Kube.Delete(obj); err != nil && !apierrors.IsNotFound(err) {
				t.Errorf("clean-up: %s: %v", kube.Describe(obj), err)
			}
		}
	}
}
