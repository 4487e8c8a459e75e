package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// A Pod is one host of the application: an HTTP server on an address of its own that answers with its name and
// with the request it received.
type Pod struct {
	Name      string
	Namespace string
	IP        string
	Version   string // of the label "version"
	Labels    map[string]string

	owner string // the Deployment
	ports []corev1.ContainerPort
	run   func() ([]server, error) // starts what serves the ports; nil: a server in this process for each
	log   *podLog                  // of a program

	mu      sync.Mutex
	state   podState
	handler http.HandlerFunc
	servers []server
	seen    []Echo
}

// A server is what a pod runs on one of its ports.
type server interface {
	Close() error
	Shutdown(context.Context) error
}

type podState int

const (
	ready podState = iota
	notReady
	draining // terminating, but still serving
)

// An Echo is a request as the pod received it.
type Echo struct {
	Pod     string      `json:"pod"`
	Version string      `json:"version"`
	Method  string      `json:"method"`
	Host    string      `json:"host"`
	Path    string      `json:"path"` // with the query
	Headers http.Header `json:"headers"`
}

// Every answer names its pod and version in a header too, because the answer to HEAD has no body.
const (
	podHeader     = "X-Pod"
	versionHeader = "X-Pod-Version"
)

// Respond replaces the pod's answer, for a test in which the application has a part to play; nil brings the echo back.
func (p *Pod) Respond(handler http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = handler
}

// Requests lists what the pod has received so far.
func (p *Pod) Requests() []Echo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Echo(nil), p.seen...)
}

// Crash closes the pod's ports and connections, and tells nobody: its endpoint stays as it is.
func (p *Pod) Crash() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, server := range p.servers {
		_ = server.Close()
	}
	p.servers = nil
}

// shutdown closes the pod's ports when the requests that are under way are answered, as an application does on SIGTERM.
func (p *Pod) shutdown() error {
	p.mu.Lock()
	servers := p.servers
	p.servers = nil
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(ctx); err != nil {
			return fmt.Errorf("pod %s: %w", p.Name, err)
		}
	}
	return nil
}

// Revive opens the ports again after Crash.
func (p *Pod) Revive() error { return p.listen() }

func (p *Pod) listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		servers, err := p.run()
		p.servers = servers
		return err
	}
	for _, port := range p.ports {
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", p.IP, port.ContainerPort))
		if err != nil {
			return fmt.Errorf("pod %s: %w", p.Name, err)
		}
		if strings.HasPrefix(port.Name, "grpc") {
			p.servers = append(p.servers, p.serveGRPC(listener))
			continue
		}
		server := &http.Server{Handler: http.HandlerFunc(p.serve), Protocols: protocols()}
		p.servers = append(p.servers, server)
		go func() { _ = server.Serve(listener) }()
	}
	return nil
}

// protocols are both versions without TLS; gRPC needs the second.
func protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

func (p *Pod) serve(w http.ResponseWriter, r *http.Request) {
	echo := Echo{
		Pod: p.Name, Version: p.Version,
		Method: r.Method, Host: r.Host, Path: r.URL.RequestURI(), Headers: r.Header.Clone(),
	}
	p.mu.Lock()
	p.seen = append(p.seen, echo)
	handler := p.handler
	p.mu.Unlock()

	w.Header().Set(podHeader, p.Name)
	w.Header().Set(versionHeader, p.Version)
	if handler != nil {
		handler(w, r)
		return
	}
	echo.Headers = r.Header.Clone() // the one in seen stays as it was received
	for _, values := range echo.Headers {
		for i, value := range values {
			values[i] = fromBytes(value)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(echo)
}

// Header values are bytes, and JSON would quietly replace those that are not UTF-8. So each byte travels as the
// character of the same number: fromBytes on the pod's side, toBytes on the client's.
func fromBytes(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func toBytes(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func (p *Pod) setState(state podState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

func (p *Pod) getState() podState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}
