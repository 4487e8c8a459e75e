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

func TestSessionsThroughIstiosAgentInAWaypoint(t *testing.T) {
	t.Parallel()
	s := startWaypoint(t, "hosts", scenario.WithIstioAgent())
	s.Mooring.Deploy(t)
	expectAgent(t, s.From(t, scenario.FromWaypoint("productpage")))
	expectSessions(t, "/", ambientClients(t, s, "reviews"))
}

// expectAgent fails unless Envoy gets its configuration from the agent.
func expectAgent(t *testing.T, caller scenario.Caller) {
	t.Helper()
	if !strings.Contains(caller.Proxy().ConfigDump(t), agentSocket) {
		t.Errorf("Envoy does not know the agent's socket %s", agentSocket)
	}
}
