//go:build mesh

package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"sigs.k8s.io/gateway-api/conformance/utils/grpc"
	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
)

// A settler makes the rig settle before a request is sent, if a test has changed an object since the last time. It keeps the rig's
// errors, and counts the sessions that responses began.
type settler struct {
	url, report string

	settling sync.Mutex
	mu       sync.Mutex
	changed  bool
	quiet    *time.Timer
	seen     report
}

// A report holds what a run of the suite shows besides its results, by the name of the test.
type report struct {
	Answered    map[string]int      // requests that pods answered
	Sessions    map[string]int      // those of them that began a session
	Repeated    map[string]int      // those that were sent once more with their session
	Differences map[string][]string // how their responses differed
	Unsettled   map[string]string
}

func newSettler(t *testing.T) *settler {
	s := &settler{
		url: os.Getenv("SUITE_SETTLER"), report: os.Getenv("SUITE_REPORT"),
		seen: report{map[string]int{}, map[string]int{}, map[string]int{}, map[string][]string{}, map[string]string{}},
	}
	if s.url == "" || s.report == "" {
		t.Fatal("SUITE_SETTLER and SUITE_REPORT are not set; run the suite with `tests/mesh/run -run TestGatewayAPIConformanceSuite`")
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		text, err := json.MarshalIndent(s.seen, "", "  ")
		if err == nil {
			err = os.WriteFile(s.report, text, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return s
}

// noteWrites notes the writes of the suite's connection to the API server.
func (s *settler) noteWrites(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if r.Method != http.MethodGet && err == nil {
			s.note()
		}
		return response, err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// note also settles shortly after the last change, for tests that send no request.
func (s *settler) note() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = true
	if s.quiet != nil {
		s.quiet.Stop()
	}
	s.quiet = time.AfterFunc(200*time.Millisecond, func() { s.settle("in between") })
}

func (s *settler) settle(test string) {
	s.settling.Lock()
	defer s.settling.Unlock()
	s.mu.Lock()
	due := s.changed
	s.changed = false
	s.mu.Unlock()
	if !due {
		return
	}
	problem := ""
	response, err := http.Post(s.url, "", nil)
	if err != nil {
		problem = err.Error()
	} else {
		defer response.Body.Close()
		if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
			problem = strings.TrimSpace(string(body))
		}
	}
	if problem != "" {
		s.mu.Lock()
		s.seen.Unsettled[test] = problem
		s.mu.Unlock()
	}
}

// repeats is how many requests of a test are sent a second time.
const repeats = 20

// answered takes the cookies of an answer from a pod. It returns the session among them if the request must be sent again with it.
func (s *settler) answered(test string, cookies []string) (session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Answered[test]++
	for _, cookie := range cookies {
		if strings.HasPrefix(cookie, "mooring-") {
			session, _, _ = strings.Cut(cookie, ";")
		}
	}
	if session == "" {
		return ""
	}
	s.seen.Sessions[test]++
	// This test counts the requests that reach the pods.
	if s.seen.Repeated[test] == repeats || test == "HTTPRouteRequestPercentageMirror" {
		return ""
	}
	s.seen.Repeated[test]++
	return session
}

// repeated notes how the response to a repeated request differed.
func (s *settler) repeated(test string, differences []string) {
	if len(differences) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen.Differences[test]) < 5 { // more would repeat these
		s.seen.Differences[test] = append(s.seen.Differences[test], differences...)
	}
}

// home returns what a session is bound to: a pod, or for a session of a CanaryPolicy the Deployment.
func home(session, pod string) string {
	if !strings.HasPrefix(session, canaryCookie+"=") {
		return pod
	}
	deployment, _, _ := strings.Cut(pod, "-rig-")
	return deployment
}

// nameOf returns the name of the suite's test that a subtest belongs to.
func nameOf(t *testing.T) string {
	if t == nil {
		return ""
	}
	parts := strings.Split(t.Name(), "/") // this test, the group, the suite's test
	return parts[min(2, len(parts)-1)]
}

// An httpClient settles before each request and repeats those that begin a session.
type httpClient struct {
	roundtripper.DefaultRoundTripper
	settler *settler
}

func (c *httpClient) CaptureRoundTrip(r roundtripper.Request) (*roundtripper.CapturedRequest, *roundtripper.CapturedResponse, error) {
	test := nameOf(r.T)
	c.settler.settle(test)
	request, response, err := c.DefaultRoundTripper.CaptureRoundTrip(r)
	if err == nil && request.Pod != "" {
		if session := c.settler.answered(test, response.Headers["Set-Cookie"]); session != "" {
			c.settler.repeated(test, c.repeat(r, session, request, response))
		}
	}
	return request, response, err
}

// repeat sends a request again with its session, and returns how the response differs.
func (c *httpClient) repeat(r roundtripper.Request, session string, request *roundtripper.CapturedRequest, response *roundtripper.CapturedResponse) []string {
	r.Headers = maps.Clone(r.Headers)
	if r.Headers == nil {
		r.Headers = map[string][]string{}
	}
	r.Headers["Cookie"] = []string{session}
	again, answer, err := c.DefaultRoundTripper.CaptureRoundTrip(r)
	if err != nil {
		return []string{err.Error()}
	}
	return differences(map[string][2]any{
		"status":           {response.StatusCode, answer.StatusCode},
		"home":             {home(session, request.Pod), home(session, again.Pod)},
		"path":             {request.Path, again.Path},
		"host":             {request.Host, again.Host},
		"method":           {request.Method, again.Method},
		"request headers":  {lasting(request.Headers), lasting(again.Headers)},
		"response headers": {lasting(response.Headers), lasting(answer.Headers)},
	})
}

// fleeting holds headers that differ between requests: counters and names of Envoy, and headers of the first response of a session. A
// decorator operation is Istio's name for a route in traces; that of a session route is its backend.
var fleeting = []string{
	"X-Request-Id", "X-Envoy-Attempt-Count", "X-Envoy-Decorator-Operation", "X-Envoy-Upstream-Service-Time", "Date", "Content-Length",
	"Set-Cookie", "Cache-Control",
}

func lasting(headers map[string][]string) map[string][]string {
	headers = maps.Clone(headers)
	for _, name := range fleeting {
		delete(headers, name)
	}
	return headers
}

func differences(values map[string][2]any) []string {
	var found []string
	for _, what := range slices.Sorted(maps.Keys(values)) {
		if before, after := fmt.Sprint(values[what][0]), fmt.Sprint(values[what][1]); before != after {
			found = append(found, fmt.Sprintf("%s: %s without the session, %s with it", what, before, after))
		}
	}
	return found
}

// A grpcClient opens a connection for each call, because a connection has one host name.
type grpcClient struct{ settler *settler }

func (c *grpcClient) SendRPC(t *testing.T, address string, expected grpc.ExpectedResponse, timeout time.Duration) (*grpc.Response, error) {
	test := nameOf(t)
	c.settler.settle(test)
	response, err := call(t, address, expected, timeout)
	if err == nil && podOf(response) != "" {
		if session := c.settler.answered(test, response.Headers.Get("set-cookie")); session != "" {
			c.settler.repeated(test, repeatCall(t, address, expected, timeout, session, response))
		}
	}
	return response, err
}

func call(t *testing.T, address string, expected grpc.ExpectedResponse, timeout time.Duration) (*grpc.Response, error) {
	client := &grpc.DefaultClient{}
	defer client.Close()
	return client.SendRPC(t, address, expected, timeout)
}

func podOf(response *grpc.Response) string {
	return response.Response.GetAssertions().GetContext().GetPod()
}

// repeatCall makes a call again with its session, and returns how the response differs.
func repeatCall(t *testing.T, address string, expected grpc.ExpectedResponse, timeout time.Duration, session string, response *grpc.Response) []string {
	metadata := grpc.RequestMetadata{}
	if expected.RequestMetadata != nil {
		metadata = *expected.RequestMetadata
	}
	metadata.Metadata = maps.Clone(metadata.Metadata)
	if metadata.Metadata == nil {
		metadata.Metadata = map[string]string{}
	}
	metadata.Metadata["cookie"] = session
	expected.RequestMetadata = &metadata
	again, err := call(t, address, expected, timeout)
	if err != nil {
		return []string{err.Error()}
	}
	return differences(map[string][2]any{
		"code": {response.Code, again.Code},
		"home": {home(session, podOf(response)), home(session, podOf(again))},
		"method": {
			response.Response.GetAssertions().GetFullyQualifiedMethod(), again.Response.GetAssertions().GetFullyQualifiedMethod(),
		},
	})
}

func (c *grpcClient) Close() {}

// A webSocketDialer settles before each connection.
type webSocketDialer struct{ settler *settler }

func (d *webSocketDialer) Dial(url, protocol, origin string) (*websocket.Conn, error) {
	d.settler.settle("a WebSocket")
	return websocket.Dial(url, protocol, origin)
}
