package rig

// Gateway is the Envoy of a Gateway, or of the Deployment of that name; the first if there are several.
func (s *Scenario) Gateway(name string) *Gateway {
	s.t.Helper()
	return s.Gateways(name)[0]
}

// Gateways are all Envoys of a Gateway, or of the Deployment of that name.
func (s *Scenario) Gateways(name string) []*Gateway {
	s.t.Helper()
	var found []*Gateway
	for _, g := range s.gateways {
		if g.owner == name || g.owner == name+"-istio" {
			found = append(found, g)
		}
	}
	if len(found) == 0 {
		s.t.Fatalf("no gateway %s", name)
	}
	return found
}

// AddGateway starts one more Envoy for a Gateway and waits until it serves.
func (s *Scenario) AddGateway(name string) *Gateway {
	s.t.Helper()
	first := s.Gateway(name)
	s.Scale(first.owner, len(s.Gateways(name))+1)
	all := s.Gateways(name)
	added := all[len(all)-1]
	if err := added.awaitServing(); err != nil {
		s.t.Fatal(err)
	}
	return added
}

// Pod is a pod by its name: <deployment>-<n>, counted from 0.
func (s *Scenario) Pod(name string) *Pod {
	s.t.Helper()
	for _, p := range s.pods {
		if p.Name == name {
			return p
		}
	}
	s.t.Fatalf("no pod %s", name)
	return nil
}

// Scale changes the number of a Deployment's pods; when there are fewer, the last ones go at once.
func (s *Scenario) Scale(deployment string, replicas int) {
	s.t.Helper()
	for _, d := range s.deployments {
		if d.Name == deployment {
			n := int32(replicas)
			d.Spec.Replicas = &n
			if err := s.reconcile(); err != nil {
				s.t.Fatal(err)
			}
			return
		}
	}
	s.t.Fatalf("no Deployment %s", deployment)
}

// Drain marks a pod as terminating but still serving, as Kubernetes does with a pod that is being deleted.
func (s *Scenario) Drain(pod string) { s.setState(pod, draining) }

// Unready takes a pod out as a failed readiness probe does.
func (s *Scenario) Unready(pod string) { s.setState(pod, notReady) }

// Ready brings a pod back after Drain or Unready.
func (s *Scenario) Ready(pod string) { s.setState(pod, ready) }

func (s *Scenario) setState(pod string, state podState) {
	s.t.Helper()
	s.Pod(pod).setState(state)
	if err := s.publish(); err != nil {
		s.t.Fatal(err)
	}
}

// Retire takes a pod away as Kubernetes does in the best case: it is drained and its endpoint taken away, and it ends when
// it has answered what it had been asked.
func (s *Scenario) Retire(pod string) {
	s.t.Helper()
	s.Drain(pod)
	s.Unready(pod)
	if err := s.Pod(pod).shutdown(); err != nil {
		s.t.Fatal(err)
	}
	s.Remove(pod)
}

// RetireAll is Retire for all pods of a Deployment at once, and none ends before every gateway has stopped sending it anything, which
// is later where the Service's label lets pods drain. The Deployment then has no replicas.
func (s *Scenario) RetireAll(deployment string) {
	s.t.Helper()
	pods := s.podsOf(s.Namespace, deployment)
	for _, state := range []podState{draining, notReady} {
		for _, p := range pods {
			p.setState(state)
		}
		if err := s.publish(); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, g := range s.gateways {
		Eventually(s.t, "the pods of "+deployment+" get nothing", func() error { return g.sendsNothingTo(pods) })
	}
	for _, p := range pods {
		if err := p.shutdown(); err != nil {
			s.t.Fatal(err)
		}
	}
	s.Scale(deployment, 0)
}

// Remove ends one pod and takes its endpoint away. Its Deployment then counts one replica less.
func (s *Scenario) Remove(pod string) {
	s.t.Helper()
	p := s.Pod(pod)
	if err := s.removePod(p); err != nil {
		s.t.Fatal(err)
	}
	n := int32(len(s.podsOf(p.Namespace, p.owner)))
	s.deployments[p.Namespace+"/"+p.owner].Spec.Replicas = &n
	if err := s.publish(); err != nil {
		s.t.Fatal(err)
	}
}
