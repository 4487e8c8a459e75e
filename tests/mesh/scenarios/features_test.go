package scenarios

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// What Istio does with a route goes on with sessions on it: retries, copies, destinations outside the mesh.

const istioGroup = "networking.istio.io/v1"

func startFeatures(t *testing.T) (*rig.Scenario, *rig.Gateway, func() *rig.Client) {
	t.Helper()
	s := rig.Start(t, "features", rig.Beside(), rig.GatewayEnv(keys))
	s.Deploy()
	gateway := s.Gateway("edge")
	return s, gateway, func() *rig.Client { return visitorAt(gateway, "web.example") }
}

// patchRoute adds a field to the VirtualService's only route and waits until Envoy's route has what that means there.
func patchRoute(s *rig.Scenario, field, envoy string) {
	s.Patch(istioGroup, "VirtualService", "web", `{"spec":{"http":[{"name":"web","route":[
		{"destination":{"host":"web","subset":"v1"},"weight":50},
		{"destination":{"host":"web","subset":"v2"},"weight":50}],`+field+`}]}}`)
	s.Deploy()
	s.Gateway("edge").AwaitRoute("web", rig.Contains(envoy))
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// What Istio retries by default are requests that no pod has begun to work on; a 503 of the application is its answer,
// and the session stays. With retries of the user's own the visitor sees no error and moves once.
func TestAPodThatIsUnavailableForAWhile(t *testing.T) {
	t.Parallel()
	s, _, newcomer := startFeatures(t)
	visitor := newcomer()
	first := visitor.Get("/")
	cookieOf(t, first, "web-session")

	s.Pod(first.Pod).Respond(status(503))
	for range 5 {
		reply := visitor.Get("/")
		if reply.Status != 503 || reply.Pod != first.Pod || len(reply.SetCookie) > 0 {
			t.Errorf("Istio's default: status %d, pod %q, Set-Cookie %q", reply.Status, reply.Pod, reply.SetCookie)
		}
	}
	s.Pod(first.Pod).Respond(nil)
	expectPinned(t, visitor, "/", first.Pod, 10)
	t.Logf("Istio's default retries: five answers 503 from %s, then its session goes on", first.Pod)

	patchRoute(s, `"retries":{"attempts":3,"retryOn":"5xx,reset,connect-failure"}`, `5xx,reset`)
	expectPinned(t, visitor, "/", first.Pod, 10)
	s.Pod(first.Pod).Respond(status(503))
	before := len(s.Pod(first.Pod).Requests())
	moved := visitor.Get("/")
	cookieOf(t, moved, "web-session")
	if moved.Status != 200 || moved.Pod == first.Pod || moved.Version != first.Version {
		t.Fatalf("with retries: status %d, pod %q of version %q, was %q of %q",
			moved.Status, moved.Pod, moved.Version, first.Pod, first.Version)
	}
	if tried := len(s.Pod(first.Pod).Requests()) - before; tried != 1 {
		t.Errorf("the session's pod was tried %d times", tried)
	}
	s.Pod(first.Pod).Respond(nil)
	expectPinned(t, visitor, "/", moved.Pod, 10)
	t.Logf("retries on 5xx: 503 from %s, 200 from %s, where the session stays", first.Pod, moved.Pod)
}

// A backend that drops half of its requests, and retries: the visitors see answers.
func TestRetriesHideAPodThatDropsHalf(t *testing.T) {
	t.Parallel()
	s, _, newcomer := startFeatures(t)
	patchRoute(s, `"retries":{"attempts":40,"retryOn":"reset,connect-failure"}`, `reset,connect-failure`)
	var dropped atomic.Int64
	for _, version := range []string{"v1", "v2"} {
		for i := range 3 {
			pod := s.Pod(fmt.Sprintf("web-%s-%d", version, i))
			pod.Respond(func(w http.ResponseWriter, _ *http.Request) {
				if rand.IntN(2) == 0 {
					dropped.Add(1)
					panic(http.ErrAbortHandler) // drops the connection
				}
				w.WriteHeader(200)
			})
		}
	}
	const visitors, requests = 10, 10
	moves := 0
	for range visitors {
		visitor := newcomer()
		last := visitor.Get("/")
		for i := range requests {
			reply := visitor.Get("/")
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
	t.Logf("%d visits, %d requests dropped, no visitor has noticed; sessions moved %d times, within their version",
		visitors*(requests+1), dropped.Load(), moves)
	if dropped.Load() < 30 {
		t.Error("the pods dropped too few requests")
	}
}

// A copy of the traffic goes to a sniffer, whose answers nobody sees.
func TestMirroringLeavesTheSessionAlone(t *testing.T) {
	t.Parallel()
	s, _, newcomer := startFeatures(t)
	sniffer := s.Pod("sniffer-0")
	sniffer.Respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "web-session=of-the-sniffer")
		w.WriteHeader(500)
	})
	patchRoute(s, `"mirror":{"host":"sniffer"},"mirrorPercentage":{"value":100}`, "request_mirror_policies")
	visitor := newcomer()
	first := visitor.Get("/first")
	cookieOf(t, first, "web-session")
	expectPinned(t, visitor, "/again", first.Pod, 20, rig.Header("Cookie", "theme=dark"))
	rig.Eventually(t, "the sniffer has seen 21 copies", func() error {
		if n := len(sniffer.Requests()); n != 21 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	for _, echo := range append(sniffer.Requests(), s.Pod(first.Pod).Requests()...) {
		for name, values := range echo.Headers {
			if strings.HasPrefix(strings.ToLower(name), "x-mooring-") || strings.Contains(strings.Join(values, ";"), "web-session") {
				t.Errorf("%s received %s: %q", echo.Pod, name, values)
			}
		}
		if cookie := echo.Headers.Get("Cookie"); echo.Path == "/again" && cookie != "theme=dark" {
			t.Errorf("%s received the cookies %q", echo.Pod, cookie)
		}
	}
	t.Logf("21 visits to %s, 21 copies to the sniffer, none with the session", first.Pod)
	expectHarmless(t, s)
}

// A destination outside the mesh: reachable only if the registry knows it, and a version like any other then.
func TestADestinationOutsideTheMesh(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "features", rig.Beside(), rig.GatewayEnv(keys))
	gateway := s.Gateway("edge")
	newcomer := func() *rig.Client { return visitorAt(gateway, "web.example") }
	s.Delete(xGroup, "XBackendTrafficPolicy", "web")
	s.ApplyFile("outside/app.yaml")
	s.ApplyFile("outside/route.yaml")
	gateway.AwaitRoute("web", rig.Contains("partner.example"))
	stranger := newcomer()
	statuses := rig.Tally(40, func() string {
		stranger.Forget()
		return fmt.Sprint(stranger.Get("/").Status)
	})
	t.Logf("Istio without a ServiceEntry: %v", statuses)
	if statuses["200"] == 40 {
		t.Error("a host that no registry knows was reached")
	}
	s.Apply(fmt.Sprintf(serviceEntry, s.Pod("partner-0").IP, s.Pod("partner-1").IP))
	gateway.AwaitCluster("outbound|80||partner.example", "partner.example")
	s.Deploy()
	versions := versionsOf(newcomer(), newcomers, "/")
	expectShares(t, "half to a host outside", versions, map[string]int{"v1": 50, "partner": 50})
	reached := map[string]int{}
	for range 30 {
		visitor := newcomer()
		first := visitor.Get("/")
		cookieOf(t, first, "web-version")
		reached[first.Version]++
		for range 5 {
			if reply := visitor.Get("/"); reply.Version != first.Version || len(reply.SetCookie) > 0 {
				t.Fatalf("from %s to %s, Set-Cookie %q", first.Version, reply.Version, reply.SetCookie)
			}
		}
	}
	t.Logf("30 visitors stayed: %v", reached)
	expectHarmless(t, s)
}

const serviceEntry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: partner
spec:
  hosts: [partner.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8080}
  endpoints:
  - address: %s
  - address: %s
`
