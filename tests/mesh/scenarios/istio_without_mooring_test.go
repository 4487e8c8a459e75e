//go:build mesh

package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Istio itself does not implement session persistence, which is why Mooring exists. When one of these tests fails because Istio does,
// the documentation must change.

func TestIstioIgnoresSessionPersistence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		release, policy string
	}{
		{cluster.GatewayAPI12, "backendlbpolicy.yaml"},
		{cluster.GatewayAPI15, "xbackendtrafficpolicy.yaml"},
		{cluster.GatewayAPI15, "inline.yaml"},
		{cluster.GatewayAPI16, "xbackendtrafficpolicy-1.6.yaml"},
		{cluster.GatewayAPI17, "xbackendtrafficpolicy-1.7.yaml"},
	} {
		t.Run(c.release+"/"+c.policy, func(t *testing.T) {
			s := rig.Start(t, "istio-alone", scenario.WithGatewayAPI(c.release))
			gateway := s.Gateway(t, "front")
			s.ApplyFile(t, "policies/"+c.policy)
			if strings.HasPrefix(c.policy, "xbackendtrafficpolicy") {
				expectUnsupported(t, s)
			}
			s.AwaitObserved(t, "gateway.networking.k8s.io/v1", "HTTPRoute", "desk")
			gateway.Envoy.AwaitRoute(t, "istio-alone.desk.0", nil)
			client := gateway.Client(t)
			pods := traffic.Tally(spread, func() string {
				reply := client.Get(t, "/")
				if len(reply.SetCookie) > 0 {
					t.Errorf("Set-Cookie: %q", reply.SetCookie)
				}
				return reply.Pod
			})
			if len(pods) != 3 {
				t.Errorf("not all pods take part: %v", pods)
			}
		})
	}
}

func expectUnsupported(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	const message = "does not support the following fields: sessionPersistence"
	wait.Eventually(t, "Istio reports on the policy", func() error {
		var seen []string
		for _, c := range s.Conditions(t, xGroup, "XBackendTrafficPolicy", "desk") {
			if c.Type == "Accepted" && c.Status == "True" && strings.Contains(c.Message, message) {
				return nil
			}
			seen = append(seen, c.String())
		}
		return fmt.Errorf("conditions: %q", seen)
	})
}

func TestNewerReleasesRejectOlderPolicies(t *testing.T) {
	t.Parallel()
	for _, release := range []string{cluster.GatewayAPI16, cluster.GatewayAPI17} {
		s := rig.Start(t, "istio-alone", scenario.WithGatewayAPI(release))
		// The server may name any of the unknown fields; in 1.6 that is only idleTimeout.
		err := s.TryApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
		if err == nil || !strings.Contains(err.Error(), "field not declared in schema") {
			t.Errorf("Gateway API %s: %v", release, err)
		}
	}
}
