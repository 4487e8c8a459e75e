//! `--target envoy`: the bootstrap of one local Envoy that does what the gateways would do, to try policies with.
//!
//! It routes as the gateways of the newest Istio do (`served`, `routes`), and says what of the input it cannot serve. Not for
//! production: policies of Istio and Kubernetes other than routes, telemetry and scaling are not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use serde_json::{Value, json};

use super::{FailStrategy, OLDEST_ENVOY, Output, http_filters, provenance};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    document::RawObjects,
    ir::{Gateway, Ir},
    kind::Kind,
    location::SourceLocation,
    omissions::Omitted,
    resources::Resources,
};

mod certificates;
mod clusters;
mod gateway_api;
mod limits;
mod listen;
mod listeners;
mod order;
mod routes;
mod served;
mod subsets;

use certificates::Store;
use served::Served;

/// The name of our filter in the chain, by which routes turn it on.
const FILTER: &str = "mooring";

/// Where the admin interface listens unless the command line says otherwise.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// Below this port only root may listen.
const FIRST_FREE_PORT: u16 = 1_024;

/// What is added to a port below that.
const PORT_OFFSET: u16 = 10_000;

/// How large a regular expression may be, in instructions of RE2 (istiod: `pkg/bootstrap`).
const MAX_PROGRAM_SIZE: u32 = 32_768;

/// The tags of the filter's metrics, whose names carry them as `;.NAME=.VALUE;.` (as Istio's `extraStatTags` have it).
const METRIC_TAGS: [&str; 3] = ["mooring_route", "mooring_backend", "mooring_reason"];

/// What the command line says about the local Envoy.
#[derive(Debug)]
pub struct Options {
    /// The path of the module.
    pub wasm: String,
    /// What happens when it cannot run.
    pub fail_strategy: FailStrategy,
    /// Where the admin interface listens.
    pub admin: SocketAddr,
    /// Where Envoy listens for ports of Gateways.
    pub listen: BTreeMap<u16, SocketAddr>,
}

/// Without a word about anything; there is no module then.
impl Default for Options {
    fn default() -> Self {
        Self {
            wasm: String::new(),
            fail_strategy: FailStrategy::Reload,
            admin: ADMIN,
            listen: BTreeMap::new(),
        }
    }
}

/// The bootstrap. What this target cannot do is reported.
pub fn emit(ir: &Ir, resources: &Resources, raw: &RawObjects, options: &Options, report: &mut Report) -> Vec<Output> {
    limits::check(ir, report);
    listen::check(ir, options, report);
    let gateways = ir.gateways.iter();
    let gateways: Vec<(&Gateway, Vec<Served>)> = gateways
        .map(|gateway| (gateway, served::rules(gateway, resources, raw, report)))
        .collect();
    let store = Store { resources, raw };
    let mut listeners = Vec::new();
    let mut taken = BTreeMap::from([(options.admin, "the admin interface".to_owned())]);
    for (gateway, rules) in &gateways {
        for (port, location) in ports(gateway) {
            let address = address(port, options);
            let what = format!("port {port} of Gateway {}", gateway.item.id);
            if let Some(other) = taken.get(&address) {
                let message = format!("{what} and {other} would both listen on {address}");
                let help = format!(
                    "move one of them, with --listen {port}=ADDRESS:PORT or --admin ADDRESS:PORT; of two Gateways with one \
                     port, choose one with --gateway {}",
                    gateway.item.id
                );
                report.add(Diagnostic::error(Code::Unsupported, message).at(location).help(help));
                report.omit(
                    Omitted::Listener,
                    format!("{}:{port}", gateway.item.name(Kind::Gateway)),
                );
                continue;
            }
            taken.insert(address, what);
            listeners.push(listeners::listener(
                gateway,
                rules,
                (port, address),
                store,
                options,
                report,
            ));
        }
    }
    if listeners.is_empty() {
        // Where something is wrong with a Gateway, it is told.
        if !report.has_errors() {
            let message = if gateways.is_empty() {
                "there is no Gateway in the input, so Envoy would listen nowhere"
            } else {
                "no Gateway of the input has a listener with the protocol HTTP or HTTPS, so Envoy would listen nowhere"
            };
            report.add(Diagnostic::error(Code::NoMatchingParent, message));
        }
        report.abort();
    }
    let bootstrap = json!({
        "admin": { "address": socket_address(options.admin) },
        "layered_runtime": { "layers": [{
            "name": "mooring",
            "static_layer": { "re2.max_program_size.error_level": MAX_PROGRAM_SIZE },
        }] },
        "node": {
            "cluster": "mooring",
            "id": "mooring",
            "metadata": { provenance::VERSION_ANNOTATION: provenance::VERSION },
        },
        "static_resources": {
            "clusters": clusters::clusters(gateways.iter().flat_map(|(_, rules)| rules), resources, report),
            "listeners": listeners,
        },
        "stats_config": { "stats_tags": METRIC_TAGS.map(stats_tag) },
    });
    let gateways = ir.gateways.iter();
    let rules: BTreeSet<&str> = gateways.flat_map(Gateway::managed_rule_ids).collect();
    let comment = provenance::comment(&format_args!("a local Envoy {OLDEST_ENVOY} or later"), rules);
    vec![Output::new("envoy".to_owned(), bootstrap).under(comment)]
}

/// The ports of a gateway, each with the location of its first listener.
fn ports(gateway: &Gateway) -> BTreeMap<u16, SourceLocation> {
    let mut ports = BTreeMap::new();
    for item in gateway.items() {
        for listener in item
            .spec
            .listeners
            .iter()
            .filter(|listener| limits::serves(item, &listener.value))
        {
            let port = &listener.value.port;
            ports.entry(port.value.get()).or_insert_with(|| item.location_of(port));
        }
    }
    let of_sets = gateway.set_listeners();
    for (offset, listener) in of_sets.filter(|(_, listener)| limits::serves_of_set(listener)) {
        let port = &listener.port;
        ports.entry(port.value.get()).or_insert_with(|| offset.location(port));
    }
    ports
}

fn address(port: u16, options: &Options) -> SocketAddr {
    let free = if port < FIRST_FREE_PORT {
        port.saturating_add(PORT_OFFSET)
    } else {
        port
    };
    let default = || SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free);
    options.listen.get(&port).copied().unwrap_or_else(default)
}

/// The HTTP filters in the order in which Istio has them.
fn http_filter_list(gateway: &Gateway, rules: &[Served], options: &Options) -> Vec<Value> {
    let managed = gateway.is_managed();
    let mut filters = Vec::new();
    if managed {
        filters.extend([http_filters::sanitizer_of_responses(), wasm(gateway, options)]);
    }
    let used = [
        (
            "fault",
            "envoy.filters.http.fault",
            "envoy.extensions.filters.http.fault.v3.HTTPFault",
        ),
        (
            "corsPolicy",
            "envoy.filters.http.cors",
            "envoy.extensions.filters.http.cors.v3.Cors",
        ),
    ];
    let used = used
        .iter()
        .filter(|(field, ..)| rules.iter().any(|served| served.uses(field)));
    filters.extend(used.map(|(_, name, config)| filter(name, config)));
    if managed {
        filters.extend(http_filters::before_router());
    }
    filters.push(filter(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
    ));
    filters
}

/// A filter without anything to say to it.
fn filter(name: &str, config: &str) -> Value {
    json!({ "name": name, "typed_config": { "@type": http_filters::type_url(config) } })
}

fn wasm(gateway: &Gateway, options: &Options) -> Value {
    let id = &gateway.item.id;
    let config = json!({
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": format!("{:#}\n", json!(gateway.config())),
        },
        "failure_policy": match options.fail_strategy {
            FailStrategy::Open => "FAIL_OPEN",
            FailStrategy::Close => "FAIL_CLOSED",
            FailStrategy::Reload => "FAIL_RELOAD",
        },
        "name": format!("{}.mooring-{}", id.namespace, id.name),
        "reload_config": (options.fail_strategy == FailStrategy::Reload)
            .then(|| json!({ "backoff": { "base_interval": "0.2s" } })),
        "root_id": "mooring",
        "vm_config": {
            "code": { "local": { "filename": options.wasm } },
            "environment_variables": { "host_env_keys": ["MOORING_KEYS"] },
            "runtime": "envoy.wasm.runtime.v8",
        },
    });
    json!({
        "name": FILTER,
        "disabled": true,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": config,
        },
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}

fn stats_tag(tag: &str) -> Value {
    json!({ "regex": format!(r"({tag}=\.=(.*?);\.;)"), "tag_name": tag })
}
