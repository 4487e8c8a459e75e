package scenario

import (
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/sidecar"
	"mooring.dev/tests/mesh/internal/traffic"
)

// An Origin is where clients call from.
type Origin struct {
	role proxy.Role
	name string
}

// FromGateway is outside of the mesh: clients call through the first Envoy of a Gateway, or of the Deployment of that name.
func FromGateway(name string) Origin { return Origin{proxy.Gateway, name} }

// FromSidecar is the first pod of a Deployment: it calls through its sidecar. The pods must have the label of a sidecar.
func FromSidecar(deployment string) Origin { return Origin{proxy.Sidecar, deployment} }

// FromWaypoint is the first pod of a Deployment in the ambient mesh: it calls through the waypoint of the Service.
func FromWaypoint(deployment string) Origin { return Origin{proxy.Waypoint, deployment} }

func (o Origin) String() string { return string(o.role) + " " + o.name }

// A Caller makes clients of one origin.
type Caller interface {
	// ClientForHost returns a new client, which keeps its cookies and its connection and sends this host name. The port of "reviews:9080"
	// is the one that it connects to; without one it is 80, or the only port that there is.
	ClientForHost(t testing.TB, host string) *traffic.Client
	// AddressFor returns the address, with a port, to which a client for this host name connects.
	AddressFor(host string) string
	// Proxy returns the Envoy that routes the requests.
	Proxy() *envoy.Envoy
}

// From returns the caller of an origin.
func (s *Scenario) From(t testing.TB, o Origin) Caller {
	t.Helper()
	switch o.role {
	case proxy.Gateway:
		return caller{s.Gateway(t, o.name).Proxy}
	case proxy.Sidecar:
		return caller{s.Sidecars(t, o.name)[0].Proxy}
	default:
		return s.fromWaypoint(t, o.name)
	}
}

// Sidecars returns the sidecars of a Deployment's pods.
func (s *Scenario) Sidecars(t testing.TB, deployment string) []*sidecar.Sidecar {
	t.Helper()
	found := s.manager.SidecarsOf(deployment)
	if len(found) == 0 {
		t.Fatalf("no pod of %s has a sidecar", deployment)
	}
	return found
}

// A caller sends requests to a proxy by HTTP.
type caller struct{ proxy *proxy.Proxy }

func (c caller) ClientForHost(t testing.TB, host string) *traffic.Client {
	t.Helper()
	return c.proxy.ClientForHost(t, host)
}

func (c caller) AddressFor(host string) string { return c.proxy.AddressFor(host) }

func (c caller) Proxy() *envoy.Envoy { return c.proxy.Envoy }
