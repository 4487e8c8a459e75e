package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// A Balancer plays the load balancer in front of several gateways: each connection goes to the next gateway. It is safe for concurrent
// use.
type Balancer struct {
	mu       sync.Mutex
	next     int
	gateways []*Gateway
}

// NewBalancer returns a balancer in front of gateways.
func NewBalancer(gateways []*Gateway) *Balancer {
	return &Balancer{gateways: slices.Clone(gateways)}
}

// Client returns a client of port 80 that opens a new connection for each request, so that each request reaches the next gateway. The
// balancer skips a gateway that does not listen.
func (b *Balancer) Client(t testing.TB) *traffic.Client {
	return traffic.NewClient(t, b.dial, traffic.WithoutKeepAlive())
}

func (b *Balancer) dial(ctx context.Context) (net.Conn, error) {
	err := errors.New("no gateway")
	for _, g := range b.turn() {
		var conn net.Conn
		if conn, err = g.Dialer(80)(ctx); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// turn returns the gateways in the order in which the next connection tries them.
func (b *Balancer) turn() []*Gateway {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.gateways) == 0 {
		return nil
	}
	b.next = (b.next + 1) % len(b.gateways)
	return slices.Concat(b.gateways[b.next:], b.gateways[:b.next])
}

// Remove sends no new connection to a gateway, and waits until the gateway has none left.
func (b *Balancer) Remove(t testing.TB, g *Gateway) {
	t.Helper()
	b.mu.Lock()
	b.gateways = slices.DeleteFunc(b.gateways, func(other *Gateway) bool { return other == g })
	b.mu.Unlock()
	wait.Eventually(t, "gateway "+g.Name+" has no connection left", func() error {
		stats, err := g.Envoy.Stats(`^listener\..*\.downstream_cx_active$`)
		for name, n := range stats {
			if !strings.HasPrefix(name, "listener.admin.") && n > 0 {
				err = fmt.Errorf("%s: %d", name, n)
			}
		}
		return err
	})
}

// Add sends connections to a gateway again.
func (b *Balancer) Add(g *Gateway) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gateways = append(b.gateways, g)
}
