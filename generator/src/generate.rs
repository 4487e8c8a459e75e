//! From the sources to the objects of a target.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    document::{self, RawObjects},
    emit::{Output, envoy, istio},
    mesh::Mesh,
    resources::Resources,
    source::Sources,
    translate,
};

/// A target and its options.
#[derive(Debug)]
pub enum TargetOptions {
    /// Istio gateways.
    Istio(istio::Options),
    /// One local Envoy.
    Envoy(envoy::Options),
}

/// Generates the objects of a target. An error leaves out the part of the input that it concerns. If the report is fatal afterwards,
/// the objects must not be used.
pub fn generate(sources: &Sources, target: &TargetOptions, mesh: &Mesh, report: &mut Report) -> Vec<Output> {
    let local = matches!(target, TargetOptions::Envoy(_));
    let mesh = Mesh { local, ..mesh.clone() };
    let resources = Resources::new(document::read(sources, report), sources, mesh);
    let mut ir = translate::translate(&resources, report);
    let raw = RawObjects::new(sources);
    match target {
        TargetOptions::Istio(options) => {
            let outputs = istio::emit(&mut ir, &resources, &raw, options, report);
            if !outputs.is_empty() {
                warn_of_module(options, report);
                if let Some(warning) = options.version.warning() {
                    report.add(warning);
                }
            }
            let prunes = options.prunes && report.allows_pruning();
            translate::check_earlier(&ir, &resources, prunes, report);
            outputs
        }
        TargetOptions::Envoy(options) => envoy::emit(&ir, &resources, &raw, options, report),
    }
}

/// Warns of a module whose content is not verified. With a checksum, Istio verifies it.
fn warn_of_module(options: &istio::Options, report: &mut Report) {
    if options.sha256.is_some() {
        return;
    }
    let message = if options.url.starts_with("http://") {
        "the gateways fetch the module over http://: anyone on the network path can replace it, and then read and change all \
         requests"
    } else if options.url.starts_with("oci://") {
        "the gateways fetch the module by the tag of an image: anyone who can push to the registry can replace it, and then \
         read and change all requests"
    } else {
        return;
    };
    let warning = Diagnostic::warning(Code::Unverified, message);
    report.add(warning.help("pin the checksum with --wasm-sha256"));
}
