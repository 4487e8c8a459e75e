package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/hbone"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/waypoint"
)

// Waypoint returns the first Envoy of the waypoint of this name.
func (s *Scenario) Waypoint(t testing.TB, name string) *waypoint.Waypoint {
	t.Helper()
	for _, w := range s.manager.Waypoints {
		if w.Owner == name {
			return w
		}
	}
	t.Fatalf("no waypoint %s", name)
	return nil
}

// fromWaypoint returns a caller in the ambient mesh.
func (s *Scenario) fromWaypoint(t testing.TB, deployment string) Caller {
	t.Helper()
	if len(s.manager.Waypoints) == 0 {
		t.Fatal("no waypoint")
	}
	identity, err := s.Cluster.Authority.Issue(s.Namespace, deployment)
	if err != nil {
		t.Fatal(err)
	}
	return &ambientCaller{s: s, t: t, identity: identity}
}

// An ambientCaller plays the ztunnel of a pod: it sends requests in tunnels to the waypoint of the Service that it calls.
type ambientCaller struct {
	s        *Scenario
	t        testing.TB
	identity *hbone.Identity
	waypoint *waypoint.Waypoint // of the last call
}

// ClientForHost implements Caller. The host is <service>[.<namespace>…][:<port>].
func (c *ambientCaller) ClientForHost(t testing.TB, host string) *traffic.Client {
	t.Helper()
	via, target, err := c.locate(host)
	if err != nil {
		t.Fatal(err)
	}
	client := traffic.NewClient(t, func(ctx context.Context) (net.Conn, error) { return c.identity.Dial(ctx, via, target) })
	client.Host = host
	return client
}

// AddressFor implements Caller.
func (c *ambientCaller) AddressFor(host string) string {
	via, target, err := c.locate(host)
	if err != nil {
		c.t.Error(err)
		return ""
	}
	listener, err := c.identity.Listen(fmt.Sprintf("%s:%d", c.s.env.NextIP(), c.s.env.NextPort()), via, target)
	if err != nil {
		c.t.Error(err)
		return ""
	}
	c.t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// Proxy implements Caller. If there are several waypoints, it is that of the Service last called.
func (c *ambientCaller) Proxy() *envoy.Envoy {
	if c.waypoint == nil {
		return c.s.manager.Waypoints[0].Envoy
	}
	return c.waypoint.Envoy
}

// locate returns the addresses of the waypoint and of the Service.
func (c *ambientCaller) locate(host string) (via, target string, err error) {
	name, port, _ := strings.Cut(host, ":")
	name, rest, ok := strings.Cut(name, ".")
	namespace, _, _ := strings.Cut(rest, ".")
	if !ok {
		namespace = c.s.Namespace
	}
	w, service := c.s.manager.WaypointOf(namespace + "/" + name)
	if w == nil {
		return "", "", fmt.Errorf("Service %s/%s has no waypoint", namespace, name)
	}
	if port == "" {
		port = "80"
		if len(service.Spec.Ports) == 1 {
			port = strconv.Itoa(int(service.Spec.Ports[0].Port))
		}
	}
	if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == "None" {
		return "", "", errors.New("Service " + host + " has no address")
	}
	c.waypoint = w
	return fmt.Sprintf("%s:%d", w.IP, hbone.Port), net.JoinHostPort(service.Spec.ClusterIP, port), nil
}
