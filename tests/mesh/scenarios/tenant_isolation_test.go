//go:build mesh

package scenarios

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Attacks of one tenant of a shared gateway on another.

// tries is the number of requests of an attack.
const tries = 40

func startTenants(t *testing.T) (*scenario.Scenario, *gateway.Gateway) {
	t.Helper()
	s := rig.Start(t, "tenants", scenario.WithGatewayEnv(keys))
	return s, s.Gateway(t, "edge")
}

// answered counts the answers by the Deployment of the pod, or by the status if Envoy itself answers.
func answered(t *testing.T, client *traffic.Client, n int, path string, opts ...traffic.RequestOption) map[string]int {
	t.Helper()
	return traffic.Tally(n, func() string {
		reply := client.Get(t, path, opts...)
		if reply.Pod == "" {
			return fmt.Sprintf("status %d", reply.Status)
		}
		return strings.TrimSuffix(reply.Pod, "-0")
	})
}

// expectOnly fails unless all answers have the same origin.
func expectOnly(t *testing.T, what, want string, counts map[string]int) {
	t.Helper()
	t.Logf("%s: %v", what, counts)
	if counts[want] != tries || len(counts) != 1 {
		t.Errorf("%s: %v, expected only %s", what, counts, want)
	}
}

// awaitRouteOn waits until a virtual host has a route of this name.
func awaitRouteOn(t *testing.T, gateway *gateway.Gateway, host, name string) {
	t.Helper()
	gateway.Envoy.AwaitRoute(t, name, func(r envoy.Route) bool { return strings.HasPrefix(r.VirtualHost, host+":") })
}

// A rule with the name of another tenant's rule gets none of its requests, whether `mooring generate` has read it, has not read it yet, or
// never reads it.
func TestRuleOfTheSameNameTakesNoRequests(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.Mooring.Deploy(t)
	session := gateway.ClientForHost(t, "shop.example")
	first := session.Get(t, "/main")
	token := cookieOf(t, first, "shop-main")
	plain := gateway.ClientForHost(t, "shop.example")
	second := plain.Get(t, "/plain")
	cookieOf(t, second, "shop-plain")

	s.ApplyFile(t, "attacks/names.yaml")
	awaitRouteOn(t, gateway, "taker.example", "main")
	awaitRouteOn(t, gateway, "taker.example", "tenants-shop.plain.0")
	attack := func(when string) {
		t.Helper()
		fresh := func(testing.TB) *traffic.Client { return gateway.ClientForHost(t, "taker.example") }
		expectOnly(t, when+", the name of a rule", "other-v1", answered(t, fresh(t), tries, "/main"))
		expectOnly(t, when+", the name that istiod gives", "other-v1", answered(t, fresh(t), tries, "/plain"))
		expectOnly(t, when+", with a token of the other's", "other-v1",
			answered(t, fresh(t), tries, "/main", traffic.WithHeader("Cookie", "shop-main="+token.Value)))
		expectOnly(t, when+", with a key of the other's", "other-v1",
			answered(t, fresh(t), tries, "/main", traffic.WithHeader("x-mooring-backend", keyOf("shop", "main", "shop-v1"))))
		expectOnPod(t, session, "/main", first.Pod, tries)
		expectOnPod(t, plain, "/plain", second.Pod, tries)
	}
	attack("before Mooring sees it")
	s.Mooring.Deploy(t)
	attack("when Mooring has seen it")
	// As with a repository for each team.
	s.Mooring.Deploy(t, "--file", s.Mooring.Manifests(t, "tenants", "tenants-shop"))
	attack("where Mooring never sees it")
	expectNoFindings(t, s)
}

// keyOf returns the key of a backend of the shop.
func keyOf(route, rule, service string) string {
	return fmt.Sprintf("HTTPRoute/tenants-shop/%s/%s/%s.tenants-shop:80", route, rule, service)
}

// The rule of the attacker exists first.
func TestRuleOfTheSameNameTakesNoRequestsOfALaterRule(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile(t, "attacks/squatter.yaml")
	s.Mooring.Deploy(t)
	squatter := gateway.ClientForHost(t, "squatter.example")
	token := cookieOf(t, squatter.Get(t, "/"), "squatter")
	s.ApplyFile(t, "attacks/login.yaml")
	awaitRouteOn(t, gateway, "login.example", "login")
	for _, when := range []string{"before the next generate", "after it"} {
		newClient := gateway.ClientForHost(t, "login.example")
		expectOnly(t, when, "shop-v1", answered(t, newClient, tries, "/"))
		expectOnly(t, when+", with a token of the other's", "shop-v1",
			answered(t, newClient, tries, "/", traffic.WithHeader("Cookie", "squatter="+token.Value)))
		s.Mooring.Deploy(t)
	}
}

// After Istio revokes a ReferenceGrant, no session reaches the backend, without another `mooring generate`. The next run omits that rule and
// no other.
func TestRevokedReferenceGrantAppliesAtOnce(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile(t, "attacks/grant.yaml")
	s.ApplyFile(t, "attacks/guest.yaml")
	s.Mooring.Deploy(t)
	guest, shopper := gateway.ClientForHost(t, "guest.example"), gateway.ClientForHost(t, "shop.example")
	first := guest.Get(t, "/")
	cookieOf(t, first, "guest")
	expectOnPod(t, guest, "/", first.Pod, tries)
	own := shopper.Get(t, "/main")
	cookieOf(t, own, "shop-main")

	s.Delete(t, grantGroup, "ReferenceGrant", "tenants-shop/shop")
	// Envoy gets all rules of the route by the same push.
	wait.Eventually(t, "a rule of Istio's alone leads nowhere", func() error {
		for range tries {
			if reply := gateway.ClientForHost(t, "guest.example").Get(t, "/alone"); reply.Status != 500 {
				return fmt.Errorf("status %d, pod %q", reply.Status, reply.Pod)
			}
		}
		return nil
	})
	expectOnly(t, "a live session without the grant", "status 500", answered(t, guest, tries, "/"))
	expectOnly(t, "new clients without the grant", "status 500", answered(t, gateway.ClientForHost(t, "guest.example"), tries, "/"))
	expectOnPod(t, shopper, "/main", own.Pod, tries)

	messages := s.Mooring.DeployWithExitCode(t, leftOut)
	if !strings.Contains(messages, "HTTPRoute") || !strings.Contains(messages, "guest") {
		t.Errorf("the omitted object is not named: %s", messages)
	}
	expectOnly(t, "a session of before, generated again", "status 500", answered(t, guest, tries, "/"))
	expectOnPod(t, shopper, "/main", own.Pod, tries)
	expectNoFindings(t, s)
}

// An invalid object of one tenant is reported and omitted; the other tenants get their sessions.
func TestInvalidObjectOfOneTenantDoesNotAffectOthers(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile(t, "attacks/wrong.yaml")
	messages := s.Mooring.DeployWithExitCode(t, leftOut)
	if !strings.Contains(messages, "nowhere") {
		t.Error("the invalid object is not named")
	}
	for _, path := range []string{"/main", "/plain"} {
		shopper := gateway.ClientForHost(t, "shop.example")
		first := shopper.Get(t, path)
		cookieOf(t, first, "shop-"+strings.TrimPrefix(path, "/"))
		expectOnPod(t, shopper, path, first.Pod, tries)
	}
}

// Two tenants share a host name, on which Envoy cannot distinguish rules of the same name. A later rule does not take over the sessions, and
// neither rule gets requests of the other.
func TestRuleOfTheSameNameOnASharedHost(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.Mooring.Deploy(t)
	session := gateway.ClientForHost(t, "shop.example")
	first := session.Get(t, "/main")
	cookieOf(t, first, "shop-main")
	s.ApplyFile(t, "attacks/neighbour.yaml")
	gateway.Envoy.AwaitRoute(t, "main", envoy.Containing(`"/neighbour"`))
	expect := func(when string) {
		t.Helper()
		expectOnPod(t, session, "/main", first.Pod, tries)
		for path, want := range map[string]string{"/main": "shop-", "/neighbour": "other-"} {
			counts := traffic.Tally(tries, func() string { return gateway.ClientForHost(t, "shop.example").Get(t, path).Pod })
			for pod := range counts {
				if !strings.HasPrefix(pod, want) {
					t.Errorf("%s: %s is answered by %v", when, path, counts)
				}
			}
			t.Logf("%s: %s is answered by %v", when, path, counts)
		}
	}
	expect("before Mooring sees it")
	s.Mooring.DeployWithExitCode(t, leftOut)
	expect("when Mooring has seen it")
}

const grantGroup = "gateway.networking.k8s.io/v1beta1"

// leftOut is the exit code of `mooring generate` if it has omitted objects.
const leftOut = 3

// A policy on a Service of another namespace, which is a backend of weight 0, has no effect on the rule.
func TestPolicyOfAnotherNamespaceAtWeightZeroHasNoEffect(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile(t, "attacks/grant.yaml")
	s.ApplyFile(t, "attacks/foreign.yaml")
	s.Mooring.Deploy(t)
	awaitRouteOn(t, gateway, "app.example", "app")
	s.Pod(t, "other-v1-0").Respond(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("JSESSIONID"); err != nil {
			w.Header().Set("Set-Cookie", "JSESSIONID=of-the-app; Path=/")
		}
	})
	client := gateway.ClientForHost(t, "app.example")
	if first := client.Get(t, "/"); fmt.Sprint(first.SetCookie) != "[JSESSIONID=of-the-app; Path=/]" {
		t.Errorf("the app's cookie arrives as %q", first.SetCookie)
	}
	for range tries {
		if reply := client.Get(t, "/"); reply.Pod != "other-v1-0" || len(reply.SetCookie) > 0 {
			t.Fatalf("status %d, pod %q, Set-Cookie %q", reply.Status, reply.Pod, reply.SetCookie)
		}
	}
	lost := 0
	for _, request := range s.Pod(t, "other-v1-0").Requests()[1:] {
		if request.Headers.Get("Cookie") != "JSESSIONID=of-the-app" {
			lost++
		}
	}
	t.Logf("%d of %d requests came to the app without its cookie", lost, tries)
	if lost > 0 {
		t.Errorf("%d of %d requests came to the app without its cookie", lost, tries)
	}
}
