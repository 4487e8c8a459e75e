//! The flags for the module and the objects that load it, which `mooring generate`, `mooring diff` and the controller share.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use clap::Args;

use super::{input::MeshArgs, plugin::ObjectArgs, values};
use crate::emit::{FailStrategy, istio::IstioVersion};

/// The module, what users may set in the generated objects, and facts about the mesh.
#[derive(Debug, Args)]
pub struct ModuleArgs {
    /// The location of the Wasm module: for Istio a URL (oci://, https://, http:// or file://), for Envoy a path such as
    /// target/mooring.wasm
    #[arg(long, value_name = "URL|PATH")]
    pub wasm: String,

    /// The SHA-256 of the module (https://) or of its image manifest (oci://), which Istio verifies. Default: the digest in the URL,
    /// if it ends in @sha256:HEX
    #[arg(long, value_name = "HEX", value_parser = values::sha256)]
    pub wasm_sha256: Option<String>,

    /// The version of Istio, such as 1.30 or v1.30.2: 1.28 or later, tested up to 1.31, which is the default (only with --target
    /// istio)
    #[arg(long, value_name = "VERSION")]
    pub istio_version: Option<IstioVersion>,

    /// What happens to requests when the module cannot run. If Istio's agent cannot fetch it, close and reload answer 403 alike.
    /// Default: open for Istio (requests pass without sessions), reload for Envoy
    #[arg(long, value_enum)]
    pub fail_strategy: Option<FailStrategy>,

    /// Let access logs show for each request which backend was selected and why, as %FILTER_STATE(wasm.mooring:PLAIN)%. A local Envoy
    /// also writes such a log to its standard output
    #[arg(long)]
    pub access_log: bool,

    /// Let the module expose the weights of all backends as the gauge mooring_backend_weight. They are the weights at this generation:
    /// after a change of weights, generate again, which changes the plugin configuration
    #[arg(long)]
    pub weight_metric: bool,

    /// What users may set in the generated objects.
    #[command(flatten)]
    pub objects: ObjectArgs,

    /// Facts about gateways and their cluster that are not in the input.
    #[command(flatten)]
    pub mesh: MeshArgs,
}
