//! `--target istio`: for each gateway with sessions an `EnvoyFilter`, which brings Envoy's own filters, and a `WasmPlugin`, which
//! brings the module, and the session routes of each rule with several backends.
//!
//! They come in the order in which they are best applied: first the `EnvoyFilter`s, without which a client could name a session
//! route itself, then the session routes, and last the `WasmPlugin`s, whose module asks for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{FailStrategy, Output, http_filters, provenance, with};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    document::RawObjects,
    id::Id,
    ir::{Backend, Gateway, Ir, VirtualHost, VirtualHostFilters},
    kind::Kind,
    labels::MANAGED_BY,
    location::SourceLocation,
    omissions::Omitted,
    resources::Resources,
};

mod envoy_filters;
mod raw_routes;
mod session_routes;
mod size;
mod version;

pub use version::{InvalidVersion, IstioVersion, References};

/// The annotation that names the Istio for which an object is.
const ISTIO_VERSION_ANNOTATION: &str = "mooring.dev/istio-version";

/// The annotation that names the Services to whose clusters the inserted routes lead.
const REFERENCES_ANNOTATION: &str = "envoyfilter.istio.io/referenced-services";

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
    /// For which Istio the objects are.
    pub version: IstioVersion,
    /// Whether files of the output directory are removed that are no longer generated.
    pub prunes: bool,
}

/// For each gateway that keeps sessions an `EnvoyFilter`, or several where one would be too large, and a `WasmPlugin`; between
/// them the session routes.
pub fn emit(
    ir: &mut Ir,
    resources: &Resources,
    raw: &RawObjects,
    options: &Options,
    report: &mut Report,
) -> Vec<Output> {
    let routes = raw_routes::Routes::new(resources, raw);
    for gateway in &mut ir.gateways {
        envoy_filters::keep(gateway, &routes, options.version, report);
    }
    let managed: Vec<&Gateway> = ir.gateways.iter().filter(|gateway| gateway.is_managed()).collect();
    if managed.is_empty() && !report.has_errors() {
        let message =
            "nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries";
        report.add(Diagnostic::warning(Code::NoEffect, message));
    }
    if !managed.is_empty() && options.url.starts_with("file://") {
        warn_of_files(report);
    }
    let session_routes = session_routes::objects(&managed, raw, options.version);
    let mut outputs = Vec::new();
    let mut names = BTreeMap::new();
    let mut plugins = Vec::new();
    for gateway in managed {
        let filters = envoy_filters::split(gateway, &routes, options);
        let mut plugin = Object::new(gateway, "WasmPlugin", "", wasm_plugin(gateway, options));
        plugin.rules.extend(gateway.managed_rule_ids());
        size::check_plugin(gateway, &plugin, report);
        let key = |object: &Object| (object.kind, object.namespace.clone(), object.name.clone());
        let objects = || filters.iter().chain([&plugin]);
        let namesake = objects().find_map(|object| Some((object, *names.get(&key(object))?)));
        if let Some((object, other)) = namesake {
            report_namesakes(gateway, object, other, report);
            continue;
        }
        names.extend(objects().map(|object| (key(object), gateway.item.location())));
        let output = |object: Object| object.output(options.version);
        outputs.extend(filters.into_iter().map(output));
        plugins.push(output(plugin));
    }
    outputs.extend(session_routes);
    outputs.extend(plugins);
    outputs
}

/// Envoy loads a file itself: no agent is there to replace a module that is missing.
fn warn_of_files(report: &mut Report) {
    let message = "no fail strategy covers a file:// module that is missing when a gateway starts: routes \
                   with sessions or canaries get 500 then";
    let warning = Diagnostic::warning(Code::NoEffect, message);
    report.add(warning.help("name the module by oci:// or https://, with --wasm-sha256"));
}

fn report_namesakes(gateway: &Gateway, object: &Object, other: SourceLocation, report: &mut Report) {
    let message = format!(
        "what is generated for two gateways would have one name: {}/{}",
        object.namespace, object.name
    );
    let diagnostic = Diagnostic::error(Code::Duplicate, message).at(gateway.item.location());
    report.add(diagnostic.with(other, "the other Gateway"));
    report.omit(Omitted::Gateway, gateway.item.name(Kind::Gateway));
}

/// The annotations of every object: by which Mooring and for which Istio it was generated.
fn annotations(version: IstioVersion) -> Value {
    json!({ ISTIO_VERSION_ANNOTATION: version.to_string(), provenance::VERSION_ANNOTATION: provenance::VERSION })
}

/// The name of our HTTP filter on a gateway.
fn filter_name(gateway: &Gateway, version: IstioVersion) -> String {
    let Id { namespace, name } = gateway.object_id();
    version.filter_name(&namespace, &name)
}

/// What is generated for a gateway, as far as it is not the same for all objects.
struct Object<'a> {
    kind: &'static str,
    namespace: String,
    name: String,
    /// How it names Services, if it does.
    references: Option<String>,
    /// The rules that it is for.
    rules: BTreeSet<&'a str>,
    spec: Value,
}

impl Object<'_> {
    /// An object for a gateway. The name is that of the gateway, with this behind it.
    fn new(gateway: &Gateway, kind: &'static str, suffix: &str, spec: Value) -> Self {
        let Id { namespace, name } = gateway.object_id();
        Self {
            kind,
            namespace,
            name: format!("{name}{suffix}"),
            references: None,
            rules: BTreeSet::new(),
            spec,
        }
    }

    fn output(self, version: IstioVersion) -> Output {
        let (label, value) = MANAGED_BY;
        let Self {
            kind, namespace, name, ..
        } = self;
        let api_version = match kind {
            "WasmPlugin" => "extensions.istio.io/v1alpha1",
            _ => "networking.istio.io/v1alpha3",
        };
        let metadata = json!({
            "annotations": with(annotations(version), REFERENCES_ANNOTATION, self.references),
            "labels": { label: value },
            "name": name,
            "namespace": namespace,
        });
        let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata });
        let stem = format!("{}-{namespace}-{name}", kind.to_lowercase());
        Output::new(stem, with(object, "spec", self.spec))
            .under(provenance::comment(&format_args!("Istio {version}"), self.rules))
    }
}

fn wasm_plugin(gateway: &Gateway, options: &Options) -> Value {
    json!({
        "failStrategy": match options.fail_strategy {
            FailStrategy::Open => "FAIL_OPEN",
            FailStrategy::Close => "FAIL_CLOSE",
            FailStrategy::Reload => "FAIL_RELOAD",
        },
        "pluginConfig": gateway.config(),
        "pluginName": "mooring",
        "selector": gateway.workload.as_ref().map(|workload| json!({ "matchLabels": workload.labels })),
        "targetRefs": gateway.workload.is_none().then(|| {
            json!([{ "group": crate::kind::GATEWAY_API, "kind": "Gateway", "name": gateway.item.id.name }])
        }),
        "sha256": options.sha256,
        "url": options.url,
        "vmConfig": { "env": [{ "name": "MOORING_KEYS", "valueFrom": "HOST" }] },
    })
}

/// The patches on the filters of a gateway, which it needs once.
fn filter_patches(module: &str) -> Vec<Value> {
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
        // A WasmPlugin has no field that says so.
        route_patch(
            "ROUTE_CONFIGURATION",
            "MERGE",
            &Value::Null,
            &json!({ "typed_per_filter_config": http_filters::off(module) }),
        ),
    ];
    // In this order: each goes right before the router.
    let filters = http_filters::before_router();
    patches.extend(
        filters
            .iter()
            .map(|filter| filter_patch("HTTP_FILTER", "INSERT_BEFORE", router, filter)),
    );
    patches
}

/// The patch on a virtual host that has rules.
fn host_patch(host: &VirtualHost, filters: VirtualHostFilters, module: &str) -> Value {
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

fn envoy_filter(gateway: &Gateway, patches: Vec<Value>) -> Value {
    let spec = json!({
        "priority": PRIORITY,
        "workloadSelector": { "labels": gateway.pods().labels },
    });
    with(spec, "configPatches", patches)
}

/// How the annotation names the Service of a backend.
fn reference(backend: &Backend, version: IstioVersion) -> String {
    match version.references() {
        References::Host => backend.cluster_host(),
        References::NamespaceAndHost => format!("{}/{}", backend.cluster_namespace(), backend.cluster_host()),
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

fn route_patch(apply_to: &str, operation: &str, route_configuration: &Value, value: &Value) -> Value {
    json!({
        "applyTo": apply_to,
        "match": { "context": "GATEWAY", "routeConfiguration": route_configuration },
        "patch": { "operation": operation, "value": value },
    })
}
