package cluster

import (
	"strings"

	"mooring.dev/tests/mesh/internal/kube"
)

// adaptWaypoints makes waypoints of a stock Envoy: it removes the two filters that only Istio's own build has, and names one of Envoy's own
// object factories in a third.
func (c *Cluster) adaptWaypoints() error {
	objects, err := kube.ReadYAML(strings.NewReader(waypointFilter))
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if _, err := c.Kube.Apply(obj); err != nil {
			return err
		}
	}
	return nil
}

// waypointFilter is applied in the root namespace. The filter that it replaces keeps Istio's own content, except for the name of the factory,
// which is istio.hashable_string there.
const waypointFilter = `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: stock-envoy, namespace: istio-system}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: istio-waypoint}]
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: waypoint_upstream_peer_metadata}}}}
    patch: {operation: REMOVE}
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: waypoint_downstream_peer_metadata}}}}
    patch: {operation: REMOVE}
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: connect_authority}}}}
    patch:
      operation: REPLACE
      value:
        name: connect_authority
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config
          on_request_headers:
          - object_key: envoy.filters.listener.original_dst.local_ip
            format_string: {text_format_source: {inline_string: "%REQ(:AUTHORITY)%"}}
            shared_with_upstream: ONCE
          - object_key: io.istio.connect_authority
            factory_key: envoy.hashable_string
            format_string: {text_format_source: {inline_string: "%REQ(:AUTHORITY)%"}}
            shared_with_upstream: ONCE
          - object_key: envoy.filters.listener.original_dst.remote_ip
            format_string: {text_format_source: {inline_string: "%DOWNSTREAM_REMOTE_ADDRESS%"}}
            shared_with_upstream: ONCE
          - object_key: io.istio.peer_principal
            factory_key: envoy.hashable_string
            format_string: {text_format_source: {inline_string: "%DOWNSTREAM_PEER_URI_SAN%"}}
            shared_with_upstream: ONCE
          - object_key: io.istio.local_principal
            factory_key: envoy.hashable_string
            format_string: {text_format_source: {inline_string: "%DOWNSTREAM_LOCAL_URI_SAN%"}}
            shared_with_upstream: ONCE
`
