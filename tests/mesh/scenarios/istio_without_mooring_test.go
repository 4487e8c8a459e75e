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

// What Istio itself does with session persistence: nothing, which is why Mooring exists. When one of these fails
// because Istio has learned it, the documentation has to say so.

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
			s := rig.Start(t, "ignored", scenario.WithGatewayAPI(c.release))
			gateway := s.Gateway(t, "front")
			s.ApplyFile(t, "policies/"+c.policy)
			if strings.HasPrefix(c.policy, "xbackendtrafficpolicy") {
				expectUnsupported(t, s)
			}
			s.AwaitObserved(t, "gateway.networking.k8s.io/v1", "HTTPRoute", "desk")
			gateway.Envoy.AwaitRoute(t, "ignored.desk.0", nil)
			visitor := gateway.Client(t)
			pods := traffic.Tally(spread, func() string {
				reply := visitor.Get(t, "/")
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
		s := rig.Start(t, "ignored", scenario.WithGatewayAPI(release))
		// Which of the unknown fields it names is up to the server; in 1.6 there is only idleTimeout.
		err := s.TryApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
		if err == nil || !strings.Contains(err.Error(), "field not declared in schema") {
			t.Errorf("Gateway API %s: %v", release, err)
		}
	}
}
