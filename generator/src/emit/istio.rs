//! `--target istio`: for each gateway with sessions a `WasmPlugin`, which brings the filter, and an `EnvoyFilter`, which
//! brings guard, pin and choice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{FailStrategy, MANAGED_BY, Output, pieces};
mod version;

pub use version::{IstioVersion, References, UnknownVersion};

use crate::{
    diagnostic::{Code, Diagnostic, Report},
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
    /// The namespace of the pods of Istio's own gateways. None: that of the Gateway.
    pub gateway_namespace: Option<String>,
    /// What happens when it cannot run.
    pub fail_strategy: FailStrategy,
    /// For which Istio the objects are.
    pub version: IstioVersion,
}

/// Two objects for each gateway that keeps sessions.
pub fn emit(plan: &Plan, options: &Options, report: &mut Report) -> Vec<Output> {
    let managed: Vec<&Gateway> = plan.gateways.iter().filter(|gateway| gateway.is_managed()).collect();
    if managed.is_empty() && !report.has_errors() {
        let message =
            "nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries";
        report.add(Diagnostic::warning(Code::NoEffect, message));
    }
    check_names(&managed, report);
    if !options.version.can_choose() {
        for gateway in &managed {
            refuse_choices(gateway, options, report);
        }
    }
    let objects = |gateway: &Gateway| [wasm_plugin(gateway, options, report), envoy_filter(gateway, options)];
    managed.into_iter().flat_map(objects).collect()
}

/// Without the matcher, Envoy would send every session of a split to a cluster of its own choice.
fn refuse_choices(gateway: &Gateway, options: &Options, report: &mut Report) {
    for placed in gateway.managed_rules() {
        let rule = &placed.rule;
        if rule.backends.len() > 1 {
            let message = format!(
                "sessions and canaries over {} backends need Istio 1.27 or later, and this is for Istio {}: Envoy cannot choose the \
                 backend of a request before",
                rule.backends.len(),
                options.version
            );
            report.add(Diagnostic::error(Code::Unsupported, message).at(rule.route.place_of(rule.wire)));
        }
    }
}

/// Reports gateways whose objects would have one name.
fn check_names(gateways: &[&Gateway], report: &mut Report) {
    let mut seen = BTreeMap::new();
    for gateway in gateways {
        if let Some(other) = seen.insert(object_id(gateway), gateway.item.place()) {
            let (namespace, name) = object_id(gateway);
            let message = format!("what is generated for two gateways would have one name: {namespace}/{name}");
            let diagnostic = Diagnostic::error(Code::Duplicate, message).at(gateway.item.place());
            report.add(diagnostic.with(other, "the other Gateway"));
        }
    }
}

/// Namespace and name of what is generated for a gateway.
fn object_id(gateway: &Gateway) -> (String, String) {
    let (namespace, name) = match &gateway.workload {
        Some(workload) => (&workload.namespace, workload.name()),
        None => (&gateway.item.id.namespace, gateway.item.id.name.clone()),
    };
    (namespace.clone(), format!("mooring-{name}"))
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
        "selector": gateway.workload.as_ref().map(|workload| json!({ "matchLabels": workload.labels })),
        "targetRefs": gateway.workload.is_none().then(|| {
            json!([{ "group": crate::kind::GATEWAY_API, "kind": "Gateway", "name": gateway.item.id.name }])
        }),
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

fn envoy_filter(gateway: &Gateway, options: &Options) -> Output {
    let guard = json!({
        "typed_config": {
            "@type": pieces::type_url(CONNECTION_MANAGER),
            "early_header_mutation_extensions": [pieces::guard_of_requests()],
        },
    });
    let (namespace, name) = object_id(gateway);
    let filter = options.version.filter_name(&namespace, &name);
    let router = Some("envoy.filters.http.router");
    let mut patches = vec![
        filter_patch("NETWORK_FILTER", "MERGE", None, &guard),
        filter_patch("HTTP_FILTER", "INSERT_FIRST", None, &pieces::guard_of_responses()),
        // A WasmPlugin has no field that says so.
        route_patch(
            "ROUTE_CONFIGURATION",
            &Value::Null,
            &json!({ "typed_per_filter_config": pieces::off(&filter) }),
        ),
    ];
    if gateway.pins_hosts() {
        patches.push(filter_patch("HTTP_FILTER", "INSERT_BEFORE", router, &pieces::pin()));
    }
    let mut services = BTreeSet::new();
    for placed in gateway.managed_rules() {
        patches.extend(http_routes(placed, &filter));
        let backends = placed.rule.backends.iter();
        services.extend(backends.filter_map(|backend| reference(backend, options.version)));
    }
    let services: Vec<String> = services.into_iter().collect();
    let services = (!services.is_empty()).then(|| services.join(","));
    let annotations = services.map(|services| json!({ "envoyfilter.istio.io/referenced-services": services }));
    let spec = json!({
        "configPatches": patches,
        "priority": PRIORITY,
        "workloadSelector": { "labels": match &gateway.workload {
            Some(workload) => json!(workload.labels),
            None => json!({ GATEWAY_LABEL: gateway.item.id.name }),
        } },
    });
    object(
        gateway,
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        &json!(annotations),
        &spec,
    )
}

/// How the annotation names the Service of a backend, where there is such an annotation.
fn reference(backend: &Backend, version: IstioVersion) -> Option<String> {
    match version.references() {
        References::None => None,
        References::Host => Some(backend.host()),
        References::NamespaceAndHost => Some(format!("{}/{}", backend.service.id.namespace, backend.host())),
    }
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

fn route_patch(apply_to: &str, route_configuration: &Value, value: &Value) -> Value {
    json!({
        "applyTo": apply_to,
        "match": { "context": "GATEWAY", "routeConfiguration": route_configuration },
        "patch": { "operation": "MERGE", "value": value },
    })
}

/// The patches on the routes of a rule: one, or where the name alone does not tell, one for each virtual host.
fn http_routes(placed: &Placed, filter: &str) -> Vec<Value> {
    let choice = pieces::choice(&placed.rule.backends);
    let value = json!({
        "request_headers_to_remove": pieces::internal_headers(),
        "route": choice.map(|choice| json!({ "inline_cluster_specifier_plugin": choice })),
        "typed_per_filter_config": pieces::of_route(filter, &placed.rule),
    });
    let hosts = placed.distinguishing_hosts();
    let patch = |virtual_host: Option<&String>, name: String| {
        let vhost = json!({
            "name": virtual_host,
            "route": { "name": name },
        });
        route_patch("HTTP_ROUTE", &json!({ "vhost": vhost }), &value)
    };
    let mut patches = Vec::new();
    for name in placed.rule.envoy_names() {
        match hosts.as_slice() {
            [] => patches.push(patch(None, name)),
            hosts => patches.extend(hosts.iter().map(|host| patch(Some(host), name.clone()))),
        }
    }
    patches
}

fn object(gateway: &Gateway, api_version: &str, kind: &str, annotations: &Value, spec: &Value) -> Output {
    let (namespace, name) = object_id(gateway);
    let (label, value) = MANAGED_BY;
    let metadata = json!({
        "annotations": annotations,
        "labels": { label: value },
        "name": name,
        "namespace": namespace,
    });
    Output::new(
        format!("{}-{namespace}-{name}", kind.to_lowercase()),
        json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec }),
    )
}
