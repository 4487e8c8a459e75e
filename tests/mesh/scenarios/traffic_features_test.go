//go:build mesh

package scenarios

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Istio's features on routes with sessions: retries, mirroring, destinations outside the mesh.

const istioGroup = "networking.istio.io/v1"

func startTrafficFeatures(t *testing.T) (*scenario.Scenario, *gateway.Gateway, func(testing.TB) *traffic.Client) {
	t.Helper()
	s := rig.Start(t, "ingressgateway", scenario.WithExample("istio-features"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	gateway := s.Gateway(t, "ingressgateway")
	return s, gateway, func(testing.TB) *traffic.Client { return gateway.ClientForHost(t, "web.example") }
}

// sessionOf returns the session cookie of a reply; the rule gives the cookie no name.
func sessionOf(t *testing.T, reply traffic.Reply) *http.Cookie {
	t.Helper()
	name, _, _ := strings.Cut(strings.Join(reply.SetCookie, ", "), "=")
	if !strings.HasPrefix(name, "mooring-") {
		t.Fatalf("status %d, pod %q, Set-Cookie %q", reply.Status, reply.Pod, reply.SetCookie)
	}
	return cookieOf(t, reply, name)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// By default, Istio retries only requests that no pod has begun to process; a 503 of the application reaches the client, and the session
// stays. With the user's own retries, the client sees no error and moves once.
func TestSessionsAndRetriesWhileAPodIsUnavailable(t *testing.T) {
	t.Parallel()
	s, _, newClient := startTrafficFeatures(t)
	client := newClient(t)
	first := client.Get(t, "/")
	sessionOf(t, first)
	s.Pod(t, first.Pod).Respond(status(503))
	for range 5 {
		reply := client.Get(t, "/")
		if reply.Status != 503 || reply.Pod != first.Pod || len(reply.SetCookie) > 0 {
			t.Errorf("Istio's default: status %d, pod %q, Set-Cookie %q", reply.Status, reply.Pod, reply.SetCookie)
		}
	}
	s.Pod(t, first.Pod).Respond(nil)
	expectOnPod(t, client, "/", first.Pod, 10)
	t.Logf("Istio's default retries: five answers 503 from %s, then its session continues", first.Pod)

	first = client.Get(t, "/retried")
	sessionOf(t, first)
	expectOnPod(t, client, "/retried", first.Pod, 10)
	s.Pod(t, first.Pod).Respond(status(503))
	before := len(s.Pod(t, first.Pod).Requests())
	moved := client.Get(t, "/retried")
	sessionOf(t, moved)
	if moved.Status != 200 || moved.Pod == first.Pod || moved.Version != first.Version {
		t.Fatalf("with retries: status %d, pod %q of version %q, was %q of %q",
			moved.Status, moved.Pod, moved.Version, first.Pod, first.Version)
	}
	if tried := len(s.Pod(t, first.Pod).Requests()) - before; tried != 1 {
		t.Errorf("the session's pod was tried %d times", tried)
	}
	s.Pod(t, first.Pod).Respond(nil)
	expectOnPod(t, client, "/retried", moved.Pod, 10)
	t.Logf("retries on 5xx: 503 from %s, 200 from %s, where the session stays", first.Pod, moved.Pod)
}

// Pods drop half of the requests; with retries, the clients see no error.
func TestRetriesHideDroppedRequests(t *testing.T) {
	t.Parallel()
	s, _, newClient := startTrafficFeatures(t)
	var dropped, inARow atomic.Int64
	for _, version := range []string{"v1", "v2"} {
		for i := range 3 {
			pod := s.Pod(t, fmt.Sprintf("web-%s-%d", version, i))
			pod.Respond(func(w http.ResponseWriter, _ *http.Request) {
				// At random, but not more often in a row than Envoy retries.
				if rand.IntN(2) == 0 && inARow.Add(1) <= 3 {
					dropped.Add(1)
					panic(http.ErrAbortHandler) // drops the connection
				}
				inARow.Store(0)
				w.WriteHeader(200)
			})
		}
	}
	const clients, requests = 10, 10
	moves := 0
	for range clients {
		client := newClient(t)
		last := client.Get(t, "/retried")
		for i := range requests {
			reply := client.Get(t, "/retried")
			if reply.Status != 200 {
				t.Fatalf("request %d: status %d", i, reply.Status)
			}
			if reply.Version != last.Version {
				t.Errorf("a retry went from %s to %s", last.Pod, reply.Pod)
			}
			if moved := reply.Pod != last.Pod; moved != (len(reply.SetCookie) == 1) {
				t.Errorf("from %s to %s, Set-Cookie %q", last.Pod, reply.Pod, reply.SetCookie)
			} else if moved {
				moves++
			}
			last = reply
		}
	}
	t.Logf("%d requests, %d requests dropped, no client saw an error; sessions moved %d times, within their version",
		clients*(requests+1), dropped.Load(), moves)
	if dropped.Load() < 30 {
		t.Error("the pods dropped too few requests")
	}
}

// A mirrored request reaches the sniffer without the session, and the sniffer's answer has no effect.
func TestMirroredRequestsCarryNoSession(t *testing.T) {
	t.Parallel()
	s, _, newClient := startTrafficFeatures(t)
	sniffer := s.Pod(t, "sniffer-v1-0")
	sniffer.Respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "mooring-0=of-the-sniffer")
		w.WriteHeader(500)
	})
	client := newClient(t)
	first := client.Get(t, "/mirrored/first")
	sessionOf(t, first)
	expectOnPod(t, client, "/mirrored/again", first.Pod, 20, traffic.WithHeader("Cookie", "theme=dark"))
	wait.Eventually(t, "the sniffer has seen 21 copies", func() error {
		if n := len(sniffer.Requests()); n != 21 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	copies, originals := sniffer.Requests(), s.Pod(t, first.Pod).Requests()
	for _, echo := range append(copies, originals...) {
		for name, values := range echo.Headers {
			if strings.HasPrefix(strings.ToLower(name), "x-mooring-") || strings.Contains(strings.Join(values, ";"), "mooring-") {
				t.Errorf("%s received %s: %q", echo.Pod, name, values)
			}
		}
		if cookie := echo.Headers.Get("Cookie"); echo.Path == "/mirrored/again" && cookie != "theme=dark" {
			t.Errorf("%s received the cookies %q", echo.Pod, cookie)
		}
	}
	t.Logf("21 requests to %s, 21 copies to the sniffer, none with the session", first.Pod)
	expectNoFindings(t, s)
}

// A destination outside the mesh is reachable only with a ServiceEntry; then it can have sessions as a version.
func TestSessionsOnADestinationOutsideTheMesh(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "partner", scenario.WithExample("istio-features"), scenario.WithManifests("ingressgateway"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "ingressgateway")
	partner := []*pods.Pod{s.Pod(t, "partner-0"), s.Pod(t, "partner-1")}
	newClient := func(testing.TB) *traffic.Client { return gateway.ClientForHost(t, "web.example") }
	s.Delete(t, istioGroup, "ServiceEntry", "partner")
	gateway.Envoy.AwaitEndpoints(t, "outbound|80||partner.example")
	gateway.Envoy.AwaitRoute(t, "partner", envoy.Containing("outbound|80||partner.example"))
	expectShares(t, "Istio without a ServiceEntry", statusesOf(t, newClient(t), 200, "/partner"), map[string]int{"200": 50, "503": 50})
	if n := len(partner[0].Requests()) + len(partner[1].Requests()); n > 0 {
		t.Errorf("a host that no registry knows received %d requests", n)
	}

	s.ApplyFile(t, "partner.yaml")
	s.Patch(t, istioGroup, "ServiceEntry", "partner",
		fmt.Sprintf(`{"spec":{"endpoints":[{"address":%q},{"address":%q}]}}`, partner[0].IP, partner[1].IP))
	gateway.Envoy.AwaitCluster(t, "outbound|80||partner.example", "partner.example")
	gateway.Envoy.AwaitEndpoints(t, "outbound|80||partner.example", partner[0].IP, partner[1].IP)
	s.Mooring.Deploy(t)
	wait.Eventually(t, "every worker knows the partner", func() error {
		for range 20 {
			if reply := newClient(t).Get(t, "/partner"); reply.Status != 200 {
				return fmt.Errorf("status %d", reply.Status)
			}
		}
		return nil
	})
	versions := versionsOf(t, newClient(t), sampleSize, "/partner")
	expectShares(t, "half to a host outside", versions, map[string]int{"v1": 50, "partner": 50})
	reached := map[string]int{}
	for range 30 {
		client := newClient(t)
		first := client.Get(t, "/partner")
		cookieOf(t, first, "partner-version")
		reached[first.Version]++
		for range 5 {
			if reply := client.Get(t, "/partner"); reply.Version != first.Version || len(reply.SetCookie) > 0 {
				t.Fatalf("from %s to %s, Set-Cookie %q", first.Version, reply.Version, reply.SetCookie)
			}
		}
	}
	t.Logf("30 clients stayed: %v; the partner's servers received %d and %d requests",
		reached, len(partner[0].Requests()), len(partner[1].Requests()))
	expectNoFindings(t, s)
}

// statusesOf counts the statuses that n new clients get.
func statusesOf(t *testing.T, client *traffic.Client, n int, path string) map[string]int {
	t.Helper()
	return traffic.Tally(n, func() string {
		client.ForgetCookies()
		return fmt.Sprint(client.Get(t, path).Status)
	})
}
