// Package registry serves Wasm modules to gateways: a real OCI registry, whose code is go-containerregistry's, and plain files by HTTP or
// HTTPS. A test can make it fail.
package registry

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"mooring.dev/tests/mesh/internal/testenv"
)

// The ports of a Server.
const (
	port      = 5000
	httpsPort = 5443
)

// filesPath is the path below which plain files are.
const filesPath = "/files/"

// A Server is a registry and a file server on its own address. Clients may use plain HTTP, because the address is private. It is safe for
// concurrent use; methods that take a testing.TB fail the test on any error.
type Server struct {
	IP   string
	Addr string // IP:port of the registry, for tools such as crane
	// CAFile is the certificate with which the HTTPS port is signed. The default certificates do not include it.
	CAFile string

	registry http.Handler

	mu       sync.Mutex
	files    map[string][]byte
	fault    Fault
	requests []string
	servers  []*http.Server
	tls      *certificate
}

// Start starts a registry, which ends with the test.
func Start(t testing.TB, env *testenv.Env) *Server {
	t.Helper()
	s := &Server{
		IP: env.NextIP(), files: map[string][]byte{},
		registry: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
	}
	s.Addr = fmt.Sprintf("%s:%d", s.IP, port)
	var err error
	if s.tls, err = newCertificate(s.IP); err != nil {
		t.Fatal(err)
	}
	if s.CAFile, err = s.tls.write(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	s.Up(t)
	t.Cleanup(s.Down)
	return s
}

// Down closes the ports and all connections, as if the registry had crashed. What has been pushed stays.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		_ = server.Close()
	}
	s.servers = nil
}

// Up opens the ports again.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, number := range []int{port, httpsPort} {
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", s.IP, number))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: log.New(io.Discard, "", 0)}
		s.servers = append(s.servers, server)
		if number == httpsPort {
			server.TLSConfig = s.tls.config()
			go func() { _ = server.ServeTLS(listener, "", "") }()
		} else {
			go func() { _ = server.Serve(listener) }()
		}
	}
}

// SetFault makes every request fail from now on; nil ends that.
func (s *Server) SetFault(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Requests returns the method and path of each request so far, except those of Push. With a text, only those that contain it.
func (s *Server) Requests(containing string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for _, request := range s.requests {
		if strings.Contains(request, containing) {
			found = append(found, request)
		}
	}
	return found
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	own := r.UserAgent() == pusher || strings.HasPrefix(r.UserAgent(), pusher+" ")
	s.mu.Lock()
	fault := s.fault
	if !own {
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	}
	s.mu.Unlock()
	if !own && fault != nil {
		if w = fault(w, r); w == nil {
			return
		}
	}
	path, ok := strings.CutPrefix(r.URL.Path, filesPath)
	if !ok {
		s.registry.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	content, ok := s.files[path]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(content)
}

// pusher is the user agent of Push, whose requests do not fail.
const pusher = "mesh-rig"

// Push stores an image or an index under a name such as mooring:1. It returns the URL for a WasmPlugin and the digest, in hexadecimal
// digits.
func (s *Server) Push(t testing.TB, repositoryAndTag string, image remote.Taggable) (url, digest string) {
	t.Helper()
	reference, err := name.ParseReference(s.Addr + "/" + repositoryAndTag)
	if err != nil {
		t.Fatal(err)
	}
	if err := push(reference, image); err != nil {
		t.Fatal(err)
	}
	descriptor, err := remote.Head(reference, remote.WithUserAgent(pusher))
	if err != nil {
		t.Fatal(err)
	}
	return s.URL(repositoryAndTag), descriptor.Digest.Hex
}

// URL returns how a WasmPlugin names an image, for example mooring:1.
func (s *Server) URL(repositoryAndTag string) string {
	return "oci://" + s.Addr + "/" + repositoryAndTag
}

// PutFile stores a file and returns its URLs with http and with https.
func (s *Server) PutFile(path string, content []byte) (http, https string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = content
	return fmt.Sprintf("http://%s%s%s", s.Addr, filesPath, path),
		fmt.Sprintf("https://%s:%d%s%s", s.IP, httpsPort, filesPath, path)
}
