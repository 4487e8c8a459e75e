package local

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/gateway-api/conformance/utils/grpc"
	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
)

// A Client sends the suite's requests, each after everything that was written is served. If Services have sessions, a repeated request has
// the cookie of the first one and must reach the same pod, so the suite's assertions cover new and live sessions. It is safe for
// concurrent use.
type Client struct {
	cluster *Cluster
	http    roundtripper.RoundTripper

	mu       sync.Mutex
	sessions map[string]session
}

type session struct{ cookie, pod string }

// NewClient sends HTTP requests by a round tripper, and calls by new connections.
func NewClient(cluster *Cluster, http roundtripper.RoundTripper) *Client {
	return &Client{cluster: cluster, http: http, sessions: map[string]session{}}
}

// CaptureRoundTrip sends a request, and fails where a session does not begin or is not kept.
func (c *Client) CaptureRoundTrip(request roundtripper.Request) (*roundtripper.CapturedRequest, *roundtripper.CapturedResponse, error) {
	if err := c.cluster.settle(context.Background()); err != nil {
		return nil, nil, err
	}
	name := request.String()
	current := c.session(name)
	if current.cookie != "" {
		request.Headers = with(request.Headers, "Cookie", []string{current.cookie})
	}
	captured, response, err := c.http.CaptureRoundTrip(request)
	if err == nil {
		err = c.keep(name, current, captured.Pod, response.Headers["Set-Cookie"])
	}
	return captured, response, err
}

// SendRPC calls on a new connection, and fails where a session does not begin or is not kept.
func (c *Client) SendRPC(t *testing.T, address string, expected grpc.ExpectedResponse, timeout time.Duration) (*grpc.Response, error) {
	if err := c.cluster.settle(t.Context()); err != nil {
		return nil, err
	}
	metadata := grpc.RequestMetadata{}
	if expected.RequestMetadata != nil {
		metadata = *expected.RequestMetadata
	}
	name := fmt.Sprintf("%s %s %v", address, expected.GetTestCaseName(0), metadata)
	current := c.session(name)
	if current.cookie != "" {
		metadata.Metadata = with(metadata.Metadata, "cookie", current.cookie)
	}
	expected.RequestMetadata = &metadata
	client := grpc.DefaultClient{}
	defer client.Close()
	response, err := client.SendRPC(t, address, expected, timeout)
	if err == nil {
		err = c.keep(name, current, response.Response.GetAssertions().GetContext().GetPod(), response.Headers.Get("set-cookie"))
	}
	return response, err
}

// Close has nothing to do: each call has its own connection.
func (c *Client) Close() {}

// with returns a copy of a map with one more entry.
func with[V any](headers map[string]V, name string, value V) map[string]V {
	headers = maps.Clone(headers)
	if headers == nil {
		headers = map[string]V{}
	}
	headers[name] = value
	return headers
}

// session returns the session that a request continues. In tests that count shares, every request begins one.
func (c *Client) session(name string) session {
	if strings.Contains(c.cluster.Test, "Weight") {
		return session{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions[c.cluster.Test+name]
}

// keep stores the session that a response began, or checks that a live one has not moved. Without a pod, Envoy answered.
func (c *Client) keep(name string, current session, pod string, cookies []string) error {
	switch {
	case !c.cluster.Sessions || pod == "":
		return nil
	case current.cookie != "" && current.pod != pod:
		return fmt.Errorf("the session of %s moved to %s", current.pod, pod)
	case current.cookie != "":
		return nil
	case len(cookies) != 1:
		return fmt.Errorf("%s answers with %d Set-Cookie headers: %q", pod, len(cookies), cookies)
	}
	cookie, _, _ := strings.Cut(cookies[0], ";")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[c.cluster.Test+name] = session{cookie: cookie, pod: pod}
	return nil
}
