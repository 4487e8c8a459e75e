package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Balancer stands for what is in front of several gateways: each connection goes to the next one of them.
type Balancer struct {
	t    testing.TB
	mu   sync.Mutex
	next int
	in   []*Gateway
}

// Balance puts a balancer before gateways.
func (s *Scenario) Balance(gateways []*Gateway) *Balancer {
	return &Balancer{t: s.t, in: slices.Clone(gateways)}
}

// Client is a visitor of port 80 with a new connection for each request, so that every request meets another gateway. A gateway
// that does not listen is passed over.
func (b *Balancer) Client() *Client {
	client := newClient(b.t, "mesh.example", func(ctx context.Context) (net.Conn, error) {
		err := errors.New("no gateway")
		for _, g := range b.turn() {
			var conn net.Conn
			if conn, err = g.dial(ctx, g.ports[80]); err == nil {
				return conn, nil
			}
		}
		return nil, err
	})
	client.transport.DisableKeepAlives = true
	return client
}

// turn is the order in which the gateways are tried: each time another one comes first.
func (b *Balancer) turn() []*Gateway {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.in) == 0 {
		return nil
	}
	b.next = (b.next + 1) % len(b.in)
	return slices.Concat(b.in[b.next:], b.in[:b.next])
}

// TakeOut sends no new connection to a gateway and waits until it has none left.
func (b *Balancer) TakeOut(g *Gateway) {
	b.t.Helper()
	b.mu.Lock()
	b.in = slices.DeleteFunc(b.in, func(other *Gateway) bool { return other == g })
	b.mu.Unlock()
	Eventually(b.t, "gateway "+g.Name+" has no connection left", func() error {
		stats, err := g.stats(`^listener\..*\.downstream_cx_active$`)
		for name, n := range stats {
			if !strings.HasPrefix(name, "listener.admin.") && n > 0 {
				err = fmt.Errorf("%s: %d", name, n)
			}
		}
		return err
	})
}

// PutBack sends connections to a gateway again.
func (b *Balancer) PutBack(g *Gateway) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in = append(b.in, g)
}
