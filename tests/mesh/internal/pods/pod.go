// Package pods runs the servers of pods: HTTP and gRPC servers in this process, or Gateway API's echo-basic.
package pods

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/echo"
	"mooring.dev/tests/mesh/internal/hbone"
	"mooring.dev/tests/mesh/internal/wait"
)

// A Pod is a server on its own address, which answers with its name and with the request that it received. It is safe for
// concurrent use; the exported fields do not change after Start.
type Pod struct {
	Name      string
	Namespace string
	Owner     string // the Deployment
	IP        string
	Version   string // of the label "version", or of the image
	Labels    map[string]string
	Ports     []corev1.ContainerPort
	// Program starts a program that serves the ports, instead of a server in this process for each.
	Program func() ([]Server, error)
	// Tunnels is the identity with which the pod accepts tunnels of the ambient mesh; nil if it accepts none.
	Tunnels *hbone.Identity
	Log     *Log // of the program

	mu       sync.Mutex
	state    State
	handler  http.HandlerFunc
	servers  []Server
	received []echo.Request
}

// A Server is what a pod runs on one of its ports.
type Server interface {
	Close() error
	Shutdown(context.Context) error
}

// A State is what the endpoint of a pod reports.
type State int

// The states of an endpoint. A new pod is ready.
const (
	Ready State = iota
	NotReady
	Draining // terminating, but still serving
)

// Respond replaces the pod's answer; nil restores the echo.
func (p *Pod) Respond(handler http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = handler
}

// Requests returns what the pod has received so far.
func (p *Pod) Requests() []echo.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]echo.Request(nil), p.received...)
}

// Crash closes the pod's ports and connections. Its endpoint stays as it is.
func (p *Pod) Crash() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, server := range p.servers {
		_ = server.Close()
	}
	p.servers = nil
}

// Shutdown closes the pod's ports after it has answered the requests in flight, as an application does on SIGTERM.
func (p *Pod) Shutdown() error {
	p.mu.Lock()
	servers := p.servers
	p.servers = nil
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), wait.Timeout)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(ctx); err != nil {
			return fmt.Errorf("pod %s: %w", p.Name, err)
		}
	}
	return nil
}

// Start opens the pod's ports, the first time or again after Crash.
func (p *Pod) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Program != nil {
		servers, err := p.Program()
		p.servers = servers
		return err
	}
	for _, port := range p.Ports {
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
	if p.Tunnels == nil {
		return nil
	}
	listener, err := hbone.Listen(fmt.Sprintf("%s:%d", p.IP, hbone.Port))
	if err != nil {
		return fmt.Errorf("pod %s: %w", p.Name, err)
	}
	server := p.Tunnels.NewServer()
	p.servers = append(p.servers, server)
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return nil
}

// protocols are HTTP/1.1 and HTTP/2, both without TLS.
func protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

func (p *Pod) serve(w http.ResponseWriter, r *http.Request) {
	request := echo.Request{
		Pod: p.Name, Version: p.Version,
		Method: r.Method, Host: r.Host, Path: r.URL.RequestURI(), Headers: r.Header.Clone(),
	}
	p.mu.Lock()
	p.received = append(p.received, request)
	handler := p.handler
	p.mu.Unlock()

	w.Header().Set(echo.PodHeader, p.Name)
	w.Header().Set(echo.VersionHeader, p.Version)
	if handler != nil {
		handler(w, r)
		return
	}
	if strings.HasPrefix(r.UserAgent(), "curl/") {
		fmt.Fprintln(w, p.introduction()) // for people, as in the READMEs of the examples
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = echo.Encode(w, request)
}

// introduction is the name of the pod's application and its version.
func (p *Pod) introduction() string {
	if app := p.Labels["app"]; app != p.Version {
		return app + " " + p.Version
	}
	return p.Version
}

// SetState sets what the pod's endpoint is to report. The endpoint itself is written by controllers.Manager.
func (p *Pod) SetState(state State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

// State returns what SetState has set.
func (p *Pod) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}
