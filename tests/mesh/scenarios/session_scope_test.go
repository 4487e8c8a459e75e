//go:build mesh

package scenarios

import (
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// A rule has the same sessions by each Gateway, listener, host name and match that leads to it.
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
		{front, 80, "two.names.example", "/", "session-two", "far-"}, // its rule has the same name as the previous one
		{front, 8081, "any.example", "/exact", "session-everywhere", ""},
		{front, 8081, "any.example", "/below/it", "session-everywhere", ""},
		{front, 8081, "any.example", "/regular", "session-everywhere", ""},
		{back, 80, "other.example", "/exact", "session-everywhere", ""},
	} {
		t.Run(c.gateway.Name+" "+c.host+c.path, func(t *testing.T) {
			client := c.gateway.ClientOnPort(t, c.port)
			client.Host = c.host
			first := client.Get(t, c.path)
			cookieOf(t, first, c.cookie)
			if !strings.HasPrefix(first.Pod, c.pods) {
				t.Errorf("pod %s", first.Pod)
			}
			expectOnPod(t, client, c.path, first.Pod, 20)
		})
	}
	// A session continues by another match, listener and Gateway of the same rule.
	client := front.ClientOnPort(t, 8081)
	first := client.Get(t, "/exact")
	token := client.Cookies("/")["session-everywhere"]
	for range 20 {
		there := back.Client(t).Get(t, "/below", traffic.WithHeader("Cookie", "session-everywhere="+token))
		if there.Pod != first.Pod || len(there.SetCookie) > 0 {
			t.Fatalf("the session of %s reached %s by the other Gateway", first.Pod, there.Pod)
		}
	}
	expectNoFindings(t, s)
}
