package scenario

import (
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
)

// Adopt makes an object that something else has created, such as kubectl or istiod, one of the scenario's: it starts the pods of a
// Deployment, and deletes the object at the end.
func (s *Scenario) Adopt(t testing.TB, apiVersion, kind, name string) {
	t.Helper()
	obj := s.Get(t, apiVersion, kind, name)
	s.applied = append(s.applied, obj)
	err := s.manager.Record(obj)
	if err == nil {
		err = s.manager.Reconcile()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Rollout replaces the Envoys of a Deployment of gateways if its pod template has changed in the cluster. The new ones get the variables
// that the container has now, and serve by what Mooring has generated when move is called, which moves the traffic.
func (s *Scenario) Rollout(t testing.TB, deployment string, move func(started, outdated []*gateway.Gateway)) {
	t.Helper()
	err := s.manager.Rollout(s.Namespace, deployment, func(started, outdated []*gateway.Gateway) {
		s.Mooring.AwaitDeployed(t)
		move(started, outdated)
		t.Logf("%v replace %v", started, outdated)
	})
	if err != nil {
		t.Fatal(err)
	}
}
