// Package proxy runs the Envoys that route requests and that istiod configures: gateways, sidecars and waypoints.
package proxy

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

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/testenv"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// A Role is what a proxy is for. Its value is the first part of the node id, from which istiod takes it.
type Role string

// The roles.
const (
	Gateway  Role = "router"
	Sidecar  Role = "sidecar"
	Waypoint Role = "waypoint"
)

// Roles are all roles.
var Roles = []Role{Gateway, Sidecar, Waypoint}

// A Proxy is one Envoy that istiod configures and that routes requests. Methods that take a testing.TB fail the test on any error.
type Proxy struct {
	Role      Role
	Name      string // of the pod
	Namespace string
	Owner     string // the Deployment
	IP        string // of the pod
	Labels    map[string]string
	Node      *corev1.Node   // nil if the pod is scheduled on no particular Node
	Metadata  map[string]any // of Envoy's node, besides what all proxies have
	// ListenIP is the address on which it serves clients.
	ListenIP string
	// Ports maps each port that clients use to the port that this Envoy listens on.
	Ports map[int]int
	// Services are those that a waypoint serves, as <namespace>/<name>.
	Services map[string]bool
	Envoy    *envoy.Envoy

	secrets *grpc.Server // gives Envoy its certificate; nil if Envoy asks for none
}

// Options are the settings of a proxy's Envoy.
type Options struct {
	Workers int      // the number of worker threads; each balances load for itself
	Env     []string // NAME=value
	Dir     string   // where its bootstrap and log go
	Agent   bool     // Istio's own agent starts Envoy
}

func (p *Proxy) String() string { return p.kind() + " " + p.Name }

func (p *Proxy) kind() string {
	if p.Role == Gateway {
		return "gateway"
	}
	return string(p.Role)
}

// Start starts Envoy. It does not wait for the configuration; see AwaitServing.
func (p *Proxy) Start(env *testenv.Env, c *cluster.Cluster, o Options) error {
	if o.Agent {
		return p.startAgent(env, c, o)
	}
	bootstrap, err := p.bootstrap(c)
	if err == nil && c.Ambient {
		err = p.joinAmbient(c, bootstrap)
	}
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(bootstrap, "", "  ")
	if err != nil {
		return err
	}
	name := p.processName()
	file := filepath.Join(o.Dir, name+".json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	p.Envoy = &envoy.Envoy{Name: p.Name, IP: p.IP}
	p.Envoy.Process, err = env.StartEnvoy(o.Dir, name, o.Env,
		"--config-path", file, "--concurrency", strconv.Itoa(o.Workers), "--disable-hot-restart",
		"--log-level", "info", "--drain-time-s", "1", "--file-flush-interval-msec", "200")
	return err
}

// Stop ends Envoy, if it has been started.
func (p *Proxy) Stop() {
	if p.Envoy != nil {
		p.Envoy.Process.Stop()
	}
	if p.secrets != nil {
		p.secrets.Stop()
	}
}

// processName names the process and its files. Pods of several namespaces can have the same name.
func (p *Proxy) processName() string {
	if p.Role == Gateway {
		return p.Name
	}
	return p.Name + "." + p.Namespace + "." + string(p.Role)
}

// ClientOnPort returns a new client of a port, as numbered for clients.
func (p *Proxy) ClientOnPort(t testing.TB, port int) *traffic.Client {
	t.Helper()
	if _, ok := p.Ports[port]; !ok {
		t.Fatalf("%s has no port %d but %v", p, port, p.Ports)
	}
	return traffic.NewClient(t, p.Dialer(port))
}

// Client returns a new client of port 80, or of the only port.
func (p *Proxy) Client(t testing.TB) *traffic.Client {
	t.Helper()
	return p.ClientOnPort(t, p.defaultPort())
}

func (p *Proxy) defaultPort() int {
	if _, ok := p.Ports[80]; !ok && len(p.Ports) == 1 {
		for port := range p.Ports {
			return port
		}
	}
	return 80
}

// ClientForHost is Client with a host name. If a port follows the host name, it is a client of that port; a gateway that does not have
// the port uses that of Client.
func (p *Proxy) ClientForHost(t testing.TB, host string) *traffic.Client {
	t.Helper()
	client := p.ClientOnPort(t, p.portFor(host))
	client.Host = host
	return client
}

// AddressFor returns the address to which ClientForHost connects.
func (p *Proxy) AddressFor(host string) string { return p.address(p.Ports[p.portFor(host)]) }

func (p *Proxy) portFor(host string) int {
	if _, text, err := net.SplitHostPort(host); err == nil {
		number, _ := strconv.Atoi(text) // 0, which is no port, if it is not a number
		if p.Ports[number] != 0 || p.Role != Gateway {
			return number
		}
	}
	return p.defaultPort()
}

// GRPCClient returns a new gRPC client with a host name. Its port is that of ClientForHost.
func (p *Proxy) GRPCClient(host string) (*traffic.GRPCClient, error) {
	return traffic.NewGRPCClient(host, p.Dialer(p.portFor(host)))
}

// CallGRPC makes one call on its own connection, with the given metadata: name, value, name, value…
func (p *Proxy) CallGRPC(metadata ...string) (traffic.Reply, error) {
	client, err := p.GRPCClient(traffic.DefaultHost)
	if err != nil {
		return traffic.Reply{}, err
	}
	defer client.Close()
	return client.Call(metadata...)
}

// Dialer connects to a port, as numbered for clients.
func (p *Proxy) Dialer(port int) traffic.Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		own, ok := p.Ports[port]
		if !ok {
			return nil, fmt.Errorf("%s has no port %d but %v", p, port, p.Ports)
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", p.address(own))
	}
}

func (p *Proxy) address(own int) string { return net.JoinHostPort(p.ListenIP, strconv.Itoa(own)) }

// AwaitServing waits until Envoy has its first configuration, and each of its workers listens on every port.
func (p *Proxy) AwaitServing() error {
	if err := wait.Until(p.String()+" serves", p.Serves); err != nil {
		return err
	}
	return p.Envoy.SyncWorkers()
}

// Serves returns an error unless Envoy has its first configuration and listens on every port.
func (p *Proxy) Serves() error {
	if err := p.Envoy.Ready(); err != nil {
		return err
	}
	if p.Role == Waypoint {
		// Until it has the filter by which it listens on its own address only, it listens on every address.
		if err := p.Envoy.HasListener(strconv.Quote(p.ListenIP), true); err != nil {
			return err
		}
	}
	for port, own := range p.Ports {
		conn, err := net.DialTimeout("tcp", p.address(own), time.Second)
		if err != nil {
			return fmt.Errorf("port %d: %w", port, err)
		}
		conn.Close()
	}
	return nil
}

// Healthy returns an error if Envoy has exited or has rejected configuration.
func (p *Proxy) Healthy() error {
	if err := p.Envoy.Process.Exited(); err != nil {
		return err
	}
	if rejected, err := p.Envoy.Rejected(); err == nil && len(rejected) > 0 {
		return fmt.Errorf("%s rejected configuration: %s", p, strings.Join(rejected, ", "))
	}
	return nil
}

// Restart ends Envoy, starts it again and waits until it serves.
func (p *Proxy) Restart(t testing.TB) {
	t.Helper()
	p.RestartNotServing(t)
	if err := p.AwaitServing(); err != nil {
		t.Fatal(err)
	}
}

// Crash kills Envoy, calls without, starts Envoy again and waits until it serves.
func (p *Proxy) Crash(t testing.TB, without func()) {
	t.Helper()
	p.Envoy.Process.Kill()
	without()
	if err := p.Envoy.Process.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitServing(); err != nil {
		t.Fatal(err)
	}
}

// RestartNotServing ends Envoy, starts it again and waits for its administration interface only, because it may never serve.
func (p *Proxy) RestartNotServing(t testing.TB) {
	t.Helper()
	p.Envoy.Process.Stop()
	if err := p.Envoy.Process.Start(); err != nil {
		t.Fatal(err)
	}
	wait.Eventually(t, p.String()+" runs", p.Envoy.Running)
}
