// Package gateway runs gateways: stock Envoys that istiod configures.
package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/testenv"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// NameLabel is the label of a gateway's pods that names its Gateway.
const NameLabel = "gateway.networking.k8s.io/gateway-name"

// A Gateway is one Envoy that plays the pod of a gateway Deployment. Methods that take a testing.TB fail the test on any error.
type Gateway struct {
	Name      string // of the pod
	Namespace string
	Owner     string // the Deployment
	IP        string
	Labels    map[string]string
	Node      *corev1.Node // nil if the pod is scheduled on no particular Node
	// Ports maps each port of the Service to the port that this Envoy listens on: all Envoys share one network namespace, and istiod
	// binds listeners to every address.
	Ports map[int]int
	Envoy *envoy.Envoy
}

// Options are the settings of a gateway's Envoy.
type Options struct {
	Workers int      // the number of worker threads; each balances load for itself
	Env     []string // NAME=value
	Dir     string   // where its bootstrap and log go
}

// Start starts Envoy. It does not wait for the configuration; see AwaitServing.
func (g *Gateway) Start(env *testenv.Env, c *cluster.Cluster, o Options) error {
	bootstrap, err := g.bootstrap(c)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(bootstrap, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(o.Dir, g.Name+".json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	g.Envoy = &envoy.Envoy{Name: g.Name, IP: g.IP}
	g.Envoy.Process, err = env.StartEnvoy(o.Dir, g.Name, o.Env,
		"--config-path", file, "--concurrency", strconv.Itoa(o.Workers), "--disable-hot-restart",
		"--log-level", "info", "--drain-time-s", "1")
	return err
}

// Client returns a new client of port 80, or of the only port.
func (g *Gateway) Client(t testing.TB) *traffic.Client {
	t.Helper()
	if _, ok := g.Ports[80]; !ok && len(g.Ports) == 1 {
		for port := range g.Ports {
			return g.ClientOnPort(t, port)
		}
	}
	return g.ClientOnPort(t, 80)
}

// ClientForHost is Client with a host name.
func (g *Gateway) ClientForHost(t testing.TB, host string) *traffic.Client {
	t.Helper()
	client := g.Client(t)
	client.Host = host
	return client
}

// ClientOnPort returns a new client of a port, numbered as in the Service.
func (g *Gateway) ClientOnPort(t testing.TB, port int) *traffic.Client {
	t.Helper()
	own, ok := g.Ports[port]
	if !ok {
		t.Fatalf("gateway %s has no port %d but %v", g.Name, port, g.Ports)
	}
	return traffic.NewClient(t, g.dialer(own))
}

// GRPCClient returns a new gRPC client of port 80, which sends this host name.
func (g *Gateway) GRPCClient(host string) (*traffic.GRPCClient, error) {
	return traffic.NewGRPCClient(host, g.dialer(g.Ports[80]))
}

// CallGRPC makes one call on its own connection, with the given metadata: name, value, name, value…
func (g *Gateway) CallGRPC(metadata ...string) (traffic.Reply, error) {
	client, err := g.GRPCClient(traffic.DefaultHost)
	if err != nil {
		return traffic.Reply{}, err
	}
	defer client.Close()
	return client.Call(metadata...)
}

func (g *Gateway) dialer(own int) traffic.Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", g.address(own))
	}
}

func (g *Gateway) address(own int) string { return net.JoinHostPort(g.IP, strconv.Itoa(own)) }

// AwaitServing waits until Envoy has its first configuration, and each of its workers listens on every port of its Service.
func (g *Gateway) AwaitServing() error {
	err := wait.Until("gateway "+g.Name+" serves", func() error {
		if err := g.Envoy.Ready(); err != nil {
			return err
		}
		for port, own := range g.Ports {
			conn, err := net.DialTimeout("tcp", g.address(own), time.Second)
			if err != nil {
				return fmt.Errorf("port %d: %w", port, err)
			}
			conn.Close()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return g.Envoy.SyncWorkers()
}

// Healthy returns an error if Envoy has exited or has rejected configuration.
func (g *Gateway) Healthy() error {
	if err := g.Envoy.Process.Exited(); err != nil {
		return err
	}
	if rejected, err := g.Envoy.Rejected(); err == nil && len(rejected) > 0 {
		return fmt.Errorf("gateway %s rejected configuration: %s", g.Name, strings.Join(rejected, ", "))
	}
	return nil
}

// Restart ends Envoy, starts it again and waits until it serves.
func (g *Gateway) Restart(t testing.TB) {
	t.Helper()
	g.RestartNotServing(t)
	if err := g.AwaitServing(); err != nil {
		t.Fatal(err)
	}
}

// Crash kills Envoy, calls without, starts Envoy again and waits until it serves.
func (g *Gateway) Crash(t testing.TB, without func()) {
	t.Helper()
	g.Envoy.Process.Kill()
	without()
	if err := g.Envoy.Process.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.AwaitServing(); err != nil {
		t.Fatal(err)
	}
}

// RestartNotServing ends Envoy, starts it again and waits for its administration interface only, because it may never serve.
func (g *Gateway) RestartNotServing(t testing.TB) {
	t.Helper()
	g.Envoy.Process.Stop()
	if err := g.Envoy.Process.Start(); err != nil {
		t.Fatal(err)
	}
	wait.Eventually(t, "gateway "+g.Name+" runs", g.Envoy.Running)
}
