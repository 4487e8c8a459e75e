//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// The walk-through of BackendLBPolicy, step by step: Istio alone does nothing with the policy, Mooring does what it says.
func TestTheWalkThroughOfSessionPersistence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		release, policy, apiVersion, kind, cookie string
	}{
		{rig.GatewayAPI12, "backendlbpolicy", "gateway.networking.k8s.io/v1alpha2", "BackendLBPolicy", "cookieConfig"},
		{rig.GatewayAPI15, "xbackendtrafficpolicy", xGroup, "XBackendTrafficPolicy", "cookieConfig"},
		{rig.GatewayAPI16, "xbackendtrafficpolicy", xGroup, "XBackendTrafficPolicy", "cookieConfig"},
		{rig.GatewayAPI17, "xbackendtrafficpolicy-1.7", xGroup, "XBackendTrafficPolicy", "cookie"},
	} {
		t.Run(c.kind+" of "+c.release, func(t *testing.T) {
			s := rig.Start(t, "sp-demo", rig.Beside(), rig.GatewayAPI(c.release), rig.GatewayEnv(keys))
			gateway := s.Gateway("gateway-sp-demo")
			expectSpread(t, gateway, "without a policy")
			s.ApplyFile("policies/" + c.policy + ".yaml")
			s.AwaitObserved(gatewayGroup, "HTTPRoute", "sp-demo")
			expectSpread(t, gateway, "with a policy and Istio alone")

			s.Deploy()
			visitor := gateway.Client()
			first := visitor.Get("/")
			t.Logf("with Mooring: pod %s, Set-Cookie %q", first.Pod, first.SetCookie)
			if cookie := cookieOf(t, first, "foo-session"); cookie.MaxAge != 3600 {
				t.Errorf("absoluteTimeout 1h: Max-Age %d", cookie.MaxAge)
			}
			expectPinned(t, visitor, "/", first.Pod, 50)
			expectPinned(t, visitor, "/", first.Pod, 5, rig.Method("HEAD"))
			head := gateway.Client().Get("/", rig.Method("HEAD"))
			cookieOf(t, head, "foo-session")
			if head.Pod == "" {
				t.Error("HEAD was not answered by a pod")
			}

			s.Patch(c.apiVersion, c.kind, "lb-policy", `{"spec":{"sessionPersistence":{"absoluteTimeout":"10s"}}}`)
			s.Deploy()
			if cookie := cookieOf(t, gateway.Client().Get("/"), "foo-session"); cookie.MaxAge != 10 {
				t.Errorf("absoluteTimeout 10s: Max-Age %d", cookie.MaxAge)
			}

			s.Patch(c.apiVersion, c.kind, "lb-policy", fmt.Sprintf(
				`{"spec":{"sessionPersistence":{%q:{"lifetimeType":"Session"}}}}`, c.cookie))
			s.Deploy()
			cookie := cookieOf(t, gateway.Client().Get("/"), "foo-session")
			if cookie.MaxAge != 0 || !cookie.Expires.IsZero() {
				t.Errorf("lifetimeType Session: %s", cookie.Raw)
			}
			t.Logf("with lifetimeType Session: %s", cookie.Raw)
			expectHarmless(t, s)
		})
	}
}

// expectSpread fails unless requests reach all three pods and no reply sets a cookie.
func expectSpread(t *testing.T, gateway *rig.Gateway, when string) {
	t.Helper()
	visitor := gateway.Client()
	pods := rig.Tally(spread, func() string {
		reply := visitor.Get("/")
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
