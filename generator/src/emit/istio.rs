//! `--target istio`: for each gateway with sessions a `WasmPlugin`, which brings the filter, and an `EnvoyFilter`, which
//! brings guard, pin and choice.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{FailStrategy, Output, pieces};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::{Id, Inventory},
    plan::{Backend, Gateway, Placed, Plan},
};

/// The label by which istiod finds the pods of a Gateway.
const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// Where our patches stand among those of others. Not 0: istioctl warns (IST0151) of relative patches without an order.
const PRIORITY: u32 = 100;

/// The configuration of the network filter that all HTTP filters and routes are part of.
const CONNECTION_MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// What the command line says about the module.
#[derive(Debug)]
pub struct Options {
    /// Where the gateway finds it.
    pub url: String,
    /// Its checksum.
    pub sha256: Option<String>,
    /// What happens when it cannot run.
    pub fail_strategy: FailStrategy,
}

/// Two objects for each gateway that keeps sessions.
pub fn emit(plan: &Plan, inventory: &Inventory, options: &Options, report: &mut Report) -> Vec<Output> {
    report_grpc(inventory, report);
    let with_sessions: Vec<&Gateway> = plan.gateways.iter().filter(|gateway| gateway.is_managed()).collect();
    if with_sessions.is_empty() && !report.has_errors() {
        let message =
            "nothing to generate: no rule of an HTTPRoute on a Gateway of the input keeps sessions or has canaries";
        report.add(Diagnostic::warning(Code::NoEffect, message));
    }
    let objects = |gateway: &Gateway| [wasm_plugin(gateway, options, report), envoy_filter(gateway)];
    with_sessions.into_iter().flat_map(objects).collect()
}

fn report_grpc(inventory: &Inventory, report: &mut Report) {
    for route in inventory.grpc_routes.iter() {
        let inline = route
            .spec
            .rules
            .iter()
            .find_map(|rule| rule.session_persistence.as_ref());
        let message = format!("GRPCRoute {} is not read yet: no sessions are kept on it", route.id);
        let skipped = Diagnostic::warning(Code::Unsupported, message).at(route.place());
        let refused = inline.map(|field| {
            let message = "sessionPersistence on a GRPCRoute is not supported yet";
            Diagnostic::error(Code::Unsupported, message).at(route.place_of(field))
        });
        report.add(refused.unwrap_or(skipped));
    }
}

fn wasm_plugin(gateway: &Gateway, options: &Options, report: &mut Report) -> Output {
    let spec = json!({
        "failStrategy": match options.fail_strategy {
            FailStrategy::Open => "FAIL_OPEN",
            FailStrategy::Close => "FAIL_CLOSE",
            FailStrategy::Reload => "FAIL_RELOAD",
        },
        "pluginConfig": gateway.config(report),
        "pluginName": "mooring",
        "targetRefs": [{ "group": crate::kind::GATEWAY_API, "kind": "Gateway", "name": gateway.item.id.name }],
        "sha256": options.sha256,
        "url": options.url,
        "vmConfig": { "env": [{ "name": "MOORING_KEYS", "valueFrom": "HOST" }] },
    });
    object(
        gateway,
        "extensions.istio.io/v1alpha1",
        "WasmPlugin",
        &Value::Null,
        &spec,
    )
}

fn envoy_filter(gateway: &Gateway) -> Output {
    let guard = json!({
        "typed_config": {
            "@type": pieces::type_url(CONNECTION_MANAGER),
            "early_header_mutation_extensions": [pieces::guard_of_requests()],
        },
    });
    let router = Some("envoy.filters.http.router");
    let mut patches = vec![
        filter_patch("NETWORK_FILTER", "MERGE", None, &guard),
        filter_patch("HTTP_FILTER", "INSERT_FIRST", None, &pieces::guard_of_responses()),
    ];
    if gateway.pins_hosts() {
        patches.push(filter_patch("HTTP_FILTER", "INSERT_BEFORE", router, &pieces::pin()));
    }
    let mut services = BTreeSet::new();
    for placed in gateway.managed_rules() {
        patches.extend(http_routes(placed));
        services.extend(placed.rule.backends.iter().map(Backend::host));
    }
    let services: Vec<String> = services.into_iter().collect();
    let annotations = json!({ "envoyfilter.istio.io/referenced-services": services.join(",") });
    let spec = json!({
        "configPatches": patches,
        "priority": PRIORITY,
        "workloadSelector": { "labels": { GATEWAY_LABEL: gateway.item.id.name } },
    });
    object(
        gateway,
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        &annotations,
        &spec,
    )
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

/// The patches on the routes of a rule: one, or where the name alone does not tell, one for each virtual host.
fn http_routes(placed: &Placed) -> Vec<Value> {
    let choice = pieces::choice(&placed.rule.backends);
    let value = json!({
        "request_headers_to_remove": pieces::internal_headers(),
        "route": choice.map(|choice| json!({ "inline_cluster_specifier_plugin": choice })),
        "typed_per_filter_config": placed.rule.pins_hosts().map(pieces::pin_of),
    });
    let hosts = placed.distinguishing_hosts();
    let patch = |virtual_host: Option<String>| {
        let vhost = json!({
            "name": virtual_host,
            "route": { "name": placed.rule.name },
        });
        json!({
            "applyTo": "HTTP_ROUTE",
            "match": { "context": "GATEWAY", "routeConfiguration": { "vhost": vhost } },
            "patch": { "operation": "MERGE", "value": value },
        })
    };
    if hosts.is_empty() {
        return vec![patch(None)];
    }
    hosts.into_iter().map(|host| patch(Some(host))).collect()
}

fn object(gateway: &Gateway, api_version: &str, kind: &str, annotations: &Value, spec: &Value) -> Output {
    let Id { namespace, name } = &gateway.item.id;
    let name = format!("mooring-{name}");
    let metadata = json!({
        "annotations": annotations,
        "labels": { "app.kubernetes.io/managed-by": "mooring" },
        "name": name,
        "namespace": namespace,
    });
    Output::new(
        format!("{}-{namespace}-{name}", kind.to_lowercase()),
        json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec }),
    )
}
