package kube

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Recorder passes requests on to the API server and notes what they are about, as the rules of a role name it. It can answer some of
// them in the API server's place.
type Recorder struct {
	URL string

	mu      sync.Mutex
	allowed map[Access]bool
	refused map[Access]bool
	writes  []Write
	answer  func(Request) int
	limit   int // of the objects in a page of a list; 0 is what the client asks for
	server  *httptest.Server
}

// An Access is what a request does. The resource of a subresource is, for example, httproutes/status.
type Access struct{ Verb, Group, Resource string }

// A Request is an Access and the object that it is about. A request about a resource in all namespaces has neither namespace nor name.
type Request struct {
	Access
	Namespace, Name string
	DryRun          bool
	Continued       bool // a page of a list after the first one
}

func (r Request) String() string { return fmt.Sprintf("%s %s/%s", r.Access, r.Namespace, r.Name) }

// A Write is a request that may have changed an object, and its answer.
type Write struct {
	Request
	At     time.Time
	Status int
}

func (w Write) String() string { return fmt.Sprintf("%s: %d", w.Request, w.Status) }

func (a Access) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s.%s", a.Verb, a.Resource, a.Group), ".")
}

// NewRecorder starts a recorder in front of the API server of a client. It ends with the test.
func NewRecorder(t testing.TB, client *Client) *Recorder {
	t.Helper()
	target, err := url.Parse(client.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	r := &Recorder{allowed: map[Access]bool{}, refused: map[Access]bool{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	// The API server signs its own certificate in each run.
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	proxy.FlushInterval = -1 // watches
	proxy.ModifyResponse = func(response *http.Response) error {
		if request, ok := requestOf(response.Request); ok {
			r.note(request, response.StatusCode)
		}
		return nil
	}
	// The client sees what it would see of the API server: a connection that breaks.
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	r.server = httptest.NewUnstartedServer(r.answering(proxy))
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.server.StartTLS() // kubectl sends tokens over TLS only
	t.Cleanup(func() {
		r.server.CloseClientConnections() // watches do not end by themselves
		r.server.Close()
	})
	r.URL = r.server.URL
	return r
}

// Answer lets a function answer requests in the API server's place, by a status code; 0 passes the request on. Nil passes all on. Watches
// end, so that the client opens them again.
func (r *Recorder) Answer(answer func(Request) int) {
	r.mu.Lock()
	r.answer = answer
	r.mu.Unlock()
	r.server.CloseClientConnections()
}

// LimitLists makes pages of lists this long, in place of what the client asks for; 0 leaves them as they are.
func (r *Recorder) LimitLists(objects int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = objects
}

func (r *Recorder) answering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		asked, ok := requestOf(request)
		r.mu.Lock()
		answer, limit := r.answer, r.limit
		r.mu.Unlock()
		if query := request.URL.Query(); limit > 0 && query.Has("limit") {
			query.Set("limit", fmt.Sprint(limit))
			request.URL.RawQuery = query.Encode()
		}
		if !ok || answer == nil {
			next.ServeHTTP(w, request)
			return
		}
		code := answer(asked)
		if code == 0 {
			next.ServeHTTP(w, request)
			return
		}
		r.note(asked, code)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the rig refuses it","reason":%q,"code":%d}`,
			reasons[code], code)
	})
}

// reasons are those of the API server.
var reasons = map[int]string{
	http.StatusForbidden: "Forbidden", http.StatusNotFound: "NotFound", http.StatusConflict: "Conflict", http.StatusGone: "Expired",
	http.StatusTooManyRequests: "TooManyRequests", http.StatusInternalServerError: "InternalError",
}

func (r *Recorder) note(request Request, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if status == http.StatusForbidden {
		r.refused[request.Access] = true
	} else {
		r.allowed[request.Access] = true
	}
	if !slices.Contains(reading, request.Verb) {
		r.writes = append(r.writes, Write{Request: request, At: time.Now(), Status: status})
	}
}

// reading are the verbs that change nothing.
var reading = []string{"get", "list", "watch"}

// Writes returns the writes so far, without those of Leases and Events.
func (r *Recorder) Writes() []Write {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.writes), func(w Write) bool { return w.Resource == "leases" || w.Resource == "events" })
}

// Accesses returns what the API server has allowed and refused so far.
func (r *Recorder) Accesses() (allowed, refused []Access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sortedAccesses(r.allowed), sortedAccesses(r.refused)
}

func sortedAccesses(set map[Access]bool) []Access {
	var list []Access
	for access := range set {
		list = append(list, access)
	}
	slices.SortFunc(list, func(a, b Access) int { return strings.Compare(a.String(), b.String()) })
	return list
}

// Kubeconfig writes a kubeconfig with which a client presents this token to the recorder.
func (r *Recorder) Kubeconfig(t testing.TB, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: recorded, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: account, user: {token: %q}}]
contexts: [{name: recorded, context: {cluster: recorded, user: account}}]
current-context: recorded
`, r.URL, token)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// verbs are those of roles for requests about one object.
var verbs = map[string]string{"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

// requestOf returns what a request does. Those about no resource, such as discovery, need no role.
func requestOf(request *http.Request) (Request, bool) {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	query := request.URL.Query()
	asked := Request{Access: Access{Verb: verbs[request.Method]}, DryRun: query.Has("dryRun"), Continued: query.Has("continue")}
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		asked.Group, parts = parts[1], parts[3:]
	default:
		return asked, false
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		asked.Namespace, parts = parts[1], parts[2:]
	}
	asked.Resource = parts[0]
	if len(parts) > 1 {
		asked.Name = parts[1]
	}
	if len(parts) > 2 {
		asked.Resource += "/" + parts[2]
	}
	if asked.Name == "" && asked.Verb == "get" {
		asked.Verb = "list"
		if query.Get("watch") == "true" || query.Get("watch") == "1" {
			asked.Verb = "watch"
		}
	}
	return asked, true
}
