package suite

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"sigs.k8s.io/gateway-api/conformance/utils/grpc"
	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
)

// A settler has the rig bring the cluster to rest before requests are sent, if a test has changed anything since the last time. It
// keeps what the rig had to say, and counts the sessions that responses began.
type settler struct {
	url, report string

	settling sync.Mutex
	mu       sync.Mutex
	changed  bool
	quiet    *time.Timer
	seen     report
}

// A report is what a run of the suite has to say besides its results, by the name of the test.
type report struct {
	Answered  map[string]int
	Sessions  map[string]int
	Unsettled map[string]string
}

func newSettler(t *testing.T) *settler {
	s := &settler{
		url: os.Getenv("SUITE_SETTLER"), report: os.Getenv("SUITE_REPORT"),
		seen: report{map[string]int{}, map[string]int{}, map[string]string{}},
	}
	if s.url == "" || s.report == "" {
		t.Fatal("SUITE_SETTLER and SUITE_REPORT are not set; run the suite with `tests/mesh/run -run TestGatewayAPI`")
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

// noteWrites is for the suite's connection to the API server.
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

// note also settles a while after the last change, for tests that send no request.
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
	trouble := ""
	response, err := http.Post(s.url, "", nil)
	if err != nil {
		trouble = err.Error()
	} else {
		defer response.Body.Close()
		if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
			trouble = strings.TrimSpace(string(body))
		}
	}
	if trouble != "" {
		s.mu.Lock()
		s.seen.Unsettled[test] = trouble
		s.mu.Unlock()
	}
}

// count is for a request that a pod has answered.
func (s *settler) count(test string, cookies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Answered[test]++
	for _, cookie := range cookies {
		if strings.HasPrefix(cookie, "mooring") {
			s.seen.Sessions[test]++
			break
		}
	}
}

// nameOf is the name of the suite's test that a subtest belongs to.
func nameOf(t *testing.T) string {
	if t == nil {
		return ""
	}
	parts := strings.Split(t.Name(), "/")
	return parts[min(1, len(parts)-1)]
}

type httpClient struct {
	roundtripper.DefaultRoundTripper
	settler *settler
}

func (c *httpClient) CaptureRoundTrip(r roundtripper.Request) (*roundtripper.CapturedRequest, *roundtripper.CapturedResponse, error) {
	c.settler.settle(nameOf(r.T))
	request, response, err := c.DefaultRoundTripper.CaptureRoundTrip(r)
	if err == nil && request.Pod != "" {
		c.settler.count(nameOf(r.T), response.Headers["Set-Cookie"])
	}
	return request, response, err
}

// A grpcClient has a connection for each call, so that the host name of one is not that of the next.
type grpcClient struct{ settler *settler }

func (c *grpcClient) SendRPC(t *testing.T, address string, expected grpc.ExpectedResponse, timeout time.Duration) (*grpc.Response, error) {
	c.settler.settle(nameOf(t))
	client := &grpc.DefaultClient{}
	defer client.Close()
	response, err := client.SendRPC(t, address, expected, timeout)
	if err == nil && response.Response.GetAssertions().GetContext().GetPod() != "" {
		c.settler.count(nameOf(t), response.Headers.Get("set-cookie"))
	}
	return response, err
}

func (c *grpcClient) Close() {}

type webSocketDialer struct{ settler *settler }

func (d *webSocketDialer) Dial(url, protocol, origin string) (*websocket.Conn, error) {
	d.settler.settle("a WebSocket")
	return websocket.Dial(url, protocol, origin)
}
