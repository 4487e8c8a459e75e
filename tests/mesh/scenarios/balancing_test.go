//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// New sessions follow the user's own load balancing; live sessions keep their pod.

func webCluster(s *scenario.Scenario, version string) string {
	return "outbound|8080|" + version + "|web." + s.Namespace + ".svc.cluster.local"
}

func balance(t *testing.T, s *scenario.Scenario, loadBalancer, cluster string) {
	t.Helper()
	s.Patch(t, istioGroup, "DestinationRule", "web", `{"spec":{"trafficPolicy":{"loadBalancer":`+loadBalancer+`}}}`)
	for _, version := range []string{"v1", "v2"} {
		s.Gateway(t, "ingressgateway").Envoy.AwaitCluster(t, webCluster(s, version), cluster)
	}
}

func TestSessionsOnEachLoadBalancer(t *testing.T) {
	t.Parallel()
	s, _, newClient := startTrafficFeatures(t)
	clients := map[*traffic.Client]traffic.Reply{}
	for _, c := range []struct{ istio, envoy string }{
		{"RANDOM", `"RANDOM"`}, {"LEAST_REQUEST", `"LEAST_REQUEST"`},
		// Envoy's default, which its dump omits; the test waits until the previous one is gone.
		{"ROUND_ROBIN", ""},
	} {
		balance(t, s, fmt.Sprintf(`{"simple":%q}`, c.istio), c.envoy)
		if c.envoy == "" {
			s.Gateway(t, "ingressgateway").Envoy.AwaitClusterWithout(t, webCluster(s, "v1"), "LEAST_REQUEST")
			s.Gateway(t, "ingressgateway").Envoy.AwaitClusterWithout(t, webCluster(s, "v2"), "LEAST_REQUEST")
		}
		for client, first := range clients {
			expectOnPod(t, client, "/", first.Pod, 3)
		}
		for range 10 {
			client := newClient(t)
			first := client.Get(t, "/")
			sessionOf(t, first)
			expectOnPod(t, client, "/", first.Pod, 10)
			clients[client] = first
		}
		fresh := newClient(t)
		pods := traffic.Tally(sampleSize, func() string {
			fresh.ForgetCookies()
			return fresh.Get(t, "/").Pod
		})
		weights := map[string]int{}
		for i := range 3 {
			weights[fmt.Sprintf("web-v1-%d", i)], weights[fmt.Sprintf("web-v2-%d", i)] = 1, 1
		}
		expectShares(t, c.istio, pods, weights)
	}
	t.Logf("%d sessions stayed on their pods through all of it", len(clients))
}

// Session routes have a single cluster; the hash policy of the route must stay on them.
func TestSessionsAndAConsistentHash(t *testing.T) {
	t.Parallel()
	s, gateway, newClient := startTrafficFeatures(t)
	settled := newClient(t)
	first := settled.Get(t, "/")
	balance(t, s, `{"simple":null,"consistentHash":{"httpHeaderName":"User"}}`, "RING_HASH")
	gateway.Envoy.AwaitRoute(t, "web", envoy.Containing(`"hash_policy"`))

	// Each new session of one user gets a version by weight, and one pod of this version by hash.
	podsOf := func(user string) map[string]map[string]int {
		client := newClient(t)
		pods := map[string]map[string]int{"v1": {}, "v2": {}}
		for range 30 {
			client.ForgetCookies()
			reply := client.Get(t, "/", traffic.WithHeader("User", user))
			pods[reply.Version][reply.Pod]++
		}
		return pods
	}
	reached := map[string]bool{}
	for i := range 24 {
		user := fmt.Sprintf("tomas%d", i)
		for version, pods := range podsOf(user) {
			if len(pods) != 1 {
				t.Errorf("30 new sessions of %s: pods %v of %s", user, pods, version)
			}
			for pod := range pods {
				reached[pod] = true
			}
		}
	}
	// By chance, 24 users miss two of six pods once in 20 million times.
	if len(reached) < 5 {
		t.Errorf("24 users reached no more than %v", reached)
	}
	t.Logf("30 new sessions of each of 24 users: one pod of each version for each, %d pods in all", len(reached))

	fresh := newClient(t)
	pods := traffic.Tally(200, func() string {
		fresh.ForgetCookies()
		return fresh.Get(t, "/").Pod
	})
	if len(pods) != 6 {
		t.Errorf("without the header, not any pod but %v", pods)
	}
	for i := range 12 {
		expectOnPod(t, settled, "/", first.Pod, 3, traffic.WithHeader("User", fmt.Sprintf("tomas%d", i)))
	}
	t.Logf("an earlier session stays on %s for every user", first.Pod)
	expectNoFindings(t, s)
}

// A version and a pod that are hashed by the same header keep a user on one pod without a session.
func TestVersionAndPodByTheSameHeader(t *testing.T) {
	t.Parallel()
	_, _, newClient := startTrafficFeatures(t)
	versions := map[string]int{}
	for i := range 60 {
		client := newClient(t)
		user := traffic.WithHeader("User", fmt.Sprintf("tomas%d", i))
		first := client.Get(t, "/accounts", user)
		versions[first.Version]++
		expectOnPod(t, client, "/accounts", first.Pod, 5, user)
	}
	t.Log("hashOn and consistentHash by the same header: 60 users, 360 requests, each user on one pod")
	expectShares(t, "users", versions, map[string]int{"v1": 50, "v2": 50})
}
