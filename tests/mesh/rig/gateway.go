package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A Gateway is one stock Envoy that istiod configures, in the place of the pod of a gateway Deployment.
type Gateway struct {
	Name      string // of the pod
	Namespace string
	IP        string
	Envoy     *Process

	owner   string // the Deployment
	labels  map[string]string
	node    *corev1.Node // nil: nowhere in particular
	ports   map[int]int  // port of the Service → port that this Envoy listens on
	dir     string
	t       testing.TB
	cluster *Cluster
}

const adminPort = 15000

func (g *Gateway) start(workers int, env []string) error {
	discovery := map[string]any{"envoy_grpc": map[string]any{"cluster_name": "xds-grpc"}}
	if g.cluster.followed {
		token, err := g.identity()
		if err != nil {
			return err
		}
		discovery["initial_metadata"] = []map[string]string{{"key": "authorization", "value": "Bearer " + token}}
	}
	bootstrap, err := json.MarshalIndent(g.bootstrap(discovery), "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(g.dir, g.Name+".json")
	if err := os.WriteFile(file, bootstrap, 0o644); err != nil {
		return err
	}
	g.Envoy, err = start(g.dir, g.Name, env, os.Getenv("ENVOY"),
		"--config-path", file, "--concurrency", strconv.Itoa(workers), "--disable-hot-restart",
		"--log-level", "info", "--drain-time-s", "1")
	return err
}

// bootstrap is what Istio's agent would write: who the node is, and where its configuration comes from.
func (g *Gateway) bootstrap(discovery map[string]any) any {
	type m = map[string]any
	locality := m{}
	if g.node != nil {
		locality["region"] = g.node.Labels[corev1.LabelTopologyRegion]
		locality["zone"] = g.node.Labels[corev1.LabelTopologyZone]
	}
	ads := m{"ads": m{}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
	return m{
		"node": m{
			"id":      fmt.Sprintf("router~%s~%s.%s~%s.svc.cluster.local", g.IP, g.Name, g.Namespace, g.Namespace),
			"cluster": g.owner + "." + g.Namespace, "locality": locality,
			"metadata": m{
				"NAME": g.Name, "NAMESPACE": g.Namespace, "LABELS": g.labels,
				"CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": istioVersion, "INSTANCE_IPS": g.IP,
			},
		},
		"admin": m{"address": socket(g.IP, adminPort)},
		"dynamic_resources": m{
			"ads_config": m{
				"api_type": "DELTA_GRPC", "transport_api_version": "V3",
				"grpc_services": []m{discovery},
			},
			"cds_config": ads, "lds_config": ads,
		},
		"static_resources": m{"clusters": []m{{
			"name": "xds-grpc", "type": "STATIC", "connect_timeout": "1s",
			"load_assignment": m{"cluster_name": "xds-grpc", "endpoints": []m{{"lb_endpoints": []m{{
				"endpoint": m{"address": socket(g.cluster.ip, 15010)},
			}}}}},
			"typed_extension_protocol_options": m{
				"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": m{
					"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
					"explicit_http_config": m{"http2_protocol_options": m{}},
				},
			},
		}}},
	}
}

func socket(ip string, port int) any {
	return map[string]any{"socket_address": map[string]any{"address": ip, "port_value": port}}
}

// Client is a new visitor of the gateway's port 80, or of its only port.
func (g *Gateway) Client() *Client {
	g.t.Helper()
	if _, ok := g.ports[80]; !ok && len(g.ports) == 1 {
		for port := range g.ports {
			return g.ClientOn(port)
		}
	}
	return g.ClientOn(80)
}

// ClientOn is a new visitor of a port, numbered as in the Service.
func (g *Gateway) ClientOn(port int) *Client {
	g.t.Helper()
	own, ok := g.ports[port]
	if !ok {
		g.t.Fatalf("gateway %s has no port %d but %v", g.Name, port, g.ports)
	}
	return newClient(g.t, "mesh.example", func(ctx context.Context) (net.Conn, error) { return g.dial(ctx, own) })
}

func (g *Gateway) dial(ctx context.Context, own int) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(g.IP, strconv.Itoa(own)))
}

// awaitServing waits until Envoy has its first configuration and listens on every port of its Service.
func (g *Gateway) awaitServing() error {
	return poll("gateway "+g.Name+" serves", func() error {
		if err := g.Envoy.Died(); err != nil {
			return hopeless{err}
		}
		if _, err := g.admin("/ready"); err != nil {
			return err
		}
		for port, own := range g.ports {
			conn, err := net.DialTimeout("tcp", net.JoinHostPort(g.IP, strconv.Itoa(own)), time.Second)
			if err != nil {
				return fmt.Errorf("port %d: %w", port, err)
			}
			conn.Close()
		}
		return nil
	})
}

func (g *Gateway) containerPorts() []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for port, own := range g.ports {
		ports = append(ports, corev1.ContainerPort{Name: gatewayPortName(port), ContainerPort: int32(own)})
	}
	return ports
}

// Restart ends Envoy, starts it again and waits until it serves.
func (g *Gateway) Restart() {
	g.t.Helper()
	g.RestartUnseen()
	if err := g.awaitServing(); err != nil {
		g.t.Fatal(err)
	}
}

// Crash kills Envoy, does something without it, starts it again and waits until it serves.
func (g *Gateway) Crash(without func()) {
	g.t.Helper()
	g.Envoy.Kill()
	without()
	if err := g.Envoy.start(); err != nil {
		g.t.Fatal(err)
	}
	if err := g.awaitServing(); err != nil {
		g.t.Fatal(err)
	}
}

// RestartUnseen ends Envoy, starts it again and waits for its administration interface only, in case it is never to serve.
func (g *Gateway) RestartUnseen() {
	g.t.Helper()
	g.Envoy.Stop()
	if err := g.Envoy.start(); err != nil {
		g.t.Fatal(err)
	}
	Eventually(g.t, "gateway "+g.Name+" runs", func() error {
		if err := g.Envoy.Died(); err != nil {
			return hopeless{err}
		}
		_, err := g.admin("/server_info")
		return err
	})
}

// Admin reads a page of Envoy's administration interface.
func (g *Gateway) Admin(path string) string {
	g.t.Helper()
	page, err := g.admin(path)
	if err != nil {
		g.t.Fatal(err)
	}
	return page
}

func (g *Gateway) admin(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	page := fmt.Sprintf("http://%s:%d%s", g.IP, adminPort, path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", path, response.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

// Stat is the value of one counter or gauge; one that Envoy has not made yet is 0.
func (g *Gateway) Stat(name string) int {
	g.t.Helper()
	stats, err := g.stats("^" + regexp.QuoteMeta(name) + "$")
	if err != nil {
		g.t.Fatal(err)
	}
	return stats[name]
}

// Stats are all counters and gauges.
func (g *Gateway) Stats() map[string]int {
	g.t.Helper()
	stats, err := g.stats("")
	if err != nil {
		g.t.Fatal(err)
	}
	return stats
}

// stats are the counters and gauges whose names fit a regular expression; there are thousands, so Envoy is not asked for all
// of them again and again.
func (g *Gateway) stats(names string) (map[string]int, error) {
	page, err := g.admin("/stats?format=json&type=All&filter=" + url.QueryEscape(names))
	if err != nil {
		return nil, err
	}
	var list struct {
		Stats []struct {
			Name  string `json:"name"`
			Value any    `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal([]byte(page), &list); err != nil {
		return nil, err
	}
	stats := map[string]int{}
	for _, stat := range list.Stats {
		if value, ok := stat.Value.(float64); ok { // text readouts and histograms are left out
			stats[stat.Name] = int(value)
		}
	}
	return stats, nil
}

// rejected names each kind of configuration of which Envoy has refused an update.
func (g *Gateway) rejected() ([]string, error) {
	// ECDS counts in config_fail and update_rejected, LDS, CDS and RDS in update_rejected.
	stats, err := g.stats(`\.(update_rejected|config_fail)$`)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, value := range stats {
		if value > 0 {
			names = append(names, fmt.Sprintf("%s=%d", name, value))
		}
	}
	return names, nil
}
