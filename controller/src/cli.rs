//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{CommandFactory as _, Parser, ValueEnum};
use mooring_generator::cli::module::ModuleArgs;

use crate::{apply, keys, lease, status};

/// Applies in a cluster what `mooring generate --from-cluster` would write, and reports the state of policies in their status.
#[derive(Debug, Parser)]
#[command(name = "mooring-controller", version)]
pub struct Cli {
    /// The kubeconfig. Default: the files in KUBECONFIG, else ~/.kube/config, else the service account of the pod
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig. Default: the current context
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// A namespace to watch; may be repeated. Default: all namespaces
    #[arg(short, long = "namespace", value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,

    /// The module, the objects and the mesh.
    #[command(flatten)]
    pub module: ModuleArgs,

    /// How often a plan of what has changed is compared with a plan of everything, in seconds; the latter counts. 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub verify_plan: u64,

    /// What is written.
    #[command(flatten)]
    pub apply: apply::Options,

    /// Session keys.
    #[command(flatten)]
    pub keys: keys::Options,

    /// The status of policies.
    #[command(flatten)]
    pub status: status::Options,

    /// The address of the probes and metrics
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:8080")]
    pub listen: SocketAddr,

    /// Which replica writes.
    #[command(flatten)]
    pub lease: lease::Options,

    /// The format of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object in each line
    Json,
}

/// The part of a flag's help that only concerns a command with several targets.
const OF_TARGET: &str = " (only with --target istio)";

/// The command line. The flags that it shares with `mooring generate` have no other target here.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command().mut_args(|arg| {
        let help = arg.get_help().map(|help| help.to_string().replace(OF_TARGET, ""));
        let hide = ["as_sidecar"].contains(&arg.get_id().as_str());
        match help {
            Some(help) => arg.help(help).hide(hide),
            None => arg.hide(hide),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::command;

    /// Clap finds what is wrong with a command line only when that is parsed, and in debug builds.
    #[test]
    fn flags_are_consistent() {
        command().debug_assert();
    }
}
