package local

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"

	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
)

// A Visitor sends the suite's requests, each when all that was written is served. Where Services have sessions, it keeps them:
// a request that is repeated carries the cookie of the first, so that the suite's expectations are held against new sessions and
// live ones, and it must reach the same pod.
type Visitor struct {
	roundtripper.RoundTripper
	cluster *Cluster

	mu       sync.Mutex
	sessions map[string]session
}

type session struct{ cookie, pod string }

// NewVisitor sends requests to a cluster by another round tripper.
func NewVisitor(cluster *Cluster, next roundtripper.RoundTripper) *Visitor {
	return &Visitor{RoundTripper: next, cluster: cluster, sessions: map[string]session{}}
}

// CaptureRoundTrip fails where a session does not begin or is not kept.
func (v *Visitor) CaptureRoundTrip(request roundtripper.Request) (*roundtripper.CapturedRequest, *roundtripper.CapturedResponse, error) {
	if err := v.cluster.settle(context.Background()); err != nil {
		return nil, nil, err
	}
	if !v.cluster.Sessions {
		return v.RoundTripper.CaptureRoundTrip(request)
	}
	name := v.cluster.Test + request.String()
	current := v.session(name)
	if current.cookie != "" {
		request.Headers = maps.Clone(request.Headers)
		if request.Headers == nil {
			request.Headers = map[string][]string{}
		}
		request.Headers["Cookie"] = []string{current.cookie}
	}
	captured, response, err := v.RoundTripper.CaptureRoundTrip(request)
	if err != nil || captured.Pod == "" {
		return captured, response, err
	}
	return captured, response, v.keep(name, current, captured.Pod, response.Headers)
}

// session is the one that a request continues. Where shares are counted, every request begins one.
func (v *Visitor) session(name string) session {
	if strings.Contains(v.cluster.Test, "Weight") {
		return session{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sessions[name]
}

func (v *Visitor) keep(name string, current session, pod string, headers http.Header) error {
	cookies := headers["Set-Cookie"]
	switch {
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
	v.sessions[name] = session{cookie: cookie, pod: pod}
	return nil
}
