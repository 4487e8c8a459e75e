//! The arguments for the input, which most commands have.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use std::{path::PathBuf, str::FromStr as _};

use clap::{Args, ValueEnum};

use super::values;
use crate::{
    diagnostic::Code,
    dns::ClusterDomain,
    id::Id,
    mesh::{self, CallerSelector, PodNamespace},
    source::IgnoredGlob,
};

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

    /// Neither print nor count warnings and notes with this code, such as Draining; may be repeated. Errors stay
    #[arg(long, value_name = "CODE", value_parser = Code::from_str)]
    pub allow: Vec<Code>,

    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Findings::Text, value_name = "FORMAT")]
    pub findings: Findings,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Findings {
    /// The message and the lines of the input, for people
    Text,
    /// Workflow commands of GitHub Actions, which annotate the files of a pull request; diff also annotates files that differ
    Github,
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
