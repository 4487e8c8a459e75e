//go:build mesh

package scenarios

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// The conformance tests that GEP-1619 plans. As in the tests that were proposed for Gateway API, the first Set-Cookie counts, the cookie
// goes back verbatim over plain HTTP, and each request has its own connection. docs/conformance.md has the results.

const requests = 200

// A protocolClient sends a request to a kind of route, each on a new connection, with headers: name, value, name, value…
type protocolClient struct {
	name string
	send func(headers ...string) (traffic.Reply, error)
}

func TestGEP1619OnHTTPRoutes(t *testing.T) {
	t.Parallel()
	gateway := startGEP1619(t, "http")
	runGEP1619(t, protocolClient{name: "http", send: func(headers ...string) (traffic.Reply, error) {
		client := gateway.Client(t)
		defer client.Close()
		return client.Try("/", func(r *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				r.Header.Add(headers[i], headers[i+1])
			}
		})
	}})
}

func TestGEP1619OnGRPCRoutes(t *testing.T) {
	t.Parallel()
	gateway := startGEP1619(t, "grpc")
	runGEP1619(t, protocolClient{name: "grpc", send: gateway.CallGRPC})
}

func startGEP1619(t *testing.T, kind string) *gateway.Gateway {
	s := rig.Start(t, "conformance-"+kind, scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	return s.Gateway(t, "front")
}

func runGEP1619(t *testing.T, protocol protocolClient) {
	for _, c := range []struct {
		name string
		test func(*testing.T, protocolClient)
	}{
		{"a cookie keeps the pod", aCookieKeepsThePod},
		{"lifetimeType Session", lifetimeSession},
		{"weights 70 to 30", weighted},
		{"two backends without weights", twoBackends},
		{"two rules to one Service", twoRules},
		{"two rules to one Service with a policy", twoRulesOfAPolicy},
		{"lifetimeType Permanent", lifetimePermanent},
		{"until the session expires", untilItExpires},
		{"a header keeps the pod", aHeaderKeepsThePod},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, protocol) })
	}
}

func (protocol protocolClient) to(t *testing.T, rule string, headers ...string) traffic.Reply {
	t.Helper()
	reply, err := protocol.send(append([]string{"rule", rule}, headers...)...)
	if err != nil || reply.Status != 200 {
		t.Fatalf("rule %s: status %d, %v", rule, reply.Status, err)
	}
	return reply
}

// begin starts a session and returns its cookie, as a client sends it, and the reply.
func (protocol protocolClient) begin(t *testing.T, rule string) (string, traffic.Reply) {
	t.Helper()
	reply := protocol.to(t, rule)
	if len(reply.SetCookie) == 0 {
		t.Fatalf("rule %s: no Set-Cookie", rule)
	}
	cookie, _, _ := strings.Cut(reply.SetCookie[0], ";")
	if name, value, _ := strings.Cut(cookie, "="); name == "" || value == "" {
		t.Fatalf("Set-Cookie: %q", reply.SetCookie)
	}
	return cookie, reply
}

// keeps sends n requests with these headers, which must all reach one pod.
func (protocol protocolClient) keeps(t *testing.T, rule, pod string, n int, headers ...string) {
	t.Helper()
	for i := range n {
		if reply := protocol.to(t, rule, headers...); reply.Pod != pod {
			t.Fatalf("rule %s: request %d of %d reached %s, not %s", rule, i+1, n, reply.Pod, pod)
		}
	}
	t.Logf("%d of %d requests to rule %s reached %s", n, n, rule, pod)
}

func aCookieKeepsThePod(t *testing.T, protocol protocolClient) {
	cookie, first := protocol.begin(t, "simple")
	protocol.keeps(t, "simple", first.Pod, requests, "cookie", cookie)
}

func lifetimeSession(t *testing.T, protocol protocolClient) {
	_, first := protocol.begin(t, "simple")
	cookie, err := http.ParseSetCookie(first.SetCookie[0])
	if err != nil || cookie.MaxAge != 0 || cookie.RawExpires != "" {
		t.Errorf("%q: %v", first.SetCookie, err)
	}
}

func weighted(t *testing.T, protocol protocolClient) {
	sessions := map[string]traffic.Reply{}
	counts := traffic.Tally(requests, func() string {
		cookie, first := protocol.begin(t, "weighted")
		sessions[cookie] = first
		return first.Version
	})
	expectShares(t, "without a cookie", counts, map[string]int{"v1": 70, "v2": 30})
	for cookie, first := range sessions {
		if again := protocol.to(t, "weighted", "cookie", cookie); again.Pod != first.Pod {
			t.Fatalf("a session of %s reached %s", first.Pod, again.Pod)
		}
	}
	t.Logf("%d of %d requests with a cookie reached their pod", len(sessions), requests)
}

func twoBackends(t *testing.T, protocol protocolClient) {
	cookie, first := protocol.begin(t, "equal")
	protocol.keeps(t, "equal", first.Pod, requests, "cookie", cookie)
}

func twoRules(t *testing.T, protocol protocolClient) { independent(t, protocol, "a", "b") }

func twoRulesOfAPolicy(t *testing.T, protocol protocolClient) { independent(t, protocol, "c", "d") }

// independent starts sessions of two rules on different pods, and sends both cookies to both rules.
func independent(t *testing.T, protocol protocolClient, one, two string) {
	cookie, first := protocol.begin(t, one)
	for range 100 {
		other, second := protocol.begin(t, two)
		if second.Pod == first.Pod {
			continue
		}
		for range requests / 2 {
			for rule, pod := range map[string]string{one: first.Pod, two: second.Pod} {
				if got := protocol.to(t, rule, "cookie", cookie+"; "+other); got.Pod != pod {
					t.Fatalf("rule %s reached %s, not %s", rule, got.Pod, pod)
				}
			}
		}
		t.Logf("%d of %d requests: rule %s on %s, rule %s on %s", requests, requests, one, first.Pod, two, second.Pod)
		return
	}
	t.Fatal("two rules never used different pods: their sessions are shared")
}

func lifetimePermanent(t *testing.T, protocol protocolClient) {
	began := time.Now()
	cookie, first := protocol.begin(t, "five-minutes")
	parsed, err := http.ParseSetCookie(first.SetCookie[0])
	if err != nil || parsed.MaxAge != 300 && parsed.Expires.Sub(began).Round(time.Second) != 5*time.Minute {
		t.Errorf("%q: %v", first.SetCookie, err)
	}
	protocol.keeps(t, "five-minutes", first.Pod, requests, "cookie", cookie)
}

// untilItExpires keeps sending a cookie that a browser would have deleted: the gateway itself ends the session.
func untilItExpires(t *testing.T, protocol protocolClient) {
	before := time.Now()
	cookie, first := protocol.begin(t, "three-seconds")
	after := time.Now()
	kept := 0
	wait.Eventually(t, "the session ends", func() error {
		sent := time.Now()
		reply := protocol.to(t, "three-seconds", "cookie", cookie)
		// Tokens count whole seconds, so the first of them may be short.
		if len(reply.SetCookie) > 0 {
			if age := time.Since(before); age < 2*time.Second {
				t.Errorf("a session of 3s had ended after %s", age)
			}
			return nil
		}
		if age := sent.Sub(after); age > 4*time.Second {
			t.Errorf("a session of 3s still lives after %s", age)
			return nil
		}
		kept++
		if reply.Pod != first.Pod {
			t.Fatalf("a live session of %s reached %s", first.Pod, reply.Pod)
		}
		return fmt.Errorf("%d requests were of the old session", kept)
	})
	t.Logf("%d requests reached the pod, then, after %s, there was a new session", kept, time.Since(before).Round(10*time.Millisecond))
}

func aHeaderKeepsThePod(t *testing.T, protocol protocolClient) {
	name := "x-" + protocol.name + "-session"
	first := protocol.to(t, "header")
	session := first.Header.Get(name)
	if session == "" || len(first.SetCookie) > 0 {
		t.Fatalf("header %q, Set-Cookie %q", session, first.SetCookie)
	}
	protocol.keeps(t, "header", first.Pod, requests, name, session)
}
