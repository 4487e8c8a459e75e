// Package traffic sends requests to gateways: one client at a time, or many at once.
package traffic

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/echo"
)

// DefaultHost is the host name of a new client.
const DefaultHost = "mesh.example"

// A Client is one user of a site: it keeps its cookies as a browser would, and its connection. A header only after KeepHeader.
type Client struct {
	// Host is the name that the client sends; it decides the route and which cookies the client sends.
	Host string

	http      *http.Client
	transport *http.Transport

	sessionHeader string // the name of the header that the client keeps, if any
	session       string // its last value
}

// A Reply is the response to a request, with the request that the pod received.
type Reply struct {
	Status    int
	Pod       string // the pod that answered; empty if Envoy did
	Version   string
	SetCookie []string // raw, in the order sent
	Header    http.Header
	Body      []byte
	Received  echo.Request // zero if the body holds none
}

// A RequestOption changes a request before it is sent.
type RequestOption func(*http.Request)

// WithHeader adds a request header. The name goes out in Go's canonical spelling; Envoy puts it in lower case anyway.
func WithHeader(name, value string) RequestOption {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// WithMethod replaces GET.
func WithMethod(method string) RequestOption {
	return func(r *http.Request) { r.Method = method }
}

// A Dialer opens a connection to a gateway.
type Dialer func(context.Context) (net.Conn, error)

// A ClientOption changes a client when it is made.
type ClientOption func(*Client)

// WithoutKeepAlive makes the client open a new connection for each request.
func WithoutKeepAlive() ClientOption {
	return func(c *Client) { c.transport.DisableKeepAlives = true }
}

// NewClient returns a client without cookies. dial opens all its connections, for any host, and they are closed when the
// test ends.
func NewClient(t testing.TB, dial Dialer, opts ...ClientOption) *Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	c := &Client{Host: DefaultHost, transport: transport, http: &http.Client{
		Transport:     transport,
		Jar:           jar,
		Timeout:       15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Close closes the client's connections, so that its next request opens a new one.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Get sends a request and fails the test if no response comes; any status is a response.
func (c *Client) Get(t testing.TB, path string, opts ...RequestOption) Reply {
	t.Helper()
	reply, err := c.Try(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// Try is Get for a test in which a request may have no response.
func (c *Client) Try(path string, opts ...RequestOption) (Reply, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+c.Host+path, nil)
	if err != nil {
		return Reply{}, err
	}
	if c.session != "" {
		request.Header.Set(c.sessionHeader, c.session)
	}
	for _, opt := range opts {
		opt(request)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	if session := response.Header.Get(c.sessionHeader); session != "" {
		c.session = session
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Reply{}, fmt.Errorf("GET %s: %w", request.URL, err)
	}
	reply := Reply{
		Status:    response.StatusCode,
		Pod:       response.Header.Get(echo.PodHeader),
		Version:   response.Header.Get(echo.VersionHeader),
		SetCookie: response.Header.Values("Set-Cookie"),
		Header:    response.Header,
		Body:      body,
	}
	if bytes.HasPrefix(body, []byte(`{"pod":`)) {
		if reply.Received, err = echo.Decode(body); err != nil {
			return Reply{}, fmt.Errorf("the answer of pod %s: %w", reply.Pod, err)
		}
	}
	return reply, nil
}

// KeepHeader makes the client keep a response header and send it with its next requests, as a service that calls others does with a
// session in a header.
func (c *Client) KeepHeader(name string) { c.sessionHeader = name }

// ForgetCookies makes the client a new one on the same connection. It forgets the header of KeepHeader too.
func (c *Client) ForgetCookies() {
	c.http.Jar, _ = cookiejar.New(nil) // it never fails
	c.session = ""
}

// SetCookie gives the client a cookie, as if a server had set it for all paths.
func (c *Client) SetCookie(name, value string) {
	site := &url.URL{Scheme: "http", Host: c.Host, Path: "/"}
	c.http.Jar.SetCookies(site, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// Cookies returns the cookies that the client would send to a path, by name.
func (c *Client) Cookies(path string) map[string]string {
	cookies := map[string]string{}
	for _, cookie := range c.http.Jar.Cookies(&url.URL{Scheme: "http", Host: c.Host, Path: path}) {
		cookies[cookie.Name] = cookie.Value
	}
	return cookies
}

// Tally calls f n times and counts its results.
func Tally(n int, f func() string) map[string]int {
	counts := map[string]int{}
	for range n {
		counts[f()]++
	}
	return counts
}
