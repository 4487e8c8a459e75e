//go:build mesh

package scenarios

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Assertions and constants that several files share.

const (
	gatewayGroup = "gateway.networking.k8s.io/v1"
	xGroup       = "gateway.networking.x-k8s.io/v1alpha1"
)

// keys is a key ring as `mooring keygen` prints it. Only gateways of these tests have it.
const keys = "MOORING_KEYS=be:CGOyftn0sz9UXO8QD_JEIrcFfnBUunMrk4q4xbKAtbo"

// atLeast returns an error if there are fewer than wanted.
func atLeast(want, have int) error {
	if have < want {
		return fmt.Errorf("%d of %d", have, want)
	}
	return nil
}

// cookieOf returns the cookie of this name, which must be the only one that a reply sets.
func cookieOf(t *testing.T, reply traffic.Reply, name string) *http.Cookie {
	t.Helper()
	if len(reply.SetCookie) != 1 || !strings.HasPrefix(reply.SetCookie[0], name+"=") {
		t.Fatalf("status %d, pod %q, Set-Cookie %q", reply.Status, reply.Pod, reply.SetCookie)
	}
	cookie, err := http.ParseSetCookie(reply.SetCookie[0])
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

// expectOnPod sends n requests of a client that has a session on a pod. Each must reach this pod and set no cookie.
func expectOnPod(t *testing.T, client *traffic.Client, path, pod string, n int, opts ...traffic.RequestOption) {
	t.Helper()
	for i := range n {
		reply := client.Get(t, path, opts...)
		if reply.Pod != pod || len(reply.SetCookie) > 0 {
			t.Fatalf("request %d of %d: status %d, pod %q and not %q, Set-Cookie %q",
				i+1, n, reply.Status, reply.Pod, pod, reply.SetCookie)
		}
	}
}

// expectOnPodRefreshed is expectOnPod for sessions with an idle timeout, which a response may refresh by a cookie.
func expectOnPodRefreshed(t *testing.T, client *traffic.Client, path, pod string, n int) {
	t.Helper()
	for i := range n {
		if reply := client.Get(t, path); reply.Pod != pod {
			t.Fatalf("request %d of %d: status %d, pod %q and not %q", i+1, n, reply.Status, reply.Pod, pod)
		}
	}
}

// expectNoFindings fails if `istioctl analyze` reports anything that Mooring has caused, apart from that an EnvoyFilter exists.
func expectNoFindings(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	for _, finding := range s.Analyze(t) {
		switch {
		case finding.Code == "IST0133": // any EnvoyFilter
		case finding.Origin == "CustomResourceDefinition tcproutes.gateway.networking.k8s.io": // the release's own
		case finding.Code == "IST0176": // the gateway Service of the rig
		case finding.Code == "IST0145": // Istio Gateways of other scenarios
		case finding.Code == "IST0146", finding.Code == "IST0147": // image: auto, without the webhook of an injector
		default:
			t.Errorf("istioctl analyze: %s", finding)
		}
	}
}

// catalogSession is the metadata that holds the session of the catalog, a gRPC service with four pods.
const catalogSession = "catalog-session"

// expectGRPCSessions fails unless each of 40 calls to the catalog begins a session in its metadata, and nine more calls with it stay on
// its pod.
func expectGRPCSessions(t *testing.T, call func(metadata ...string) traffic.Reply) {
	t.Helper()
	sessions, pods := map[string]string{}, map[string]int{}
	for range 40 {
		first := call()
		expectNoInternalHeaders(t, first)
		sessions[first.Header.Get(catalogSession)] = first.Pod
		pods[first.Pod]++
	}
	for token, pod := range sessions {
		for range 9 {
			if again := call(catalogSession, token); again.Pod != pod || again.Header.Get(catalogSession) != "" {
				t.Fatalf("from %s to %s, new session %q", pod, again.Pod, again.Header.Get(catalogSession))
			}
		}
	}
	t.Logf("40 calls: %d sessions on %v", len(sessions), pods)
	if len(sessions) != 40 || len(pods) != 4 {
		t.Errorf("%d sessions of 40 calls, on %v", len(sessions), pods)
	}
}

// installAndRemove deploys and undeploys Mooring this often under load, and stops the load. No request may fail, and with Mooring no
// client may lose its session.
func installAndRemove(t *testing.T, s *scenario.Scenario, load *traffic.Load, times int, flags ...string) traffic.Totals {
	t.Helper()
	for range times {
		s.Mooring.Deploy(t, flags...)
		load.AwaitAllClients(t)
		before := load.Totals()
		load.AwaitAllClients(t)
		expectNothingLost(t, "with Mooring", load.Totals().Since(before))
		s.Mooring.Undeploy(t)
		load.AwaitAllClients(t)
	}
	total := load.Stop()
	t.Logf("applied and removed %d times: %s", times, total)
	if total.Failed > 0 {
		t.Errorf("%d failed: %v", total.Failed, total.Failures)
	}
	return total
}
