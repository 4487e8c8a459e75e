//go:build mesh

package scenarios

import (
	"maps"
	"slices"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// A gateway in front of two pods of another one, with sessions in one tier, in both, and in both with one name. docs/tenancy.md describes
// the results.
func TestTiersOfGateways(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "switch", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.AddGateway(t, "web")
	s.ApplyFile(t, "tiers/edge.yaml")
	s.ApplyFile(t, "policies/session.yaml")
	edge, inner := s.Gateway(t, "edge"), s.Gateways(t, "web")
	edgeSession := func(name string) {
		s.Patch(t, gatewayGroup, "HTTPRoute", "edge", `{"spec":{"rules":[{"name":"edge","backendRefs":[{"name":"inner","port":80}],
			"sessionPersistence":{"sessionName":"`+name+`"}}]}}`)
		s.Mooring.Deploy(t)
	}

	// The inner gateways share the keys, so it does not matter which of them the edge selects.
	s.Mooring.Deploy(t)
	load := startLoad(t, edge.Client, "/")
	expectNothingLost(t, "sessions of the inner gateways", load.During(t, "sessions of the inner gateways", 500, func() {}))
	for _, n := range requestsOf(t, inner) {
		if n < 50 {
			t.Errorf("an inner gateway has had %d requests", n)
		}
	}
	t.Log(load.Stop())

	// Both tiers keep sessions: the client has two cookies, and stays with one inner gateway and one pod.
	edgeSession("edge-session")
	reached := map[int]bool{}
	for range 20 {
		client := edge.Client(t)
		first := client.Get(t, "/")
		if names := slices.Sorted(maps.Keys(client.Cookies("/"))); !slices.Equal(names, []string{"edge-session", "shop-session"}) {
			t.Fatalf("cookies %v, Set-Cookie %q", names, first.SetCookie)
		}
		before := requestsOf(t, inner)
		expectOnPod(t, client, "/", first.Pod, 10)
		after := requestsOf(t, inner)
		counts := []int{after[0] - before[0], after[1] - before[1]}
		if slices.Max(counts) != 10 || slices.Min(counts) != 0 {
			t.Fatalf("ten requests of a session reached the inner gateways %v times", counts)
		}
		reached[slices.Index(counts, 10)] = true
		if cookie := client.Get(t, "/").Received.Headers.Get("Cookie"); cookie != "" {
			t.Errorf("the pod received Cookie %q", cookie)
		}
	}
	if len(reached) != 2 {
		t.Errorf("20 sessions are all on one inner gateway")
	}
	expectNoFindings(t, s)

	// With one name, the edge removes the cookie of the inner gateway, whose sessions begin again with each request.
	edgeSession("shop-session")
	client := edge.Client(t)
	client.Get(t, "/")
	pods := traffic.Tally(40, func() string {
		reply := client.Get(t, "/")
		if len(reply.SetCookie) == 0 {
			t.Fatalf("a session survives: %v", client.Cookies("/"))
		}
		return reply.Pod
	})
	t.Logf("one name in both tiers: one client, 40 requests, pods %v", pods)
	if len(pods) == 1 {
		t.Errorf("the client stays on %v", pods)
	}
}

// requestsOf returns how many requests the listeners of each gateway have had.
func requestsOf(t *testing.T, gateways []*gateway.Gateway) []int {
	t.Helper()
	totals := make([]int, len(gateways))
	for i, g := range gateways {
		values, err := g.Envoy.Stats(`^http\.outbound_.*\.downstream_rq_total$`)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range values {
			totals[i] += n
		}
	}
	return totals
}
