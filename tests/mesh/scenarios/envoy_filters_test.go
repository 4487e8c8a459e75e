//go:build mesh

package scenarios

import (
	"encoding/base64"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// What Envoy's own filters do for Mooring, without the Wasm module: the filters are configured by hand, and a Lua filter, the stand-in,
// takes the module's decision from request headers.

func startEnvoyFilters(t *testing.T, opts ...scenario.Option) (*scenario.Scenario, *gateway.Gateway) {
	s := rig.Start(t, "envoy-filters", opts...)
	gateway := s.Gateway(t, "front")
	gateway.Envoy.AwaitListener(t, "mooring.header_sanitizer")
	gateway.Envoy.AwaitRoute(t, "envoy-filters.shop.0", envoy.Containing("mooring.stateful_session"))
	gateway.Envoy.AwaitRoute(t, "envoy-filters.shop.1", envoy.Containing("mooring.stateful_session"))
	return s, gateway
}

func addStandIn(t *testing.T, s *scenario.Scenario, gateway *gateway.Gateway) {
	t.Helper()
	s.ApplyFile(t, "stand-in/envoyfilter.yaml")
	gateway.Envoy.AwaitListener(t, "stand-in")
}

// encode returns the address of a pod as x-mooring-host has it.
func encode(pod *pods.Pod) string {
	return base64.StdEncoding.EncodeToString([]byte(pod.IP + ":8080"))
}

func TestEnvoyFiltersSelectTheBackendAndThePod(t *testing.T) {
	t.Parallel()
	s, gateway := startEnvoyFilters(t)
	addStandIn(t, s, gateway)
	client := gateway.Client(t)
	for _, c := range []struct {
		name    string
		path    string
		backend string
		host    string
		version string // expected
	}{
		{"the requested host of a split", "/split", "0", "shop-v1-1", "v1"},
		{"the requested host of the other backend", "/split", "1", "shop-v2-1", "v2"},
		{"the rule's other match", "/also-split", "1", "shop-v2-0", "v2"},
		{"one backend", "/single", "", "shop-v1-2", "v1"},
		{"a backend without a host", "/split", "1", "", "v2"},
		{"an unknown backend is the primary one", "/split", "7", "", "v1"},
		{"no backend is the primary one", "/split", "", "", "v1"},
		{"a host of another backend is not reached", "/split", "0", "shop-v2-0", "v1"},
		{"a backend of another rule is not reached", "/single", "1", "", "v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var decision []traffic.RequestOption
			if c.backend != "" {
				decision = append(decision, traffic.WithHeader("decide-backend", c.backend))
			}
			onHost := false
			if c.host != "" {
				decision = append(decision, traffic.WithHeader("decide-host", encode(s.Pod(t, c.host))))
				onHost = s.Pod(t, c.host).Version == c.version
			}
			for range 10 {
				reply := client.Get(t, c.path, decision...)
				if reply.Version != c.version || onHost && reply.Pod != c.host {
					t.Fatalf("pod %q of version %q answered, status %d", reply.Pod, reply.Version, reply.Status)
				}
				// Envoy reports the selected host to the filter only if it is another one than requested.
				if reported := reply.Header.Get("chosen-host") != ""; reported == onHost {
					t.Fatalf("requested host used: %t, selected host reported: %t", onHost, reported)
				}
				expectNoInternalHeaders(t, reply)
			}
		})
	}
}

func TestRouteWithoutPatchIgnoresInternalHeaders(t *testing.T) {
	t.Parallel()
	s, gateway := startEnvoyFilters(t)
	addStandIn(t, s, gateway)
	client := gateway.Client(t)
	counts := traffic.Tally(100, func() string {
		decision := traffic.WithHeader("decide-host", encode(s.Pod(t, "shop-v2-0")))
		return client.Get(t, "/untouched", decision, traffic.WithHeader("decide-backend", "1")).Version
	})
	expectShares(t, "untouched", counts, map[string]int{"v1": 50, "v2": 50})
}

// The cluster specifier replaces the weighted clusters, so it can select a backend of weight 0.
func TestClusterSpecifierSelectsABackendOfWeightZero(t *testing.T) {
	t.Parallel()
	s, gateway := startEnvoyFilters(t)
	addStandIn(t, s, gateway)
	s.Patch(t, "gateway.networking.k8s.io/v1", "HTTPRoute", "shop", `{"spec":{"rules":[{
		"matches": [{"path": {"type": "PathPrefix", "value": "/split"}}],
		"backendRefs": [{"name": "shop-v1", "port": 80, "weight": 1}, {"name": "shop-v2", "port": 80, "weight": 0}]
	}]}}`)
	// The change removes the other rules.
	gateway.Envoy.AwaitNoRoute(t, "envoy-filters.shop.1")
	client := gateway.Client(t)
	for _, host := range []string{"shop-v1-0", "shop-v2-0"} {
		pod := s.Pod(t, host)
		key := map[string]string{"v1": "0", "v2": "1"}[pod.Version]
		reply := client.Get(t, "/split", traffic.WithHeader("decide-backend", key), traffic.WithHeader("decide-host", encode(pod)))
		if reply.Pod != host {
			t.Errorf("host %s requested, pod %q answered", host, reply.Pod)
		}
	}
}

// Without the module, only the header sanitizer keeps a client from selecting a backend.
func TestHeaderSanitizerRemovesInternalHeadersOfClients(t *testing.T) {
	t.Parallel()
	s, gateway := startEnvoyFilters(t)
	client := gateway.Client(t)
	counts := traffic.Tally(60, func() string {
		reply := client.Get(t, "/split",
			traffic.WithHeader("x-mooring-backend", "1"), traffic.WithHeader("X-Mooring-Host", encode(s.Pod(t, "shop-v1-1"))))
		expectNoInternalHeaders(t, reply)
		return reply.Pod
	})
	if len(counts) != 3 || counts["shop-v1-0"] == 0 || counts["shop-v1-1"] == 0 || counts["shop-v1-2"] == 0 {
		t.Errorf("not spread over the primary backend's pods: %v", counts)
	}
}

func TestAnalyzeReportsOnlyTheEnvoyFilter(t *testing.T) {
	t.Parallel()
	s, _ := startEnvoyFilters(t)
	for _, finding := range s.Analyze(t) {
		t.Log(finding)
		if finding.Code != "IST0133" && finding.Origin != "CustomResourceDefinition tcproutes.gateway.networking.k8s.io" {
			t.Errorf("unexpected: %s", finding)
		}
	}
}

func expectNoInternalHeaders(t *testing.T, reply traffic.Reply) {
	t.Helper()
	for _, name := range []string{"X-Mooring-Backend", "X-Mooring-Host"} {
		if reply.Received.Headers.Get(name) != "" || reply.Header.Get(name) != "" {
			t.Errorf("%s leaves the gateway", name)
		}
	}
}
