//! From the sources to the objects of a target.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    document::{self, RawObjects},
    emit::{Output, envoy, istio},
    ir::Ir,
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

impl TargetOptions {
    /// What is known about the mesh, for this target.
    #[must_use]
    pub fn mesh(&self, mesh: &Mesh) -> Mesh {
        Mesh {
            local: matches!(self, Self::Envoy(_)),
            ..mesh.clone()
        }
    }
}

/// Generates the objects of a target. An error leaves out the part of the input that it concerns. If the report is fatal afterwards,
/// the objects must not be used.
pub fn generate(sources: &Sources, target: &TargetOptions, mesh: &Mesh, report: &mut Report) -> Vec<Output> {
    let mesh = target.mesh(mesh);
    let resources = Resources::new(document::read(sources, report), sources, mesh);
    let mut ir = translate::translate(&resources, report);
    emit(&mut ir, &resources, sources, target, report)
}

/// Generates the objects for Istio.
pub fn generate_for_istio(
    sources: &Sources,
    options: &istio::Options,
    mesh: &Mesh,
    report: &mut Report,
) -> Vec<Output> {
    let resources = Resources::new(document::read(sources, report), sources, mesh.clone());
    let mut ir = translate::translate(&resources, report);
    emit_for_istio(&mut ir, &resources, sources, options, report)
}

/// Generates the objects of a target from the intermediate representation, and removes from it what the target leaves out.
pub fn emit(
    ir: &mut Ir,
    resources: &Resources,
    sources: &Sources,
    target: &TargetOptions,
    report: &mut Report,
) -> Vec<Output> {
    match target {
        TargetOptions::Istio(options) => {
            let mut outputs = emit_for_istio(ir, resources, sources, options, report);
            Output::name_files_apart(&mut outputs);
            outputs
        }
        TargetOptions::Envoy(options) => envoy::emit(ir, resources, &RawObjects::new(sources), options, report),
    }
}

fn emit_for_istio(
    ir: &mut Ir,
    resources: &Resources,
    sources: &Sources,
    options: &istio::Options,
    report: &mut Report,
) -> Vec<Output> {
    let outputs = istio::emit(ir, resources, &RawObjects::new(sources), options, report);
    if !outputs.is_empty() {
        warn_of_options(options, report);
    }
    let prunes = options.prunes && report.allows_pruning();
    translate::check_earlier(ir, resources, prunes, report);
    outputs
}

/// Warns of the options of a run that writes objects.
pub(crate) fn warn_of_options(options: &istio::Options, report: &mut Report) {
    warn_of_module(options, report);
    if let Some(warning) = options.version.warning() {
        report.add(warning);
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
