//! The arguments of each command, as clap parses them. `super::checks` checks them together.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use std::{net::SocketAddr, path::PathBuf, str::FromStr as _};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::values;
use crate::{
    dns::ClusterDomain,
    emit::{FailStrategy, istio::IstioVersion, target::Target},
    id::Id,
    mesh::{self, CallerSelector, PodNamespace},
    output::format::Format,
    source::IgnoredGlob,
};

/// Session persistence and sticky canary routing for stock Envoy, driven by Gateway API policies.
#[derive(Debug, Parser)]
#[command(name = "mooring", version, max_term_width = 100)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate configuration for Istio or for a local Envoy from Gateway API policies
    Generate(Generate),
    /// Report the status of each policy and rule
    Validate(Validate),
    /// Compare a directory with the configuration that would be generated
    Diff(Diff),
    /// Print a new key for the key ring that seals session tokens
    Keygen(Keygen),
    /// Print the custom resource definition of CanaryPolicy
    Crds,
}

/// `mooring generate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Input kinds: BackendLBPolicy, XBackendTrafficPolicy, CanaryPolicy, Gateway, GatewayClass, ListenerSet, HTTPRoute, GRPCRoute, Service, \
EndpointSlice, Namespace, ReferenceGrant, Pod, Deployment, DaemonSet and StatefulSet, and of Istio VirtualService, DestinationRule, \
ServiceEntry and Gateway. Other kinds, and objects that Mooring has generated, are skipped.

For Istio the output is, in this order: the EnvoyFilters of the gateways, the session routes (an HTTPRoute or GRPCRoute beside each \
rule with several backends that has sessions or canaries) and the WasmPlugins. Weights stay in the routes: after a change of weights, \
generate again only for hashOn and optIn of a CanaryPolicy and for whenWeightZero: Release.

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
  3  something was left out

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

/// `mooring validate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The conditions are those of GEP-713: Accepted, Conflicted, Overridden, Invalid and TargetNotFound. A policy without sessionPersistence has \
the condition NoEffect.

Exit status:
  0  no errors
  1  there is an error, or with --strict a warning
  2  the flags are invalid

Examples:
  mooring validate -f manifests/
  mooring validate -f manifests/ --target envoy
  mooring validate -f manifests/ -o json | jq '.findings[].code'
  mooring validate --from-cluster --context staging --namespace shop")]
pub struct Validate {
    /// The input.
    #[command(flatten)]
    pub input: InputArgs,

    /// Facts about gateways and their cluster that are not in the input.
    #[command(flatten)]
    pub mesh: MeshArgs,

    /// The target to validate for: what it does not support is reported too
    #[arg(long, value_enum, default_value_t = Target::Istio)]
    pub target: Target,

    /// Output format
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub output: ReportFormat,

    /// Exit with status 1 for warnings too
    #[arg(long)]
    pub strict: bool,
}

/// The input, and how much is reported about it.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("source").required(true)))]
pub struct InputArgs {
    /// Files, directories, or - for the standard input. In directories the .yaml, .yml and .json files are read, recursively, except
    /// below directories whose name begins with a dot
    #[arg(short, long = "file", value_name = "FILE|DIR|-", group = "source", num_args = 1..)]
    pub files: Vec<PathBuf>,

    /// Ignore files and directories that match this glob, such as 'values*.yaml' or 'charts/*/templates'; may be repeated. A glob with
    /// a / is matched against the path below the directory of -f, one without against the name
    #[arg(long, value_name = "GLOB", value_parser = IgnoredGlob::from_str, conflicts_with = "from_cluster")]
    pub ignore: Vec<IgnoredGlob>,

    /// Read objects from the API server instead of files
    #[arg(long, group = "source")]
    pub from_cluster: bool,

    /// The kubeconfig for --from-cluster. Default: the files in KUBECONFIG, else ~/.kube/config, else the service account of the
    /// pod
    #[arg(long, value_name = "FILE", requires = "from_cluster", conflicts_with = "files")]
    pub kubeconfig: Option<PathBuf>,

    /// The context for --from-cluster. Default: the current context
    #[arg(long, value_name = "NAME", requires = "from_cluster", conflicts_with = "files")]
    pub context: Option<String>,

    /// A namespace to read with --from-cluster; may be repeated. Default: all namespaces
    #[arg(
        short,
        long = "namespace",
        value_name = "NAMESPACE",
        requires = "from_cluster",
        conflicts_with = "files"
    )]
    pub namespaces: Vec<String>,

    /// Print warnings and errors only: no notes, no summary of the input, and no list of written files
    #[arg(short, long)]
    pub quiet: bool,
}

/// Facts about gateways and their cluster that are not in the input.
#[derive(Debug, Args)]
pub struct MeshArgs {
    /// A Gateway to generate for; may be repeated. Gateways with the same pods are generated together. Files of other Gateways are
    /// kept. Default: all Gateways
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = mesh::gateway_id)]
    pub gateway: Vec<Id>,

    /// A GatewayClass to treat as Istio's, although it is not in the input or has a controllerName other than
    /// istio.io/gateway-controller; may be repeated (only with --target istio)
    #[arg(long, value_name = "NAME", value_parser = values::class_name)]
    pub gateway_class: Vec<String>,

    /// The namespace of the pods of a networking.istio.io Gateway, such as istio-system, or of all such Gateways that are not named;
    /// may be repeated (only with --target istio). Default: the namespaces of the pods and Deployments in the input that match the
    /// selector of the Gateway, else the namespace of the Gateway
    #[arg(long, value_name = "[NAMESPACE/NAME=]NAMESPACE")]
    pub gateway_namespace: Vec<PodNamespace>,

    /// The pods whose sidecars keep sessions for routes of the mesh: HTTPRoutes and GRPCRoutes with a Service or ServiceEntry as their
    /// parent, and VirtualServices of the gateway mesh; may be repeated. Istio's root namespace, istio-system, stands for the pods of
    /// all namespaces. Each of these sidecars loads the module. Default: none
    #[arg(long, value_name = "NAMESPACE[/LABEL=VALUE,...]")]
    pub callers: Vec<CallerSelector>,

    /// Generate the local Envoy as the sidecar of these pods: it serves routes of the mesh instead of Gateways (only with --target
    /// envoy). A client reaches a Service on its own port
    #[arg(long, value_name = "NAMESPACE[/LABEL=VALUE,...]", conflicts_with_all = ["gateway", "callers"])]
    pub as_sidecar: Option<CallerSelector>,

    /// The domain of the cluster, as in web.shop.svc.DOMAIN. Default: the --domain of istiod in the input, with --from-cluster also
    /// the zone of CoreDNS, else cluster.local
    #[arg(long, value_name = "DOMAIN")]
    pub cluster_domain: Option<ClusterDomain>,
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

    /// What happens to requests when the module cannot run. Default: open for Istio (requests pass without sessions), reload for
    /// Envoy
    #[arg(long, value_enum)]
    pub fail_strategy: Option<FailStrategy>,

    /// Facts about gateways and their cluster that are not in the input.
    #[command(flatten)]
    pub mesh: MeshArgs,

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
        self.target == Target::Istio && !self.no_prune && self.mesh.gateway.is_empty()
    }
}

/// `mooring keygen`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
A key ring is a list of keys, separated by commas or white space, in the environment variable MOORING_KEYS of every gateway. The first \
key seals new tokens; every key opens tokens. To replace a key, append a new one on all gateways (--ring prints the whole ring), then \
move it to the front, and remove the old one when the last session that it sealed has expired.")]
pub struct Keygen {
    /// The id of the key in the ring: two hexadecimal digits. Default: a random id that the ring does not use
    #[arg(long, value_name = "HEX", value_parser = values::key_id)]
    pub id: Option<u8>,

    /// A file with an existing ring, or - for the standard input. The output is that ring with the new key at its end
    #[arg(long, value_name = "FILE")]
    pub ring: Option<PathBuf>,

    /// Print a Kubernetes Secret that holds the output under the key MOORING_KEYS
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = values::secret_name)]
    pub secret: Option<(String, String)>,
}

/// The format of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Tables and findings, for people
    Text,
    /// One JSON object, for programs
    Json,
}
