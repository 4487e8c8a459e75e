//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Istio's own agent starts the stock Envoy from Istio's own bootstrap, and passes on what istiod sends.

// agentSocket is where Envoy gets its configuration from the agent.
const agentSocket = "./etc/istio/proxy/XDS"

func TestSessionsThroughIstiosAgentInAGateway(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys),
		scenario.WithIstioAgent())
	shift(t, s, "checkout", 50, 50)
	s.Mooring.Deploy(t)
	caller := s.From(t, scenario.FromGateway("shop"))
	expectAgent(t, caller)
	expectSessions(t, "/checkout/", func(t testing.TB) *traffic.Client { return caller.ClientForHost(t, "shop.example") })
}

func TestSessionsThroughIstiosAgentInASidecar(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route", scenario.WithIstioAgent())
	s.Mooring.Deploy(t, "--callers", s.Namespace+"/app=productpage")
	caller := s.From(t, scenario.FromSidecar("productpage"))
	expectAgent(t, caller)
	expectSessions(t, "/", func(t testing.TB) *traffic.Client { return caller.ClientForHost(t, "reviews:9080") })
}

// expectAgent fails unless Envoy gets its configuration from the agent.
func expectAgent(t *testing.T, caller scenario.Caller) {
	t.Helper()
	if !strings.Contains(caller.Proxy().ConfigDump(t), agentSocket) {
		t.Errorf("Envoy does not know the agent's socket %s", agentSocket)
	}
}

// expectSessions starts 40 clients. Each must stay on the pod that its first request reaches, and two versions must take part.
func expectSessions(t *testing.T, path string, newClient func(testing.TB) *traffic.Client) map[*traffic.Client]string {
	t.Helper()
	clients, pods, versions := map[*traffic.Client]string{}, map[string]int{}, map[string]bool{}
	for range 40 {
		client := newClient(t)
		first := client.Get(t, path)
		if first.Status != 200 || len(first.SetCookie) != 1 {
			t.Fatalf("status %d, Set-Cookie %q", first.Status, first.SetCookie)
		}
		expectNoInternalHeaders(t, first)
		clients[client] = first.Pod
		pods[first.Pod]++
		versions[first.Version] = true
	}
	if len(versions) != 2 {
		t.Errorf("40 clients reached only %v", versions)
	}
	expectStayed(t, path, clients)
	t.Logf("40 clients: %v", pods)
	return clients
}

// expectStayed sends nine requests of each client, all of which must reach the pod of its session.
func expectStayed(t *testing.T, path string, clients map[*traffic.Client]string) {
	t.Helper()
	for client, pod := range clients {
		expectOnPod(t, client, path, pod, 9)
	}
}
