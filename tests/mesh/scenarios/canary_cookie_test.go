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

// A cookie or a header makes a client a tester, who gets the canary. All other clients get the stable version.
func TestCanaryByCookieAndHeader(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "myweb", scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "policies/canary.yaml")
	s.Mooring.Deploy(t)
	client := s.Gateway(t, "edge").ClientForHost(t, "myweb-service.domain.com")

	cookies := make([]string, 30)
	for i := range cookies {
		cookies[i] = fmt.Sprintf("cookie%d=%d", i, i)
	}
	others := strings.Join(cookies, "; ")
	among := strings.Join(cookies[:15], "; ") + "; usertype=tester; " + strings.Join(cookies[15:], "; ")
	cookie := func(values ...string) []traffic.RequestOption {
		var opts []traffic.RequestOption
		for _, value := range values {
			opts = append(opts, traffic.WithHeader("Cookie", value))
		}
		return opts
	}
	for _, c := range []struct {
		who  string
		opts []traffic.RequestOption
		want string
	}{
		{"no cookie and no header", nil, "v1"},
		{"a tester", cookie("usertype=tester"), "v2"},
		{"a tester with 30 other cookies", cookie(among), "v2"},
		{"30 other cookies", cookie(others), "v1"},
		{"a tester in the second of two lines", cookie("a=b", "usertype=tester"), "v2"},
		{"a tester in the first of two lines", cookie("usertype=tester", "a=b"), "v2"},
		{"a customer", cookie("usertype=customer"), "v1"},
		{"a longer value", cookie("usertype=testers"), "v1"},
		{"another cookie with this ending", cookie("notusertype=tester"), "v1"},
		{"in capitals", cookie("usertype=Tester"), "v1"},
		{"vijay", []traffic.RequestOption{traffic.WithHeader("End-User", "vijay")}, "v2"},
		{"vijay's neighbour", []traffic.RequestOption{traffic.WithHeader("End-User", "vijaya")}, "v1"},
		{"vijay, a customer", append(cookie("usertype=customer"), traffic.WithHeader("End-User", "vijay")), "v2"},
	} {
		var sent []string
		pods := traffic.Tally(spread, func() string {
			reply := client.Get(t, "/", c.opts...)
			if reply.Version != c.want || len(reply.SetCookie) > 0 {
				t.Fatalf("%s: version %q and not %q, Set-Cookie %q", c.who, reply.Version, c.want, reply.SetCookie)
			}
			sent = reply.Received.Headers["Cookie"]
			return reply.Pod
		})
		t.Logf("%s: all to %s, pods %v", c.who, c.want, pods)
		if len(pods) != 3 {
			t.Errorf("%s: not all pods of %s: %v", c.who, c.want, pods)
		}
		// The rule does not change the cookies.
		request := http.Request{Header: http.Header{}}
		for _, edit := range c.opts {
			edit(&request)
		}
		if got, want := strings.Join(sent, "; "), strings.Join(request.Header["Cookie"], "; "); got != want {
			t.Errorf("%s: the pod received the cookies %q and not %q", c.who, got, want)
		}
	}
	expectNoFindings(t, s)
}
