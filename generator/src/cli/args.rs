//! The arguments of each command as clap parses them. What they mean together is in `super::checks`.

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
    mesh::{self, PodNamespace},
    output::format::Format,
    source::IgnoredGlob,
};

/// Session persistence and sticky canary routing for stock Envoy, driven by Gateway API policies.
#[derive(Debug, Parser)]
#[command(name = "mooring", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn Gateway API policies into configuration for Istio or for a local Envoy
    Generate(Generate),
    /// Say what becomes of each policy, and why
    Validate(Validate),
    /// Compare what would be generated with what is in a directory
    Diff(Diff),
    /// Print a new key for the key ring that seals session tokens
    Keygen(Keygen),
    /// Print the custom resource definition of CanaryPolicy
    Crds,
}

/// `mooring generate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Reads BackendLBPolicy, XBackendTrafficPolicy, CanaryPolicy, Gateway, GatewayClass, ListenerSet, HTTPRoute, GRPCRoute, Service, EndpointSlice, \
Namespace, ReferenceGrant, Pod, Deployment, DaemonSet and StatefulSet, and of Istio VirtualService, DestinationRule, ServiceEntry and Gateway; other kinds are \
skipped, and so is what Mooring has generated.

For Istio it writes, in this order, the EnvoyFilters of the gateways, the session routes (an HTTPRoute or GRPCRoute beside each \
rule with several backends that has sessions or canaries) and the WasmPlugins. Weights stay in the routes: a change of them \
needs no new generation, except with hashOn and optIn of a CanaryPolicy. EnvoyFilter and WasmPlugin hold the rules of all teams \
on a gateway, so the input must have all routes and policies of a Gateway: two teams that generate for one Gateway from partial \
input overwrite each other's EnvoyFilter and WasmPlugin. Where that can be told, it is warned of (PartialInput): from what is in \
the directory of --output-dir or --check, from the status of Gateways, and in a cluster.

--output-dir leaves files alone that are as they should be, removes those of an earlier run that are no longer generated, and says \
what it has created, changed and removed. It never removes a file with anything in it that Mooring has not generated, and removes nothing \
as long as something is left out.

What is wrong in the input is left out, listed, and everything else is written. Exit status: 0 when everything was generated, also \
when there was nothing to generate; 1 when nothing was written (something cannot be read or written; with --strict also when \
anything is wrong in the input, with --fail-on-empty when there was nothing to generate); 2 when the flags are wrong; 3 when something \
was left out. With --check: 0 when the directory is current, 1 when it is not, 2 when nothing can be compared, 3 when it is current \
but for what was left out.

Examples:
  mooring generate -f manifests/ --wasm https://registry.example.com/mooring.wasm > mooring.yaml
  mooring generate -f manifests/ --target envoy --wasm target/mooring.wasm > envoy.yaml")]
pub struct Generate {
    /// What to generate, and from what.
    #[command(flatten)]
    pub generate: GenerateArgs,

    /// Write one file for each object into this directory instead of all of them to the standard output
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,

    /// Write nothing; compare with what --output-dir has written into this directory, and print the differences
    #[arg(long, value_name = "DIR", conflicts_with = "output_dir")]
    pub check: Option<PathBuf>,
}

/// `mooring diff`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "\
The same as mooring generate --check DIR. A file there that Mooring has generated and would not generate any more is a difference \
too, unless something is left out or --no-prune is given; other files are left alone. Exit status: 0 when the directory is current, \
1 when it is not, 2 when nothing can be compared (with --strict also when anything is wrong in the input, with --fail-on-empty when \
there is nothing to generate), 3 when it is current but for what is wrong in the input and left out.

Example:
  mooring diff deploy/mooring -f manifests/ --wasm https://registry.example.com/mooring.wasm",
    override_usage = "mooring diff <DIR> --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster> [OPTIONS]"
)]
pub struct Diff {
    /// The directory into which mooring generate --output-dir has written
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// What to generate, and from what.
    #[command(flatten)]
    pub generate: GenerateArgs,
}

/// `mooring validate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Conditions are those of GEP-713: Accepted, Conflicted, Overridden, Invalid, TargetNotFound; and NoEffect for a policy without \
sessionPersistence. Exit status: 0 when nothing is \
wrong, 1 when there is an error (with --strict also a warning), 2 when the flags are wrong.

Examples:
  mooring validate -f manifests/
  mooring validate -f manifests/ --target envoy
  mooring validate -f manifests/ -o json | jq '.findings[].code'
  mooring validate --from-cluster --context staging --namespace shop")]
pub struct Validate {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,

    /// What the input does not say about gateways and their cluster.
    #[command(flatten)]
    pub mesh: MeshArgs,

    /// For whom it would be generated: what the target cannot do is reported too
    #[arg(long, value_enum, default_value_t = Target::Istio)]
    pub target: Target,

    /// How to say it
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub output: ReportFormat,

    /// Exit with 1 on warnings too
    #[arg(long)]
    pub strict: bool,
}

/// What is read, and how much is said about it.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("source").required(true)))]
pub struct InputArgs {
    /// Files, directories (their .yaml, .yml and .json files, recursively, except in directories whose name begins with a dot) and -
    /// for the standard input
    #[arg(short, long = "file", value_name = "FILE|DIR|-", group = "source", num_args = 1..)]
    pub files: Vec<PathBuf>,

    /// Leave out the files and directories that match this glob, such as 'values*.yaml' or 'charts/*/templates': with a / it is
    /// matched with the path below the directory that -f names, without one with the name; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = IgnoredGlob::from_str, conflicts_with = "from_cluster")]
    pub ignore: Vec<IgnoredGlob>,

    /// Read the objects from the API server of the kubeconfig's context instead of files
    #[arg(long, group = "source")]
    pub from_cluster: bool,

    /// The kubeconfig for --from-cluster. Default: the files in KUBECONFIG, else ~/.kube/config, else the pod's service
    /// account
    #[arg(long, value_name = "FILE", requires = "from_cluster", conflicts_with = "files")]
    pub kubeconfig: Option<PathBuf>,

    /// The context for --from-cluster. Default: the current one
    #[arg(long, value_name = "NAME", requires = "from_cluster", conflicts_with = "files")]
    pub context: Option<String>,

    /// A namespace to read with --from-cluster; may be repeated. Default: all
    #[arg(
        short,
        long = "namespace",
        value_name = "NAMESPACE",
        requires = "from_cluster",
        conflicts_with = "files"
    )]
    pub namespaces: Vec<String>,

    /// Print warnings and errors only: no notes, no count of the objects that were read and skipped, and no list of the files
    /// that were written
    #[arg(short, long)]
    pub quiet: bool,
}

/// What the input does not say about gateways and their cluster.
#[derive(Debug, Args)]
pub struct MeshArgs {
    /// A Gateway to generate for; may be repeated. Gateways with the same pods belong together, and files of others are left
    /// alone. Default: all
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = mesh::gateway_id)]
    pub gateway: Vec<Id>,

    /// The name of a GatewayClass that is Istio's, although its GatewayClass is not in the input or has a controllerName
    /// other than istio.io/gateway-controller; may be repeated (only for Istio)
    #[arg(long, value_name = "NAME", value_parser = values::class_name)]
    pub gateway_class: Vec<String>,

    /// The namespace of the pods of Istio's own gateways (networking.istio.io), such as istio-system: of one Gateway or of all
    /// that are not named; may be repeated (only for Istio). Default: the namespaces of the pods and Deployments in the input
    /// that have the labels of the selector, else the namespace of the Gateway
    #[arg(long, value_name = "[NAMESPACE/NAME=]NAMESPACE")]
    pub gateway_namespace: Vec<PodNamespace>,

    /// The domain of the cluster, as in web.shop.svc.DOMAIN. Default: what istiod in the input has as --domain, with
    /// --from-cluster also the zone of CoreDNS, else cluster.local
    #[arg(long, value_name = "DOMAIN")]
    pub cluster_domain: Option<ClusterDomain>,
}

/// What is generated, and from what.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,

    /// What to generate: EnvoyFilters, session routes and WasmPlugins for Istio gateways, or the bootstrap of one local Envoy
    #[arg(long, value_enum, default_value_t = Target::Istio)]
    pub target: Target,

    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub output: Format,

    /// Where the gateway finds the filter module: for Istio a URL (oci://, https://, http:// or file://), for Envoy the
    /// path of the file, such as target/mooring.wasm
    #[arg(long, value_name = "URL|PATH")]
    pub wasm: String,

    /// The SHA-256 of the module (https://) or of its image manifest (oci://), for Istio to check. Default: the one in the
    /// URL, if it ends in @sha256:HEX
    #[arg(long, value_name = "HEX", value_parser = values::sha256)]
    pub wasm_sha256: Option<String>,

    /// The Istio that the objects are for, such as 1.30 or v1.30.2: 1.28 or later; tested up to 1.31, which is the default (only
    /// with --target istio)
    #[arg(long, value_name = "VERSION")]
    pub istio_version: Option<IstioVersion>,

    /// What happens to requests when the module cannot run. Default: open for Istio, so that traffic goes on without
    /// sessions; reload for Envoy
    #[arg(long, value_enum)]
    pub fail_strategy: Option<FailStrategy>,

    /// What the input does not say about gateways and their cluster.
    #[command(flatten)]
    pub mesh: MeshArgs,

    /// Write nothing when anything is wrong in the input, instead of leaving that out
    #[arg(long)]
    pub strict: bool,

    /// Fail, and neither write nor remove anything, when nothing is generated
    #[arg(long)]
    pub fail_on_empty: bool,

    /// Leave files of the directory alone that are no longer generated, as for several runs that write into one directory, and
    /// always with --gateway. Default: with --output-dir they are removed, with --check and diff they are a difference
    #[arg(long)]
    pub no_prune: bool,

    /// Where Envoy's admin interface listens (only with --target envoy). Default: 127.0.0.1:9901
    #[arg(long, value_name = "ADDR:PORT")]
    pub admin: Option<SocketAddr>,

    /// Where Envoy listens for a Gateway's port (only with --target envoy); may be repeated. Default: on 127.0.0.1 the
    /// same port, or below 1024, where only root may listen, the port plus 10000: 80 becomes 10080
    #[arg(long, value_name = "PORT=ADDR:PORT", value_parser = values::listen)]
    pub listen: Vec<(u16, SocketAddr)>,
}

impl GenerateArgs {
    /// Whether files are removed that are no longer generated. What is generated for a local Envoy is one file, and other files
    /// are not its business; where gateways are chosen, other files may be those of the others.
    #[must_use]
    pub fn prunes(&self) -> bool {
        self.target == Target::Istio && !self.no_prune && self.mesh.gateway.is_empty()
    }
}

/// `mooring keygen`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
A key ring is a list of such entries, separated by commas or white space, in the environment variable MOORING_KEYS of every \
gateway. The first entry seals new tokens, all of them open tokens. To replace a key: append the new entry everywhere \
(--ring prints the whole ring), move it to the front, and drop the old one when the last session that it sealed has expired.")]
pub struct Keygen {
    /// The key's id in the ring: two hexadecimal digits. Default: a random one that the ring does not have
    #[arg(long, value_name = "HEX", value_parser = values::key_id)]
    pub id: Option<u8>,

    /// A file with the ring that the key is for, or - for the standard input: the ring is printed, with the new entry at its end
    #[arg(long, value_name = "FILE")]
    pub ring: Option<PathBuf>,

    /// Print a Kubernetes Secret with what is printed otherwise under the key MOORING_KEYS
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = values::secret_name)]
    pub secret: Option<(String, String)>,
}

/// How a validation is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Tables and findings, for people
    Text,
    /// One JSON object, for programs
    Json,
}
