//! The patches of an `EnvoyFilter`.

use serde_json::{Value, json};

use super::version::IstioVersion;
use crate::{
    emit::{http_filters, json::with},
    id::Id,
    ir::{Gateway, VirtualHost, VirtualHostFilters},
};

/// The priority of the patches. It is not 0, because istioctl warns of relative patches without a priority (IST0151).
const PRIORITY: u32 = 100;

/// The configuration type of the HTTP connection manager.
const CONNECTION_MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The name of the module's HTTP filter on a gateway.
pub fn filter_name(gateway: &Gateway, version: IstioVersion) -> String {
    let Id { namespace, name } = gateway.object_id();
    version.filter_name(&namespace, &name)
}

/// The patches on the filters of a gateway. A gateway needs them once.
pub fn filter_patches(module: &str) -> Vec<Value> {
    let sanitizer = http_filters::sanitizer_of_requests();
    let sanitizer = json!({
        "typed_config": {
            "@type": http_filters::type_url(CONNECTION_MANAGER),
            "early_header_mutation_extensions": [sanitizer],
        },
    });
    let router = Some("envoy.filters.http.router");
    let mut patches = vec![
        filter_patch("NETWORK_FILTER", "MERGE", None, &sanitizer),
        filter_patch(
            "HTTP_FILTER",
            "INSERT_FIRST",
            None,
            &http_filters::sanitizer_of_responses(),
        ),
        // A WasmPlugin has no field that disables the filter.
        route_patch(
            "ROUTE_CONFIGURATION",
            "MERGE",
            &Value::Null,
            &json!({ "typed_per_filter_config": http_filters::disabled(module) }),
        ),
    ];
    // Each is inserted directly before the router, so the order stays.
    let filters = http_filters::before_router();
    patches.extend(
        filters
            .iter()
            .map(|filter| filter_patch("HTTP_FILTER", "INSERT_BEFORE", router, filter)),
    );
    patches
}

/// The patch on a virtual host with rules.
pub fn host_patch(host: &VirtualHost, filters: VirtualHostFilters, module: &str) -> Value {
    route_patch(
        "VIRTUAL_HOST",
        "MERGE",
        &json!({ "vhost": { "name": host.name() } }),
        &json!({
            "request_headers_to_remove": http_filters::internal_headers(),
            "typed_per_filter_config": http_filters::of_host(module, filters),
        }),
    )
}

/// The spec of an `EnvoyFilter`.
pub fn envoy_filter(gateway: &Gateway, patches: Vec<Value>) -> Value {
    let spec = json!({
        "priority": PRIORITY,
        "workloadSelector": { "labels": gateway.pods().labels },
    });
    with(spec, "configPatches", patches)
}

fn filter_patch(apply_to: &str, operation: &str, before: Option<&str>, value: &Value) -> Value {
    let filter = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "subFilter": before.map(|name| json!({ "name": name })),
    });
    json!({
        "applyTo": apply_to,
        "match": { "context": "GATEWAY", "listener": { "filterChain": { "filter": filter } } },
        "patch": { "operation": operation, "value": value },
    })
}

/// A patch on a route configuration, a virtual host or a route.
pub fn route_patch(apply_to: &str, operation: &str, route_configuration: &Value, value: &Value) -> Value {
    json!({
        "applyTo": apply_to,
        "match": { "context": "GATEWAY", "routeConfiguration": route_configuration },
        "patch": { "operation": operation, "value": value },
    })
}
