//! The input of a command, from files or from a cluster, and the refusal of flags that exclude each other.

use std::io;

use clap::{CommandFactory as _, error::ErrorKind};

use crate::{
    cli::args::{Cli, InputArgs, MeshArgs},
    cluster::Cluster,
    diagnostic::Report,
    mesh::Mesh,
    source::Sources,
};

/// Reads the input, and what the flags and the cluster tell about the mesh.
pub fn read(input: &InputArgs, mesh: &MeshArgs, report: &mut Report) -> anyhow::Result<(Sources, Mesh)> {
    let mut mesh = Mesh::from(mesh);
    if !input.from_cluster {
        let sources = Sources::read(&input.files, &input.ignore, &mut io::stdin().lock(), report);
        return Ok((sources, mesh));
    }
    let cluster = Cluster {
        kubeconfig: input.kubeconfig.clone(),
        context: input.context.clone(),
        namespaces: input.namespaces.clone(),
    };
    let mut sources = Sources::default();
    mesh.dns_domain = Some(cluster.read(&mut sources)?);
    Ok((sources, mesh))
}

/// Reports what was read and what was skipped, so that users notice missing input.
pub fn print_input_summary(input: &InputArgs, report: &Report, stderr: &mut impl io::Write) {
    let nothing = report.input_summary().is_empty() && report.has_errors();
    if !input.quiet && !nothing {
        // The exit status is right even if stderr is closed.
        let _ = writeln!(stderr, "{}", report.input_summary());
    }
}

/// Ends the process with a usage error of a command, in clap's format and with its exit status.
pub fn refuse(command: &str, invalid: impl std::fmt::Display) -> ! {
    let mut cli = Cli::command();
    cli.build();
    let command = cli.find_subcommand(command).cloned();
    command
        .unwrap_or(cli)
        .error(ErrorKind::ArgumentConflict, invalid)
        .exit()
}
