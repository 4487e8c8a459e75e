//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Session persistence by the policy of each Gateway API release: Istio alone ignores the policy, Mooring implements it.
func TestSessionPersistenceOfEachPolicyVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		release, policy, apiVersion, kind, cookie string
	}{
		{cluster.GatewayAPI12, "backendlbpolicy", "gateway.networking.k8s.io/v1alpha2", "BackendLBPolicy", "cookieConfig"},
		{cluster.GatewayAPI15, "xbackendtrafficpolicy", xGroup, "XBackendTrafficPolicy", "cookieConfig"},
		{cluster.GatewayAPI16, "xbackendtrafficpolicy", xGroup, "XBackendTrafficPolicy", "cookieConfig"},
		{cluster.GatewayAPI17, "xbackendtrafficpolicy-1.7", xGroup, "XBackendTrafficPolicy", "cookie"},
	} {
		t.Run(c.kind+" of "+c.release, func(t *testing.T) {
			s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayAPI(c.release), scenario.WithGatewayEnv(keys))
			gateway := s.Gateway(t, "gateway-sp-demo")
			expectSpread(t, gateway, "without a policy")
			s.ApplyFile(t, "policies/"+c.policy+".yaml")
			s.AwaitObserved(t, gatewayGroup, "HTTPRoute", "sp-demo")
			expectSpread(t, gateway, "with a policy and Istio alone")

			s.Mooring.Deploy(t)
			client := gateway.Client(t)
			first := client.Get(t, "/")
			t.Logf("with Mooring: pod %s, Set-Cookie %q", first.Pod, first.SetCookie)
			if cookie := cookieOf(t, first, "foo-session"); cookie.MaxAge != 3600 {
				t.Errorf("absoluteTimeout 1h: Max-Age %d", cookie.MaxAge)
			}
			expectOnPod(t, client, "/", first.Pod, 50)
			expectOnPod(t, client, "/", first.Pod, 5, traffic.WithMethod("HEAD"))
			head := gateway.Client(t).Get(t, "/", traffic.WithMethod("HEAD"))
			cookieOf(t, head, "foo-session")
			if head.Pod == "" {
				t.Error("HEAD was not answered by a pod")
			}

			s.Patch(t, c.apiVersion, c.kind, "lb-policy", `{"spec":{"sessionPersistence":{"absoluteTimeout":"10s"}}}`)
			s.Mooring.Deploy(t)
			if cookie := cookieOf(t, gateway.Client(t).Get(t, "/"), "foo-session"); cookie.MaxAge != 10 {
				t.Errorf("absoluteTimeout 10s: Max-Age %d", cookie.MaxAge)
			}

			s.Patch(t, c.apiVersion, c.kind, "lb-policy", fmt.Sprintf(
				`{"spec":{"sessionPersistence":{%q:{"lifetimeType":"Session"}}}}`, c.cookie))
			s.Mooring.Deploy(t)
			cookie := cookieOf(t, gateway.Client(t).Get(t, "/"), "foo-session")
			if cookie.MaxAge != 0 || !cookie.Expires.IsZero() {
				t.Errorf("lifetimeType Session: %s", cookie.Raw)
			}
			t.Logf("with lifetimeType Session: %s", cookie.Raw)
			expectNoFindings(t, s)
		})
	}
}

// expectSpread fails unless requests reach all three pods and no reply sets a cookie.
func expectSpread(t *testing.T, gateway *gateway.Gateway, when string) {
	t.Helper()
	client := gateway.Client(t)
	pods := traffic.Tally(spread, func() string {
		reply := client.Get(t, "/")
		if len(reply.SetCookie) > 0 {
			t.Errorf("%s: Set-Cookie %q", when, reply.SetCookie)
		}
		return reply.Pod
	})
	if len(pods) != 3 || pods[""] > 0 {
		t.Errorf("%s: %v", when, pods)
	}
	t.Logf("%s: no Set-Cookie, pods %v", when, pods)
}
