//! The patches of an `EnvoyFilter`.

use serde_json::{Value, json};

use super::version::IstioVersion;
use crate::{
    emit::{http_filters, json::with},
    id::Id,
    ir::{ProxyGroup, Role, VirtualHost, VirtualHostFilters},
};

/// The priority of the patches. It is not 0, because istioctl warns of relative patches without a priority (IST0151).
pub const PRIORITY: u32 = 100;

/// The configuration type of the HTTP connection manager.
const CONNECTION_MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The name of the module's HTTP filter on the proxies.
pub fn filter_name(group: &ProxyGroup, version: IstioVersion) -> String {
    let Id { namespace, name } = group.object_id();
    version.filter_name(&namespace, &name)
}

/// The context of patches on gateways.
const GATEWAY: &str = "GATEWAY";

/// The context of patches on the proxies: istiod applies a patch only in its context.
pub fn context(group: &ProxyGroup) -> &'static str {
    match group.role {
        Role::Gateway(_) => GATEWAY,
        Role::Sidecars(_) => "SIDECAR_OUTBOUND",
        Role::Waypoint(_) => "SIDECAR_INBOUND",
    }
}

/// Disables the module for all routes. A `WasmPlugin` has no field for that.
fn disabled(context: &str, module: &str) -> Value {
    route_patch(
        context,
        "ROUTE_CONFIGURATION",
        "MERGE",
        &Value::Null,
        &json!({ "typed_per_filter_config": http_filters::disabled(module) }),
    )
}

/// The patches on the filters of the proxies. They are needed once.
pub fn filter_patches(group: &ProxyGroup, module: &str) -> Vec<Value> {
    let context = context(group);
    let router = Some("envoy.filters.http.router");
    let mut patches = vec![
        sanitizer_patch(context, None),
        filter_patch(
            context,
            None,
            "HTTP_FILTER",
            "INSERT_FIRST",
            None,
            &http_filters::sanitizer_of_responses(),
        ),
        disabled(context, module),
    ];
    // istiod counts gateways as clients, so the WasmPlugin of callers also applies to selected gateway pods.
    patches.extend(group.callers().is_some().then(|| disabled(GATEWAY, module)));
    // Each is inserted directly before the router, so the order stays.
    let filters = http_filters::before_router();
    patches.extend(
        filters
            .iter()
            .map(|filter| filter_patch(context, None, "HTTP_FILTER", "INSERT_BEFORE", router, filter)),
    );
    patches
}

/// The patch that adds the header sanitizer to the connection managers of a filter chain, or of all filter chains.
pub fn sanitizer_patch(context: &str, chain: Option<&str>) -> Value {
    let sanitizer = json!({
        "typed_config": {
            "@type": http_filters::type_url(CONNECTION_MANAGER),
            "early_header_mutation_extensions": [http_filters::sanitizer_of_requests()],
        },
    });
    filter_patch(context, chain, "NETWORK_FILTER", "MERGE", None, &sanitizer)
}

/// The patch on a virtual host with rules.
pub fn host_patch(group: &ProxyGroup, host: &VirtualHost, filters: VirtualHostFilters, module: &str) -> Value {
    route_patch(
        context(group),
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
pub fn envoy_filter(group: &ProxyGroup, patches: Vec<Value>) -> Value {
    let labels = group.pods().labels;
    let spec = json!({
        "priority": PRIORITY,
        "workloadSelector": (!labels.is_empty()).then(|| json!({ "labels": labels })),
    });
    with(spec, "configPatches", patches)
}

/// A patch on the filters of a filter chain, or of all filter chains.
pub fn filter_patch(
    context: &str,
    chain: Option<&str>,
    apply_to: &str,
    operation: &str,
    before: Option<&str>,
    value: &Value,
) -> Value {
    let filter = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "subFilter": before.map(|name| json!({ "name": name })),
    });
    json!({
        "applyTo": apply_to,
        "match": { "context": context, "listener": { "filterChain": { "filter": filter, "name": chain } } },
        "patch": { "operation": operation, "value": value },
    })
}

/// A patch on a route configuration, a virtual host or a route.
pub fn route_patch(
    context: &str,
    apply_to: &str,
    operation: &str,
    route_configuration: &Value,
    value: &Value,
) -> Value {
    json!({
        "applyTo": apply_to,
        "match": { "context": context, "routeConfiguration": route_configuration },
        "patch": { "operation": operation, "value": value },
    })
}
