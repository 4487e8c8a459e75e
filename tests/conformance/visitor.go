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

// A Visitor sends the suite's requests, each when all that was written is served. Where Services have sessions, it keeps them:
// a request that is repeated carries the cookie of the first, so that the suite's expectations are held against new sessions and
// live ones, and it must reach the same pod.
type Visitor struct {
	cluster *Cluster
	http    roundtripper.RoundTripper

	mu       sync.Mutex
	sessions map[string]session
}

type session struct{ cookie, pod string }

// NewVisitor sends HTTP requests by a round tripper, and calls by new connections.
func NewVisitor(cluster *Cluster, http roundtripper.RoundTripper) *Visitor {
	return &Visitor{cluster: cluster, http: http, sessions: map[string]session{}}
}

// CaptureRoundTrip sends a request, and fails where a session does not begin or is not kept.
func (v *Visitor) CaptureRoundTrip(request roundtripper.Request) (*roundtripper.CapturedRequest, *roundtripper.CapturedResponse, error) {
	if err := v.cluster.settle(context.Background()); err != nil {
		return nil, nil, err
	}
	name := request.String()
	current := v.session(name)
	if current.cookie != "" {
		request.Headers = with(request.Headers, "Cookie", []string{current.cookie})
	}
	captured, response, err := v.http.CaptureRoundTrip(request)
	if err == nil {
		err = v.keep(name, current, captured.Pod, response.Headers["Set-Cookie"])
	}
	return captured, response, err
}

// SendRPC calls on a new connection, and fails where a session does not begin or is not kept.
func (v *Visitor) SendRPC(t *testing.T, address string, expected grpc.ExpectedResponse, timeout time.Duration) (*grpc.Response, error) {
	if err := v.cluster.settle(t.Context()); err != nil {
		return nil, err
	}
	metadata := grpc.RequestMetadata{}
	if expected.RequestMetadata != nil {
		metadata = *expected.RequestMetadata
	}
	name := fmt.Sprintf("%s %s %v", address, expected.GetTestCaseName(0), metadata)
	current := v.session(name)
	if current.cookie != "" {
		metadata.Metadata = with(metadata.Metadata, "cookie", current.cookie)
	}
	expected.RequestMetadata = &metadata
	client := grpc.DefaultClient{}
	defer client.Close()
	response, err := client.SendRPC(t, address, expected, timeout)
	if err == nil {
		err = v.keep(name, current, response.Response.GetAssertions().GetContext().GetPod(), response.Headers.Get("set-cookie"))
	}
	return response, err
}

// Close has nothing to do: each call has a connection of its own.
func (v *Visitor) Close() {}

// with is a map with one entry more. The map itself is the test's own.
func with[V any](headers map[string]V, name string, value V) map[string]V {
	headers = maps.Clone(headers)
	if headers == nil {
		headers = map[string]V{}
	}
	headers[name] = value
	return headers
}

// session is the one that a request continues. Where shares are counted, every request begins one.
func (v *Visitor) session(name string) session {
	if strings.Contains(v.cluster.Test, "Weight") {
		return session{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sessions[v.cluster.Test+name]
}

// keep remembers the session that began with an answer, or checks that a live one has not moved. No pod: Envoy answered.
func (v *Visitor) keep(name string, current session, pod string, cookies []string) error {
	switch {
	case !v.cluster.Sessions || pod == "":
		return nil
	case current.cookie != "" && current.pod != pod:
		return fmt.Errorf("the session of %s moved to %s", current.pod, pod)
	case current.cookie != "":
		return nil
	case len(cookies) != 1:
		return fmt.Errorf("%s answers with %d Set-Cookie headers: %q", pod, len(cookies), cookies)
	}
	cookie, _, _ := strings.Cut(cookies[0], ";")
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sessions[v.cluster.Test+name] = session{cookie: cookie, pod: pod}
	return nil
}
