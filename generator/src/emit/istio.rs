//! `--target istio`: for each group of proxies with sessions, an `EnvoyFilter` with Envoy's own filters and a `WasmPlugin` with
//! the module. For each rule with several backends, it also generates session routes.
//!
//! The objects are in the order in which they should be applied. The `EnvoyFilter`s are first, because without them a
//! client could select a session route itself. The session routes follow. The `WasmPlugin`s are last, because their
//! module selects session routes.

use std::collections::BTreeMap;

use super::{FailStrategy, Output, command::Command};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    document::RawObjects,
    ir::{Ir, ProxyGroup},
    omissions::Omitted,
    resources::Resources,
};
use object::Object;

mod command;
mod envoy_filters;
mod filter_patches;
mod metadata;
mod object;
mod options;
mod raw_routes;
mod session_routes;
mod version;
mod wasm_plugin;
mod waypoint_filters;

pub use metadata::{Annotation, InvalidMetadata, Label, Metadata};
pub use options::{Options, Phase, Plugin, PullPolicy};
pub use version::{InvalidVersion, IstioVersion, References};

/// The objects for all proxies with sessions: for each group a `WasmPlugin` and `EnvoyFilter`s. Several are generated
/// if one would be too large, and none for a waypoint whose sessions are not bound to pods. The session routes are between them.
pub fn emit(
    ir: &mut Ir,
    resources: &Resources,
    raw: &RawObjects,
    options: &Options,
    report: &mut Report,
) -> Vec<Output> {
    let outputs = objects(ir, resources, raw, options, report);
    let any = ir.proxies.iter().any(ProxyGroup::is_managed);
    report_whole(any, options, report);
    outputs
}

/// Reports what concerns the output as a whole. `any` says whether any proxy has sessions or canaries.
pub fn report_whole(any: bool, options: &Options, report: &mut Report) {
    if !any && !report.has_errors() {
        let message =
            "nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries";
        report.add(Diagnostic::warning(Code::NoEffect, message));
    }
    if any && options.url.starts_with("file://") {
        warn_of_files(report);
    } else if any && options.fail_strategy == FailStrategy::Reload {
        note_of_fetches(report);
    }
}

/// The objects, without the findings about the output as a whole.
pub fn objects(
    ir: &mut Ir,
    resources: &Resources,
    raw: &RawObjects,
    options: &Options,
    report: &mut Report,
) -> Vec<Output> {
    let routes = raw_routes::Routes::new(resources, raw);
    for group in &mut ir.proxies {
        envoy_filters::refuse_too_large(group, &routes, options.version, report);
    }
    let managed: Vec<&ProxyGroup> = ir.proxies.iter().filter(|group| group.is_managed()).collect();
    let mesh = &resources.mesh;
    let session_routes = session_routes::objects(&managed, raw, options);
    let session_routes = session_routes
        .into_iter()
        .map(|output| output.with_command(&command::command(options, mesh)));
    let mut outputs = Vec::new();
    let mut names = BTreeMap::new();
    let mut plugins = Vec::new();
    for group in managed {
        let filters: Vec<Object> = match group.waypoint() {
            Some(waypoint) => waypoint_filters::object(group, waypoint).into_iter().collect(),
            None => envoy_filters::split(group, &routes, options),
        };
        let plugin = wasm_plugin::object(group, options);
        wasm_plugin::check_size(group, &plugin, report);
        let key = |object: &Object| (object.kind, object.namespace.clone(), object.name.clone());
        let objects = || filters.iter().chain([&plugin]);
        let namesake = objects().find_map(|object| Some((object, *names.get(&key(object))?)));
        if let Some((object, other)) = namesake {
            report_namesakes(group, object, other, report);
            continue;
        }
        names.extend(objects().map(|object| (key(object), group)));
        let of_group = || command::command(options, mesh).of_proxies(group, mesh);
        let output = |object: Object, command: &Command| object.output(options).with_command(command);
        outputs.extend(filters.into_iter().map(|filter| output(filter, &of_group())));
        plugins.push(output(plugin, &command::with_module(of_group(), options)));
    }
    outputs.extend(session_routes);
    outputs.extend(plugins);
    outputs
}

/// Envoy loads a local file itself, so no Istio agent replaces a missing module.
fn warn_of_files(report: &mut Report) {
    let message = "no fail strategy covers a file:// module that is missing when a gateway starts: routes \
                   with sessions or canaries get 500 then";
    let warning = Diagnostic::warning(Code::NoEffect, message);
    report.add(warning.help("use an oci:// or https:// URL for the module, with --wasm-sha256"));
}

/// Only a module that Envoy has can be loaded again. Otherwise Istio's agent puts a filter in its place that denies all requests.
fn note_of_fetches(report: &mut Report) {
    let message = "the fail strategy reload does not cover a module that cannot be fetched: routes with sessions or canaries \
                   get 403 then, until Istio's agent fetches it again";
    let note = Diagnostic::note(Code::NoEffect, message);
    report.add(note.help("before an update, check that the image or file exists, and its checksum"));
}

fn report_namesakes(group: &ProxyGroup, object: &Object, other: &ProxyGroup, report: &mut Report) {
    let (one, another) = (group.title(), other.title());
    let message = format!(
        "the objects of {another} and of {one} would have the same name: {}/{}",
        object.namespace, object.name
    );
    let diagnostic = group.locate(Diagnostic::error(Code::Duplicate, message));
    let other = other.location().into_iter();
    report.add(other.fold(diagnostic, |diagnostic, other| {
        diagnostic.with(other, "the other Gateway")
    }));
    report.omit(Omitted::Gateway, group.name());
}
