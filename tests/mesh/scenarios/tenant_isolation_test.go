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

// What a tenant of a shared gateway can do to another one. Each test is the attack, and counts what it gains.

// tries is how many requests an attack is made with.
const tries = 40

func startTenants(t *testing.T) (*scenario.Scenario, *gateway.Gateway) {
	t.Helper()
	s := rig.Start(t, "tenants", scenario.WithGatewayEnv(keys))
	return s, s.Gateway(t, "edge")
}

// answered counts who answers a visitor: the Deployment of the pod, or the status if Envoy itself does.
func answered(t *testing.T, visitor *traffic.Client, n int, path string, edits ...traffic.RequestOption) map[string]int {
	return traffic.Tally(n, func() string {
		reply := visitor.Get(t, path, edits...)
		if reply.Pod == "" {
			return fmt.Sprintf("status %d", reply.Status)
		}
		return strings.TrimSuffix(reply.Pod, "-0")
	})
}

// expectOnly fails unless all answers come from one place.
func expectOnly(t *testing.T, what, want string, counts map[string]int) {
	t.Helper()
	t.Logf("%s: %v", what, counts)
	if counts[want] != tries || len(counts) != 1 {
		t.Errorf("%s: %v, expected only %s", what, counts, want)
	}
}

// awaitRouteOn waits until a virtual host has a route of this name.
func awaitRouteOn(t *testing.T, gateway *gateway.Gateway, host, name string) {
	gateway.Envoy.AwaitRoute(t, name, func(r envoy.Route) bool { return strings.HasPrefix(r.VirtualHost, host+":") })
}

// A tenant's rule that is called like another tenant's gets nothing of it, whether Mooring has seen it, has not seen it yet, or never
// will.
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
		stranger := func(testing.TB) *traffic.Client { return gateway.ClientForHost(t, "taker.example") }
		expectOnly(t, when+", the name of a rule", "other-v1", answered(t, stranger(t), tries, "/main"))
		expectOnly(t, when+", the name that istiod gives", "other-v1", answered(t, stranger(t), tries, "/plain"))
		expectOnly(t, when+", with a token of the other's", "other-v1",
			answered(t, stranger(t), tries, "/main", traffic.WithHeader("Cookie", "shop-main="+token.Value)))
		expectOnly(t, when+", with a key of the other's", "other-v1",
			answered(t, stranger(t), tries, "/main", traffic.WithHeader("x-mooring-backend", keyOf("shop", "main", "shop-v1"))))
		expectPinned(t, session, "/main", first.Pod, tries)
		expectPinned(t, plain, "/plain", second.Pod, tries)
	}
	attack("before Mooring sees it")
	s.Mooring.Deploy(t)
	attack("when Mooring has seen it")
	// What a repository for each team makes of it.
	s.Mooring.Deploy(t, "--file", s.Mooring.Manifests(t, "tenants", "tenants-shop"))
	attack("where Mooring never sees it")
	expectHarmless(t, s)
}

// keyOf is the key of a backend of the shop's.
func keyOf(route, rule, service string) string {
	return fmt.Sprintf("HTTPRoute/tenants-shop/%s/%s/%s.tenants-shop:80", route, rule, service)
}

// The other way round: the name was there before.
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

// What Istio no longer grants, no session reaches, although nobody has generated since. The next run leaves out that rule, and
// nothing else.
func TestRevokedReferenceGrantAppliesAtOnce(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile(t, "attacks/grant.yaml")
	s.ApplyFile(t, "attacks/guest.yaml")
	s.Mooring.Deploy(t)
	guest, shopper := gateway.ClientForHost(t, "guest.example"), gateway.ClientForHost(t, "shop.example")
	first := guest.Get(t, "/")
	cookieOf(t, first, "guest")
	expectPinned(t, guest, "/", first.Pod, tries)
	own := shopper.Get(t, "/main")
	cookieOf(t, own, "shop-main")

	s.Delete(t, grantGroup, "ReferenceGrant", "tenants-shop/shop")
	// All rules of the route come to Envoy by the same push.
	wait.Eventually(t, "a rule of Istio's alone leads nowhere", func() error {
		for range tries {
			if reply := gateway.ClientForHost(t, "guest.example").Get(t, "/alone"); reply.Status != 500 {
				return fmt.Errorf("status %d, pod %q", reply.Status, reply.Pod)
			}
		}
		return nil
	})
	expectOnly(t, "a live session without the grant", "status 500", answered(t, guest, tries, "/"))
	expectOnly(t, "newcomers without the grant", "status 500", answered(t, gateway.ClientForHost(t, "guest.example"), tries, "/"))
	expectPinned(t, shopper, "/main", own.Pod, tries)

	told := s.Mooring.DeployWithExitCode(t, leftOut)
	if !strings.Contains(told, "HTTPRoute") || !strings.Contains(told, "guest") {
		t.Errorf("what is left out is not named: %s", told)
	}
	expectOnly(t, "a session of before, generated again", "status 500", answered(t, guest, tries, "/"))
	expectPinned(t, shopper, "/main", own.Pod, tries)
	expectHarmless(t, s)
}

// A wrong object of one tenant is left out and told of; the others get what they have asked for.
func TestInvalidObjectOfOneTenantDoesNotAffectOthers(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile(t, "attacks/wrong.yaml")
	told := s.Mooring.DeployWithExitCode(t, leftOut)
	if !strings.Contains(told, "nowhere") {
		t.Error("what is wrong is not named")
	}
	for _, path := range []string{"/main", "/plain"} {
		shopper := gateway.ClientForHost(t, "shop.example")
		first := shopper.Get(t, path)
		cookieOf(t, first, "shop-"+strings.TrimPrefix(path, "/"))
		expectPinned(t, shopper, path, first.Pod, tries)
	}
}

// On a host name that they share, Envoy could not tell rules of one name apart. Whose sessions these are, a latecomer does not change, and
// neither gets the other's requests.
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
		expectPinned(t, session, "/main", first.Pod, tries)
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

// leftOut is the exit code of `mooring generate` if it has generated, but not for all.
const leftOut = 3

// A policy on a Service of another namespace, to which a rule sends nothing, does not get the rule.
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
	visitor := gateway.ClientForHost(t, "app.example")
	if first := visitor.Get(t, "/"); fmt.Sprint(first.SetCookie) != "[JSESSIONID=of-the-app; Path=/]" {
		t.Errorf("the app's cookie arrives as %q", first.SetCookie)
	}
	for range tries {
		if reply := visitor.Get(t, "/"); reply.Pod != "other-v1-0" || len(reply.SetCookie) > 0 {
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
