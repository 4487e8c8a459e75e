package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"time"
)

// A Client is one visitor: it keeps its cookies as a browser would, and its connection.
type Client struct {
	// Host is what the client believes it talks to; it decides the route and which cookies are sent.
	Host string

	t         testing.TB
	http      *http.Client
	transport *http.Transport
}

// A Reply is what came back, and what the pod had received.
type Reply struct {
	Status    int
	Pod       string // which pod answered; empty if Envoy itself did
	Version   string
	SetCookie []string // raw, in the order sent
	Header    http.Header
	Body      []byte
	Echo      Echo // the request as the pod received it; zero if there is none in the body
}

// An Edit changes a request before it is sent.
type Edit func(*http.Request)

// Header adds a request header. The name goes out in Go's canonical spelling; Envoy puts it in lower case anyway.
func Header(name, value string) Edit {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// Method replaces GET.
func Method(method string) Edit {
	return func(r *http.Request) { r.Method = method }
}

// newClient is a visitor whose connections all go where dial says, whatever the host.
func newClient(t testing.TB, host string, dial func(context.Context) (net.Conn, error)) *Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{Host: host, t: t, transport: transport, http: &http.Client{
		Transport:     transport,
		Jar:           jar,
		Timeout:       15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends the client's connections, so that its next request makes a new one.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Get sends a request and fails the test if no answer comes; any status is an answer.
func (c *Client) Get(path string, edits ...Edit) Reply {
	c.t.Helper()
	reply, err := c.Try(path, edits...)
	if err != nil {
		c.t.Fatal(err)
	}
	return reply
}

// Try is Get for a test that can live without an answer.
func (c *Client) Try(path string, edits ...Edit) (Reply, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+c.Host+path, nil)
	if err != nil {
		return Reply{}, err
	}
	for _, edit := range edits {
		edit(request)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Reply{}, fmt.Errorf("GET %s: %w", request.URL, err)
	}
	reply := Reply{
		Status:    response.StatusCode,
		Pod:       response.Header.Get(podHeader),
		Version:   response.Header.Get(versionHeader),
		SetCookie: response.Header.Values("Set-Cookie"),
		Header:    response.Header,
		Body:      body,
	}
	if bytes.HasPrefix(body, []byte(`{"pod":`)) {
		if err := json.Unmarshal(body, &reply.Echo); err != nil {
			return Reply{}, fmt.Errorf("the answer of pod %s: %w", reply.Pod, err)
		}
		for _, values := range reply.Echo.Headers {
			for i, value := range values {
				values[i] = toBytes(value)
			}
		}
	}
	return reply, nil
}

// Forget makes the client another visitor, without cookies, on the same connection.
func (c *Client) Forget() {
	c.http.Jar, _ = cookiejar.New(nil) // it never fails
}

// Keep gives the client a cookie, as if a server had set it for all paths.
func (c *Client) Keep(name, value string) {
	site := &url.URL{Scheme: "http", Host: c.Host, Path: "/"}
	c.http.Jar.SetCookies(site, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// Cookies are those that the client would send with its next request to this path.
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
