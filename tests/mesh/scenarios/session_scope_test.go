//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Whatever leads to a rule leads to its sessions: each Gateway, listener, host name and match.
func TestSessionsByEveryGatewayListenerHostAndMatch(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "names", scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	front, back := s.Gateway(t, "front"), s.Gateway(t, "back")
	for _, c := range []struct {
		gateway    *gateway.Gateway
		port       int
		host, path string
		cookie     string
		pods       string
	}{
		{front, 80, "one.names.example", "/", "session-one", "near-"},
		{front, 80, "uno.names.example", "/", "session-one", "near-"},
		{front, 80, "two.names.example", "/", "session-two", "far-"}, // its rule has the name of the one before
		{front, 8081, "any.example", "/exact", "session-everywhere", ""},
		{front, 8081, "any.example", "/below/it", "session-everywhere", ""},
		{front, 8081, "any.example", "/regular", "session-everywhere", ""},
		{back, 80, "other.example", "/exact", "session-everywhere", ""},
	} {
		t.Run(c.gateway.Name+" "+c.host+c.path, func(t *testing.T) {
			visitor := c.gateway.ClientOnPort(t, c.port)
			visitor.Host = c.host
			first := visitor.Get(t, c.path)
			cookieOf(t, first, c.cookie)
			if !strings.HasPrefix(first.Pod, c.pods) {
				t.Errorf("pod %s", first.Pod)
			}
			expectPinned(t, visitor, c.path, first.Pod, 20)
		})
	}
	// A session is of its rule: it goes on by another match, listener and Gateway.
	visitor := front.ClientOnPort(t, 8081)
	first := visitor.Get(t, "/exact")
	token := visitor.Cookies("/")["session-everywhere"]
	for range 20 {
		there := back.Client(t).Get(t, "/below", traffic.WithHeader("Cookie", "session-everywhere="+token))
		if there.Pod != first.Pod || len(there.SetCookie) > 0 {
			t.Fatalf("the session of %s reached %s by the other Gateway", first.Pod, there.Pod)
		}
	}
	expectHarmless(t, s)
}
