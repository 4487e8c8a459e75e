//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Which pods are callers, and what else in their namespaces stays as it is.

// A consumer route, in another namespace than the Service, gives sessions to the callers of its own namespace only.
func TestConsumerRouteIsForTheCallersOfItsNamespace(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sidecars", scenario.WithManifests("sidecars/consumer"), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t, "--callers", "sidecars", "--callers", "sidecars-shop")
	expectSessions(t, "/", clientsOf(t, s, "shop"))
	expectNoSessions(t, "a caller in the namespace of the Service", "/", clientsOf(t, s, "productpage"))
}

// All pods of a namespace are callers, and with them its gateway, whose routes have no sessions.
func TestAllPodsOfANamespaceAreCallers(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route", withDoors())
	s.Mooring.Deploy(t, "--callers", s.Namespace)
	expectNothingAtOtherDoors(t, s)
	for _, deployment := range []string{"productpage", "batch"} {
		expectSessions(t, "/", clientsOf(t, s, deployment))
	}
}

// The root namespace stands for all pods of the mesh. On a control plane that no other scenario uses at the same time.
func TestAllPodsOfTheMeshAreCallers(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route", scenario.WithManifests("sidecars/all"), withDoors(),
		scenario.WithGatewayAPI(cluster.GatewayAPI12), scenario.WithExclusiveControlPlane())
	s.Mooring.Deploy(t, "--callers", cluster.RootNamespace)
	expectNothingAtOtherDoors(t, s)
	for _, deployment := range []string{"productpage", "batch", "shop"} {
		expectSessions(t, "/", clientsOf(t, s, deployment))
	}
	s.Mooring.Undeploy(t)
	expectNoSessions(t, "without Mooring", "/", clientsOf(t, s, "shop"))
}

// withDoors adds the other ways by which requests reach the namespace: a gateway, and the sidecars' inbound listeners.
func withDoors() scenario.Option { return scenario.WithManifests("sidecars/doors") }

// expectNothingAtOtherDoors fails if what others send to the callers' pods, or through a gateway of their namespace, gets a session.
func expectNothingAtOtherDoors(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	caller := s.Sidecars(t, "productpage")[0]
	inbound := func(t testing.TB) *traffic.Client { return caller.InboundClient(t, 9080) }
	expectNoSessions(t, "inbound", "/", inbound)
	expectNoSessions(t, "a gateway of the namespace", "/", s.Gateway(t, "front").Client)
	for address, listener := range listenersOf(t, caller.Envoy) {
		has := strings.Contains(listener, "mooring")
		if want := address == caller.ListenIP; has != want {
			t.Errorf("the sidecar's listener on %s has filters of Mooring: %t", address, has)
		}
	}
	// The module is in the gateway too: istiod counts a gateway as a client.
	gateway := s.Gateway(t, "front").Envoy
	gateway.Await(t, "the module is disabled in the gateway", func() error { return isModuleDisabled(gateway) })
}

// isModuleDisabled returns an error unless all routes have the module disabled.
func isModuleDisabled(e *envoy.Envoy) error {
	var dump struct {
		Configs []struct {
			Routes struct {
				Filters map[string]struct {
					Disabled bool `json:"disabled"`
				} `json:"typed_per_filter_config"`
			} `json:"route_config"`
		} `json:"configs"`
	}
	if err := e.Dump("dynamic_route_configs", &dump); err != nil {
		return err
	}
	for _, config := range dump.Configs {
		disabled := false
		for name, filter := range config.Routes.Filters {
			disabled = disabled || filter.Disabled && strings.Contains(name, "mooring-callers")
		}
		if !disabled {
			return fmt.Errorf("it is not in %v", config.Routes.Filters)
		}
	}
	return nil
}

// listenersOf returns the listeners of an Envoy as JSON, by their addresses without the ports.
func listenersOf(t *testing.T, e *envoy.Envoy) map[string]string {
	t.Helper()
	var dump struct {
		Configs []struct {
			Active struct {
				Listener struct {
					Address struct {
						Socket struct {
							Address string `json:"address"`
						} `json:"socket_address"`
					} `json:"address"`
					Chains json.RawMessage `json:"filter_chains"`
				} `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	if err := e.Dump("dynamic_listeners", &dump); err != nil {
		t.Fatal(err)
	}
	listeners := map[string]string{}
	for _, config := range dump.Configs {
		listener := config.Active.Listener
		listeners[listener.Address.Socket.Address] += string(listener.Chains)
	}
	return listeners
}
