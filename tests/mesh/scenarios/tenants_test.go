//go:build mesh

package scenarios

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// What a tenant of a shared gateway can do to another one. Each test is the attack, and counts what it gains.

// tries is how many requests an attack is made with.
const tries = 40

func startTenants(t *testing.T) (*rig.Scenario, *rig.Gateway) {
	t.Helper()
	s := rig.Start(t, "tenants", rig.GatewayEnv(keys))
	return s, s.Gateway("edge")
}

// answered counts who answers a visitor: the Deployment of the pod, or the status if Envoy itself does.
func answered(visitor *rig.Client, n int, path string, edits ...rig.Edit) map[string]int {
	return rig.Tally(n, func() string {
		reply := visitor.Get(path, edits...)
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
func awaitRouteOn(gateway *rig.Gateway, host, name string) {
	gateway.AwaitRoute(name, func(r rig.Route) bool { return strings.HasPrefix(r.VirtualHost, host+":") })
}

// A tenant's rule that is called like another tenant's gets nothing of it, whether Mooring has seen it, has not seen it yet, or never
// will.
func TestARuleOfTheSameNameTakesNothing(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.Deploy()
	session := visitorAt(gateway, "shop.example")
	first := session.Get("/main")
	token := cookieOf(t, first, "shop-main")
	plain := visitorAt(gateway, "shop.example")
	second := plain.Get("/plain")
	cookieOf(t, second, "shop-plain")

	s.ApplyFile("attacks/names.yaml")
	awaitRouteOn(gateway, "taker.example", "main")
	awaitRouteOn(gateway, "taker.example", "tenants-shop.plain.0")
	attack := func(when string) {
		t.Helper()
		stranger := func() *rig.Client { return visitorAt(gateway, "taker.example") }
		expectOnly(t, when+", the name of a rule", "other-v1", answered(stranger(), tries, "/main"))
		expectOnly(t, when+", the name that istiod gives", "other-v1", answered(stranger(), tries, "/plain"))
		expectOnly(t, when+", with a token of the other's", "other-v1",
			answered(stranger(), tries, "/main", rig.Header("Cookie", "shop-main="+token.Value)))
		expectOnly(t, when+", with a key of the other's", "other-v1",
			answered(stranger(), tries, "/main", rig.Header("x-mooring-backend", keyOf("shop", "main", "shop-v1"))))
		expectPinned(t, session, "/main", first.Pod, tries)
		expectPinned(t, plain, "/plain", second.Pod, tries)
	}
	attack("before Mooring sees it")
	s.Deploy()
	attack("when Mooring has seen it")
	// What a repository for each team makes of it.
	s.Deploy("--file", s.Manifests("tenants", "tenants-shop"))
	attack("where Mooring never sees it")
	expectHarmless(t, s)
}

// keyOf is the key of a backend of the shop's.
func keyOf(route, rule, service string) string {
	return fmt.Sprintf("HTTPRoute/tenants-shop/%s/%s/%s.tenants-shop:80", route, rule, service)
}

// The other way round: the name was there before.
func TestARuleOfTheSameNameGetsNothingOfANewcomer(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile("attacks/squatter.yaml")
	s.Deploy()
	squatter := visitorAt(gateway, "squatter.example")
	token := cookieOf(t, squatter.Get("/"), "squatter")
	s.ApplyFile("attacks/login.yaml")
	awaitRouteOn(gateway, "login.example", "login")
	for _, when := range []string{"before the next generate", "after it"} {
		newcomer := visitorAt(gateway, "login.example")
		expectOnly(t, when, "shop-v1", answered(newcomer, tries, "/"))
		expectOnly(t, when+", with a token of the other's", "shop-v1",
			answered(newcomer, tries, "/", rig.Header("Cookie", "squatter="+token.Value)))
		s.Deploy()
	}
}

// What Istio no longer grants, no session reaches, although nobody has generated since. The next run leaves out that rule, and
// nothing else.
func TestARevokedGrantHoldsAtOnce(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile("attacks/grant.yaml")
	s.ApplyFile("attacks/guest.yaml")
	s.Deploy()
	guest, shopper := visitorAt(gateway, "guest.example"), visitorAt(gateway, "shop.example")
	first := guest.Get("/")
	cookieOf(t, first, "guest")
	expectPinned(t, guest, "/", first.Pod, tries)
	own := shopper.Get("/main")
	cookieOf(t, own, "shop-main")

	s.Delete(grantGroup, "ReferenceGrant", "tenants-shop/shop")
	// All rules of the route come to Envoy by the same push.
	rig.Eventually(t, "a rule of Istio's alone leads nowhere", func() error {
		for range tries {
			if reply := visitorAt(gateway, "guest.example").Get("/alone"); reply.Status != 500 {
				return fmt.Errorf("status %d, pod %q", reply.Status, reply.Pod)
			}
		}
		return nil
	})
	expectOnly(t, "a live session without the grant", "status 500", answered(guest, tries, "/"))
	expectOnly(t, "newcomers without the grant", "status 500", answered(visitorAt(gateway, "guest.example"), tries, "/"))
	expectPinned(t, shopper, "/main", own.Pod, tries)

	told := s.DeployRest(leftOut)
	if !strings.Contains(told, "HTTPRoute") || !strings.Contains(told, "guest") {
		t.Errorf("what is left out is not named: %s", told)
	}
	expectOnly(t, "a session of before, generated again", "status 500", answered(guest, tries, "/"))
	expectPinned(t, shopper, "/main", own.Pod, tries)
	expectHarmless(t, s)
}

// A wrong object of one tenant is left out and told of; the others get what they have asked for.
func TestAWrongObjectOfOneTenantStopsNobodyElse(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile("attacks/wrong.yaml")
	told := s.DeployRest(leftOut)
	if !strings.Contains(told, "nowhere") {
		t.Error("what is wrong is not named")
	}
	for _, path := range []string{"/main", "/plain"} {
		shopper := visitorAt(gateway, "shop.example")
		first := shopper.Get(path)
		cookieOf(t, first, "shop-"+strings.TrimPrefix(path, "/"))
		expectPinned(t, shopper, path, first.Pod, tries)
	}
}

// On a host name that they share, Envoy could not tell rules of one name apart. Whose sessions these are, a latecomer does not change, and
// neither gets the other's requests.
func TestARuleOfTheSameNameOnASharedHost(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.Deploy()
	session := visitorAt(gateway, "shop.example")
	first := session.Get("/main")
	cookieOf(t, first, "shop-main")
	s.ApplyFile("attacks/neighbour.yaml")
	gateway.AwaitRoute("main", rig.Contains(`"/neighbour"`))
	expect := func(when string) {
		t.Helper()
		expectPinned(t, session, "/main", first.Pod, tries)
		for path, want := range map[string]string{"/main": "shop-", "/neighbour": "other-"} {
			counts := rig.Tally(tries, func() string { return visitorAt(gateway, "shop.example").Get(path).Pod })
			for pod := range counts {
				if !strings.HasPrefix(pod, want) {
					t.Errorf("%s: %s is answered by %v", when, path, counts)
				}
			}
			t.Logf("%s: %s is answered by %v", when, path, counts)
		}
	}
	expect("before Mooring sees it")
	s.DeployRest(leftOut)
	expect("when Mooring has seen it")
}

const grantGroup = "gateway.networking.k8s.io/v1beta1"

// leftOut is the exit code of `mooring generate` if it has generated, but not for all.
const leftOut = 3

// A policy on a Service of another namespace, to which a rule sends nothing, does not get the rule.
func TestAForeignPolicyAtWeightZeroTakesNothing(t *testing.T) {
	t.Parallel()
	s, gateway := startTenants(t)
	s.ApplyFile("attacks/grant.yaml")
	s.ApplyFile("attacks/foreign.yaml")
	s.Deploy()
	awaitRouteOn(gateway, "app.example", "app")
	s.Pod("other-v1-0").Respond(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("JSESSIONID"); err != nil {
			w.Header().Set("Set-Cookie", "JSESSIONID=of-the-app; Path=/")
		}
	})
	visitor := visitorAt(gateway, "app.example")
	if first := visitor.Get("/"); fmt.Sprint(first.SetCookie) != "[JSESSIONID=of-the-app; Path=/]" {
		t.Errorf("the app's cookie arrives as %q", first.SetCookie)
	}
	for range tries {
		if reply := visitor.Get("/"); reply.Pod != "other-v1-0" || len(reply.SetCookie) > 0 {
			t.Fatalf("status %d, pod %q, Set-Cookie %q", reply.Status, reply.Pod, reply.SetCookie)
		}
	}
	lost := 0
	for _, request := range s.Pod("other-v1-0").Requests()[1:] {
		if request.Headers.Get("Cookie") != "JSESSIONID=of-the-app" {
			lost++
		}
	}
	t.Logf("%d of %d requests came to the app without its cookie", lost, tries)
	if lost > 0 {
		t.Errorf("%d of %d requests came to the app without its cookie", lost, tries)
	}
}
