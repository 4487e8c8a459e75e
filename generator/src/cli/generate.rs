//! The arguments of `mooring generate` and `mooring diff`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{input::InputArgs, module::ModuleArgs, values};
use crate::{emit::target::Target, output::format::Format};

/// `mooring generate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Input kinds: BackendLBPolicy, XBackendTrafficPolicy, CanaryPolicy, Gateway, GatewayClass, ListenerSet, HTTPRoute, GRPCRoute, Service, \
EndpointSlice, Namespace, ReferenceGrant, Pod, Deployment, DaemonSet and StatefulSet, and of Istio VirtualService, DestinationRule, \
ServiceEntry and Gateway. Other kinds, and objects that Mooring has generated, are skipped.

For Istio the output is, in this order: the EnvoyFilters of the gateways, the session routes (an HTTPRoute or GRPCRoute beside each \
rule with several backends that has sessions or canaries) and the WasmPlugins. Weights stay in the routes: after a change of weights, \
generate again only for hashOn and optIn of a CanaryPolicy, for whenWeightZero: Release and rebalance: OnWeightIncrease, and with --weight-metric.

The input must contain all routes and policies of a Gateway, from all teams, because its EnvoyFilter and WasmPlugin hold the rules of \
all of them. Two teams that generate for one Gateway from partial input overwrite each other's objects. mooring detects some cases and \
warns (PartialInput): it compares the input with the directory of --output-dir or --check, with the status of Gateways, and with the \
objects in a cluster.

--output-dir keeps files that are current, removes files of earlier runs that are no longer generated, and lists the files that it \
created, changed and removed. It never removes a file with content that Mooring did not generate, and removes nothing while something \
is left out.

An error in the input leaves out the rule, route or policy that it concerns. Everything else is generated, and the omissions are listed.

Exit status:
  0  everything was generated, even if that is nothing
  1  nothing was written: something cannot be read or written, --strict found an error, or --fail-on-empty found nothing to generate
  2  the flags are invalid
  3  something was left out; with --accept-omissions the status is 0

Exit status with --check:
  0  the directory is current
  1  the directory differs
  2  the comparison failed, or the flags are invalid
  3  the directory is current except for what was left out

Examples:
  mooring generate -f manifests/ --wasm https://registry.example.com/mooring.wasm > mooring.yaml
  mooring generate -f manifests/ --target envoy --wasm target/mooring.wasm > envoy.yaml")]
pub struct Generate {
    /// The input, the target and its options.
    #[command(flatten)]
    pub generate: GenerateArgs,

    /// Write one file per object into this directory, instead of all objects to the standard output
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,

    /// Also write to this file a List of the objects in the cluster that Mooring has generated and that this run does not generate, in
    /// the order in which kubectl delete -f FILE is to delete them. The list is empty while something is left out or skipped
    #[arg(long, value_name = "FILE", requires = "from_cluster", conflicts_with_all = ["check", "gateway", "files"])]
    pub stale: Option<PathBuf>,

    /// Exit with status 0 instead of 3 if something was left out
    #[arg(long, conflicts_with = "check")]
    pub accept_omissions: bool,

    /// Write nothing: compare with this directory, written by --output-dir, and print the differences
    #[arg(long, value_name = "DIR", conflicts_with = "output_dir")]
    pub check: Option<PathBuf>,
}

/// `mooring diff`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "\
The same as mooring generate --check DIR. A stale generated file counts as a difference, unless something is left out or --no-prune \
is given. Other files are ignored.

Exit status:
  0  the directory is current
  1  the directory differs
  2  the comparison failed: something cannot be read, the flags are invalid, --strict found an error, or --fail-on-empty found nothing to generate
  3  the directory is current except for what was left out

Example:
  mooring diff deploy/mooring -f manifests/ --wasm https://registry.example.com/mooring.wasm",
    override_usage = "mooring diff <DIR> --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster> [OPTIONS]"
)]
pub struct Diff {
    /// The directory that mooring generate --output-dir has written
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// The input, the target and its options.
    #[command(flatten)]
    pub generate: GenerateArgs,
}

/// The arguments that `generate` and `diff` share.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The input.
    #[command(flatten)]
    pub input: InputArgs,

    /// The target: EnvoyFilters, session routes and WasmPlugins for Istio gateways, or the bootstrap of one local Envoy
    #[arg(long, value_enum, default_value_t = Target::Istio)]
    pub target: Target,

    /// Output format
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub output: Format,

    /// The module, the generated objects and the mesh.
    #[command(flatten)]
    pub module: ModuleArgs,

    /// Write nothing if the input has an error, instead of leaving out what it concerns
    #[arg(long)]
    pub strict: bool,

    /// Fail if nothing is generated, and neither write nor remove files
    #[arg(long)]
    pub fail_on_empty: bool,

    /// Keep stale generated files, for several runs that write into one directory. Implied by --gateway. Default: --output-dir removes
    /// them, --check and diff count them as differences
    #[arg(long)]
    pub no_prune: bool,

    /// The address of Envoy's admin interface (only with --target envoy). Default: 127.0.0.1:9901
    #[arg(long, value_name = "ADDR:PORT")]
    pub admin: Option<SocketAddr>,

    /// The address on which Envoy listens for a port of a Gateway (only with --target envoy); may be repeated. Default: the same port
    /// on 127.0.0.1; ports below 1024, which only root may use, plus 10000: 80 becomes 10080
    #[arg(long, value_name = "PORT=ADDR:PORT", value_parser = values::listen)]
    pub listen: Vec<(u16, SocketAddr)>,
}

impl GenerateArgs {
    /// Whether stale generated files are removed. The output for a local Envoy is one file, and with `--gateway` other files may belong
    /// to other Gateways: neither removes any.
    #[must_use]
    pub fn prunes(&self) -> bool {
        self.target == Target::Istio && !self.no_prune && self.module.mesh.gateway.is_empty()
    }
}
