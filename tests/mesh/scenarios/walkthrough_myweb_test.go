//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Traffic management with VirtualServices, called from a client pod in the mesh: the example mesh-myweb.

const (
	mywebHost    = "myweb-service"
	mywebHeader  = "myweb-version"
	mywebCallers = "myweb/app=client"
)

// startMyweb starts the example without its routes and policies, and with a partner's servers outside the mesh.
func startMyweb(t *testing.T) (*scenario.Scenario, scenario.Caller) {
	t.Helper()
	s := rig.Start(t, "partner", scenario.WithExample("mesh-myweb/app.yaml"), scenario.WithNamespace("myweb"), scenario.WithGatewayEnv(keys))
	return s, s.From(t, scenario.FromSidecar("client"))
}

func mywebFile(name string) string { return rig.Env.RepositoryFile("examples/mesh-myweb/" + name) }

func TestWalkThroughCanaryFromAClientPod(t *testing.T) {
	t.Parallel()
	s, client := startMyweb(t)
	anonymous := client.ClientForHost(t, mywebHost)
	expectShares(t, "no rule", versionsOf(t, anonymous, sampleSize, "/"), map[string]int{"v1": 50, "v2": 50})

	s.ApplyFile(t, mywebFile("routes.yaml"))
	weights := func(v1, v2 int) map[string]int { return map[string]int{"|v1|": v1, "|v2|": v2} }
	awaitWeightsIn(t, client.Proxy(), "myweb", weights(90, 10))
	expectShares(t, "Istio alone, 90/10", versionsOf(t, anonymous, sampleSize, "/"), map[string]int{"v1": 90, "v2": 10})

	s.ApplyFile(t, mywebFile("sessions.yaml"))
	s.Mooring.Deploy(t, "--callers", mywebCallers)
	expectShares(t, "without a session, 90/10", versionsOf(t, anonymous, sampleSize, "/"), map[string]int{"v1": 90, "v2": 10})
	tester := traffic.WithHeader("Cookie", "a=b; usertype=tester")
	expectShares(t, "usertype=tester", versionsOf(t, anonymous, 200, "/", tester), map[string]int{"v2": 1})
	settled := settle(t, callers(t, client, mywebHost, mywebHeader), "/", mywebHeader, 40, "v1", "v2")
	settled.expectNoMoves(t, "90/10", "/", 10, toVersion)

	// Weights apply without a new generation.
	s.PatchJSON(t, istioGroup, "VirtualService", mywebHost, `[
		{"op":"replace","path":"/spec/http/0/route/0/weight","value":20},
		{"op":"replace","path":"/spec/http/0/route/1/weight","value":80}]`)
	awaitWeightsIn(t, client.Proxy(), "myweb", weights(20, 80))
	settled.expectNoMoves(t, "20/80", "/", 10, toVersion)
	expectShares(t, "without a session, 20/80", versionsOf(t, anonymous, sampleSize, "/"), map[string]int{"v1": 20, "v2": 80})

	expectCopies(t, s, settled)
	expectHashBesideSessions(t, s, client, settled)
	expectNoFindings(t, s)
}

// expectCopies sends requests with a session and expects a copy of each at the sniffer, without the session.
func expectCopies(t *testing.T, s *scenario.Scenario, settled population) {
	t.Helper()
	sniffer := s.Pod(t, "sniffer-v1-0")
	copies := func() (n int) {
		for _, echo := range sniffer.Requests() {
			if echo.Path != "/copied" {
				continue
			}
			n++
			for name := range echo.Headers {
				if name := strings.ToLower(name); name == mywebHeader || strings.HasPrefix(name, "x-mooring-") {
					t.Errorf("a copy has the header %s", name)
				}
			}
		}
		return n
	}
	settled.expectNoMoves(t, "mirrored", "/copied", 5, toVersion)
	wait.Eventually(t, "the sniffer has a copy of each request", func() error { return atLeast(5*len(settled), copies()) })
	t.Logf("mirrored: %d copies of %d requests, none with the session", copies(), 5*len(settled))
	if n := copies(); n != 5*len(settled) {
		t.Errorf("%d copies of %d requests", n, 5*len(settled))
	}
}

// expectHashBesideSessions balances by the header User: all new sessions of a user reach one pod of each version, and those that are
// live stay with their version.
func expectHashBesideSessions(t *testing.T, s *scenario.Scenario, from scenario.Caller, settled population) {
	t.Helper()
	s.PatchFile(t, istioGroup, "DestinationRule", mywebHost, mywebFile("hash.patch"))
	for _, version := range []string{"v1", "v2"} {
		from.Proxy().AwaitCluster(t, "outbound|80|"+version+"|myweb-service.myweb.svc.cluster.local", "RING_HASH")
	}
	from.Proxy().AwaitRoute(t, "myweb", envoy.Containing(`"hash_policy"`))
	// The session routes are copies of the user's, so they get the hash by a new generation.
	s.Mooring.Deploy(t, "--callers", mywebCallers)
	newClient := callers(t, from, mywebHost, mywebHeader)
	const users, requests = 20, 20
	reached, differ := map[string]bool{}, 0
	for i := range users {
		user := traffic.WithHeader("User", fmt.Sprintf("tomas%d", i))
		pods := map[string]map[string]int{}
		client := newClient(t)
		for range requests {
			client.ForgetCookies()
			for _, kind := range []string{"new sessions", "live sessions"} {
				reply := client.Get(t, "/", user)
				on := kind + " of " + reply.Version
				if pods[on] == nil {
					pods[on] = map[string]int{}
				}
				pods[on][reply.Pod]++
				reached[reply.Pod] = true
			}
		}
		for on, reached := range pods {
			if len(reached) > 1 {
				t.Errorf("user %d, %s: pods %v", i, on, reached)
			}
		}
		// Istio hashes once for each weighted destination, and a session route has a single one.
		for _, version := range []string{"v1", "v2"} {
			if !maps.Equal(pods["new sessions of "+version], pods["live sessions of "+version]) {
				differ++
			}
		}
	}
	t.Logf("hash by User: %d users, %d requests, new and live sessions of each on one pod of each version, in %d of %d cases not on the same; "+
		"%d pods in all", users, 2*users*requests, differ, 2*users, len(reached))
	if len(reached) < 4 {
		t.Errorf("%d users reached only %v", users, reached)
	}
	settled.expectNoMoves(t, "hash by User", "/", 5, toVersion, traffic.WithHeader("User", "tomas"))
}

// A backend that drops half of its requests: with retries, the caller sees no error.
func TestWalkThroughRetriesAndAPartnerFromAClientPod(t *testing.T) {
	t.Parallel()
	s, client := startMyweb(t)
	s.ApplyFile(t, mywebFile("routes.yaml"))
	s.ApplyFile(t, mywebFile("sessions.yaml"))
	addPartner(t, s, client)
	s.Mooring.Deploy(t, "--callers", mywebCallers)

	drops := dropHalf(t, s, "retry-v1-0", "retry-v1-1", "retry-v1-2")
	const path, count, requests = "/?failRate=50", 20, 20
	newClient := callers(t, client, "retry-service", "retry-session")
	moves, failed := 0, 0
	for range count {
		client := newClient(t)
		last := client.Get(t, path)
		for range requests {
			reply := client.Get(t, path)
			if reply.Status != 200 {
				failed++
			} else if reply.Pod != last.Pod {
				moves++
			}
			last = reply
		}
	}
	t.Logf("retry-service?failRate=50: %d callers, %d requests, %d dropped by pods, %d failed for callers, %d moves",
		count, count*(requests+1), drops(), failed, moves)
	if failed > 0 || drops() < count*requests/4 {
		t.Errorf("%d requests failed, %d were dropped", failed, drops())
	}
	settled := settle(t, newClient, "/", "retry-session", 20)
	settled.expectNoMoves(t, "retry-service without failures", "/", 10, toPod)
	partner := settle(t, callers(t, client, partnerHost, "partner-session"), "/", "partner-session", 20)
	partner.expectNoMoves(t, "partner.example", "/", 10, toPod)
	expectNoFindings(t, s)
}

// dropHalf makes pods drop half of the requests with failRate=50. It returns a function that counts them.
func dropHalf(t *testing.T, s *scenario.Scenario, names ...string) func() int {
	t.Helper()
	var mu sync.Mutex
	dropped, inARow := 0, 0
	for _, name := range names {
		s.Pod(t, name).Respond(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			// At random, but not more often in a row than Envoy retries.
			drop := r.URL.Query().Get("failRate") == "50" && rand.IntN(2) == 0 && inARow < 8
			if drop {
				dropped++
				inARow++
			} else {
				inARow = 0
			}
			mu.Unlock()
			if drop {
				panic(http.ErrAbortHandler) // drops the connection
			}
			fmt.Fprintln(w, "retry v1")
		})
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return dropped
	}
}

const partnerHost = "partner.example"

// addPartner makes the partner's servers, which no registry knows, reachable by a ServiceEntry, and gives them a route with sessions.
func addPartner(t *testing.T, s *scenario.Scenario, from scenario.Caller) {
	t.Helper()
	s.ApplyFile(t, mywebFile("outbound.yaml"))
	client := from.ClientForHost(t, partnerHost)
	expectShares(t, "REGISTRY_ONLY, without a ServiceEntry", statusesOf(t, client, 50, "/"), map[string]int{"502": 1})
	s.ApplyFile(t, mywebFile("partner.yaml"))
	first, second := s.Pod(t, "partner-0").IP, s.Pod(t, "partner-1").IP
	s.Patch(t, istioGroup, "ServiceEntry", "partner", fmt.Sprintf(`{"spec":{"endpoints":[{"address":%q},{"address":%q}]}}`, first, second))
	from.Proxy().AwaitEndpoints(t, "outbound|80||partner.example", first, second)
	from.Proxy().AwaitVirtualHost(t, "partner.example:80", func(json.RawMessage) bool { return true })
	expectShares(t, "REGISTRY_ONLY, with a ServiceEntry", statusesOf(t, client, 50, "/"), map[string]int{"200": 1})
}
