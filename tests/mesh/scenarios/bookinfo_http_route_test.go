//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// reviewsServices adds the Services of the example, for the pods of the scenario bookinfo.
var reviewsServices = scenario.WithExample("bookinfo-gateway-api/app.yaml")

// bookinfo with Gateway API: one rule matches testers by a header, the other splits by weight, and each has sessions.
func TestBookinfoWithSessionsOnEachRule(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "istio-demo", reviewsServices, scenario.WithManifests("bookinfo"), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "bookinfo-gateway")
	vijay := traffic.WithHeader("end-user", "vijay")
	newClient := func(testing.TB) *traffic.Client {
		client := gateway.Client(t)
		client.Host = "bookinfo.example"
		return client
	}
	s.Mooring.Deploy(t)

	tester, reader := newClient(t), newClient(t)
	tested, read := tester.Get(t, "/reviews/1", vijay), reader.Get(t, "/reviews/1")
	cookieOf(t, tested, "reviews-tester")
	cookieOf(t, read, "reviews-session")
	if tested.Version != "v2" || read.Version != "v1" {
		t.Fatalf("vijay reached %s, another user %s", tested.Version, read.Version)
	}
	expectKept := func(when string) {
		t.Helper()
		expectOnPod(t, tester, "/reviews/1", tested.Pod, 10, vijay)
		t.Logf("%s: vijay on %s", when, tested.Pod)
	}
	expectKept("all other users on v1")
	expectOnPod(t, reader, "/reviews/1", read.Pod, 10)

	// One client that uses both rules has two independent sessions.
	both := tester.Get(t, "/reviews/1")
	cookieOf(t, both, "reviews-session")
	expectOnPod(t, tester, "/reviews/1", both.Pod, 10)
	expectKept("after a request of vijay without the header")

	s.ApplyFile(t, "later/half.yaml")
	s.Mooring.Deploy(t)
	awaitWeights(t, gateway, s.Namespace+".reviews.1", map[string]int{"reviews-v1": 50, "reviews-v3": 50})
	expectKept("50/50 over v1 and v3")
	expectOnPod(t, reader, "/reviews/1", read.Pod, 10)
	versions := traffic.Tally(100, func() string {
		client := newClient(t)
		first := client.Get(t, "/reviews/1")
		expectOnPod(t, client, "/reviews/1", first.Pod, 2)
		return first.Version
	})
	expectShares(t, "50/50", versions, map[string]int{"v1": 50, "v3": 50})

	// v1 is no longer a backend of the rule: its sessions move once, and all others stay.
	s.ApplyFile(t, "later/v3.yaml")
	s.Mooring.Deploy(t)
	awaitWeights(t, gateway, s.Namespace+".reviews.1", map[string]int{"reviews-v1": 0, "reviews-v3": 100})
	expectKept("all v3")
	moved := reader.Get(t, "/reviews/1")
	cookieOf(t, moved, "reviews-session")
	if moved.Version != "v3" {
		t.Errorf("with all on v3, a session of v1 went to %s", moved.Version)
	}
	expectOnPod(t, reader, "/reviews/1", moved.Pod, 10)
	versions = traffic.Tally(50, func() string { return newClient(t).Get(t, "/reviews/1").Version })
	if versions["v3"] != 50 {
		t.Errorf("new clients with all on v3: %v", versions)
	}
	expectNoFindings(t, s)
}
