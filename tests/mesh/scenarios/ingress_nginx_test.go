//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// The Ingresses are objects of the real API server, from which `mooring migrate --from-cluster` reads them. The API server accepts what
// it prints, with the definitions of Gateway API, Istio and Mooring, and istiod serves it.
func TestMigrateIngressesOfACluster(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "ingress-nginx", scenario.WithGatewayEnv(keys))
	routes := s.Mooring.Run(t, "migrate", "--from-cluster", "--namespace", s.Namespace, "--gateway", s.Namespace+"/front")
	s.Apply(t, routes)
	s.Mooring.Deploy(t)
	gateway := s.From(t, scenario.FromGateway("front"))

	client := gateway.ClientForHost(t, "shop.example")
	first := client.Get(t, "/")
	if cookie := cookieOf(t, first, "route"); cookie.MaxAge != 172800 || cookie.Path != "/" {
		t.Fatalf("the cookie is %v", cookie)
	}
	expectOnPod(t, client, "/", first.Pod, 10)
	// In ingress-nginx, the session precedes the header; and a client of the canary stays there.
	expectOnPod(t, client, "/", first.Pod, 5, traffic.WithHeader("x-canary", "always"))
	tester := gateway.ClientForHost(t, "shop.example")
	forced := tester.Get(t, "/", traffic.WithHeader("x-canary", "always"))
	if forced.Pod != "shop-canary-0" && forced.Pod != "shop-canary-1" {
		t.Fatalf("x-canary: always leads to %s", forced.Pod)
	}
	expectOnPod(t, tester, "/", forced.Pod, 10)

	// upstream-hash-by: $request_uri
	s.Gateway(t, "front").Envoy.AwaitCluster(t, "outbound|80||hashed."+s.Namespace+".svc.cluster.local", "RING_HASH")
	reached := map[string]bool{}
	for i := range 16 {
		path := fmt.Sprintf("/page?id=%d", i)
		pods := traffic.Tally(6, func() string { return gateway.ClientForHost(t, "hashed.example").Get(t, path).Pod })
		if len(pods) != 1 {
			t.Errorf("%s is served by %v", path, pods)
		}
		for pod := range pods {
			reached[pod] = true
		}
	}
	if len(reached) < 2 {
		t.Errorf("all URIs are served by %v", reached)
	}
}

// The DestinationRule stays, so a client without a session follows the hash of its old cookie to the pod that it had.
func TestMigrateConsistentHashOfACluster(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "consistent-hash", scenario.WithGatewayEnv(keys))
	s.Gateway(t, "front").Envoy.AwaitCluster(t, "outbound|80||cart."+s.Namespace+".svc.cluster.local", "RING_HASH")
	gateway := s.From(t, scenario.FromGateway("front"))
	pods := map[*traffic.Client]string{}
	for range 20 {
		client := gateway.ClientForHost(t, "cart.example")
		first := client.Get(t, "/")
		cookieOf(t, first, "user")
		pods[client] = first.Pod
	}

	s.Apply(t, s.Mooring.Run(t, "migrate", "--from-cluster", "--namespace", s.Namespace))
	s.Mooring.Deploy(t)
	for client, pod := range pods {
		reply := client.Get(t, "/")
		if reply.Pod != pod {
			t.Errorf("a client of %s came to %s", pod, reply.Pod)
		}
		if cookie := cookieOf(t, reply, "user-mooring"); cookie.MaxAge != 3600 {
			t.Errorf("the cookie is %v", cookie)
		}
	}
	s.Pods.Scale(t, "cart", 12)
	for client, pod := range pods {
		expectOnPod(t, client, "/", pod, 3)
	}
}
