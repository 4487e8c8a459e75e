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

/// Generates. What is wrong is left out, and the report names it; when the report is fatal afterwards, what comes back must not
/// be used.
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

/// Reports a module of which nothing says that it is the one that is meant. With a checksum, Istio compares it.
fn warn_of_module(options: &istio::Options, report: &mut Report) {
    if options.sha256.is_some() {
        return;
    }
    let message = if options.url.starts_with("http://") {
        "the gateways fetch the module by http://, so that anyone on the way can give them another one, which then sees and \
         changes all requests"
    } else if options.url.starts_with("oci://") {
        "the gateways fetch the module by the tag of an image, so that anyone who can push to the registry can give them \
         another one, which then sees and changes all requests"
    } else {
        return;
    };
    let warning = Diagnostic::warning(Code::Unverified, message);
    report.add(warning.help("name the checksum with --wasm-sha256"));
}
