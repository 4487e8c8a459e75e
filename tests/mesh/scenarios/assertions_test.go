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

// What the tests with Mooring have in common.

const (
	gatewayGroup = "gateway.networking.k8s.io/v1"
	xGroup       = "gateway.networking.x-k8s.io/v1alpha1"
)

// keys is a key ring as `mooring keygen` makes it; no gateway but those of these tests has it.
const keys = "MOORING_KEYS=be:CGOyftn0sz9UXO8QD_JEIrcFfnBUunMrk4q4xbKAtbo"

// short is nil when there are as many as wanted.
func short(want, have int) error {
	if have < want {
		return fmt.Errorf("%d of %d", have, want)
	}
	return nil
}

// cookieOf is the session cookie of a reply: there must be just that one.
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

// expectPinned fails unless the visitor, who has a session on this pod, reaches no other and gets no new cookie.
func expectPinned(t *testing.T, visitor *traffic.Client, path, pod string, n int, edits ...traffic.RequestOption) {
	t.Helper()
	for i := range n {
		reply := visitor.Get(t, path, edits...)
		if reply.Pod != pod || len(reply.SetCookie) > 0 {
			t.Fatalf("request %d of %d: status %d, pod %q and not %q, Set-Cookie %q",
				i+1, n, reply.Status, reply.Pod, pod, reply.SetCookie)
		}
	}
}

// expectStays is expectPinned for sessions with an idle timeout: these are refreshed by the clock, and get a cookie then.
func expectStays(t *testing.T, visitor *traffic.Client, path, pod string, n int) {
	t.Helper()
	for i := range n {
		if reply := visitor.Get(t, path); reply.Pod != pod {
			t.Fatalf("request %d of %d: status %d, pod %q and not %q", i+1, n, reply.Status, reply.Pod, pod)
		}
	}
}

// expectHarmless fails if `istioctl analyze` finds more than that there is an EnvoyFilter, or the rig's own gateway Service.
func expectHarmless(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	for _, finding := range s.Analyze(t) {
		switch {
		case finding.Code == "IST0133": // any EnvoyFilter
		case finding.Origin == "CustomResourceDefinition tcproutes.gateway.networking.k8s.io": // the release's own
		case finding.Code == "IST0176": // the rig's
		case finding.Code == "IST0145": // Istio Gateways of scenarios that run at the same time
		default:
			t.Errorf("istioctl analyze: %s", finding)
		}
	}
}
