//! `--target envoy`: the bootstrap of one local Envoy that behaves like the gateways, for trying policies.
//!
//! It routes as the gateways of the newest supported Istio do (`served`, `routes`), and reports the input that it
//! cannot serve. It is not for production: it has no telemetry and no scaling, and the only policies of Istio and
//! Kubernetes that it applies are routes.

use std::collections::{BTreeMap, BTreeSet};

use mooring_policy::metric::LABELS;
use serde_json::{Value, json};

use super::{Output, http_filters::OLDEST_ENVOY, provenance};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    document::RawObjects,
    ir::{Ir, ProxyGroup},
    omissions::Omitted,
    resources::Resources,
};

mod access_log;
mod addresses;
mod certificates;
pub(crate) mod clusters;
mod command;
mod gateway_api;
mod http_filter_chain;
mod limits;
mod listen;
mod listener_hosts;
mod listeners;
mod options;
mod order;
pub(crate) mod route_table;
mod routes;
pub(crate) mod served;
mod subsets;

use addresses::{address, ports, socket_address};
use certificates::Store;
pub use options::Options;
use served::Served;

/// The maximum size of a regular expression, in instructions of RE2 (istiod: `pkg/bootstrap`).
const MAX_PROGRAM_SIZE: u32 = 32_768;

/// The bootstrap. Features that this target does not support are reported.
pub fn emit(ir: &Ir, resources: &Resources, raw: &RawObjects, options: &Options, report: &mut Report) -> Vec<Output> {
    limits::check(ir, report);
    listen::check(ir, options, report);
    let groups = ir.proxies.iter();
    let groups: Vec<(&ProxyGroup, Vec<Served>)> = groups
        .map(|group| (group, served::rules(group, resources, raw, report)))
        .collect();
    let store = Store { resources, raw };
    let mut listeners = Vec::new();
    let mut taken = BTreeMap::from([(options.admin, "the admin interface".to_owned())]);
    for (group, rules) in &groups {
        for (port, location) in ports(group) {
            let address = address(port, options);
            let what = format!("port {port} of {}", group.title());
            if let Some(other) = taken.get(&address) {
                let message = format!("{what} and {other} would both listen on {address}");
                let gateway = group.gateway().map(|gateway| gateway.item.id.to_string());
                let help = format!(
                    "move one of them, with --listen {port}=ADDRESS:PORT or --admin ADDRESS:PORT; if two Gateways have the \
                     same port, select one with --gateway {}",
                    gateway.as_deref().unwrap_or("NAMESPACE/NAME")
                );
                let error = Diagnostic::error(Code::Unsupported, message).help(help);
                report.add(location.into_iter().fold(error, Diagnostic::at));
                report.omit(Omitted::Listener, format!("{}:{port}", group.name()));
                continue;
            }
            taken.insert(address, what);
            listeners.push(listeners::listener(
                group,
                rules,
                (port, address),
                store,
                options,
                report,
            ));
        }
    }
    if listeners.is_empty() {
        report_no_listener(&groups, report);
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
            "clusters": clusters::clusters(groups.iter().flat_map(|(_, rules)| rules), resources, report),
            "listeners": listeners,
        },
        "stats_config": { "stats_tags": LABELS.map(stats_tag) },
    });
    let groups = ir.proxies.iter();
    let rules: BTreeSet<&str> = groups.flat_map(ProxyGroup::managed_rule_ids).collect();
    let comment = provenance::comment(&format_args!("a local Envoy {OLDEST_ENVOY} or later"), rules);
    let command = command::command(options, &resources.mesh);
    let output = Output::new("envoy".to_owned(), bootstrap).with_comment(comment);
    vec![output.with_command(&command)]
}

/// Reports that Envoy would have no listener, unless an error in a Gateway explains that. Nothing is generated in this
/// case.
fn report_no_listener(groups: &[(&ProxyGroup, Vec<Served>)], report: &mut Report) {
    if !report.has_errors() {
        let message = if groups.is_empty() {
            "there is no Gateway in the input, so Envoy would have no listener"
        } else if groups.iter().any(|(group, _)| group.gateway().is_none()) {
            "no route of the mesh applies to the pods of --as-sidecar, so Envoy would have no listener"
        } else {
            "no Gateway of the input has a listener with the protocol HTTP or HTTPS, so Envoy would have no listener"
        };
        report.add(Diagnostic::error(Code::NoMatchingParent, message));
    }
    report.abort();
}

/// The regular expression that turns a label in the name of a metric into a tag, as Istio's `extraStatTags` do.
fn stats_tag(tag: &str) -> Value {
    json!({ "regex": format!(r"({tag}=\.=(.*?);\.;)"), "tag_name": tag })
}
