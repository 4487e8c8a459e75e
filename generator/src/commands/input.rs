//! The input of a command, from files or from a cluster, and the refusal of flags that exclude each other.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use clap::error::ErrorKind;

use super::{progress_line::ProgressLine, terminal};
use crate::{
    cli::{
        self,
        input::{Findings, InputArgs, MeshArgs},
    },
    cluster::Cluster,
    diagnostic::Report,
    kind::Reads,
    mesh::Mesh,
    source::Sources,
};

/// Reads the input, and what the flags and the cluster tell about the mesh.
pub fn read(input: &InputArgs, mesh: &MeshArgs, report: &mut Report) -> anyhow::Result<(Sources, Mesh)> {
    let mut mesh = Mesh::from(mesh);
    let sources = read_kinds(input, Reads::Routing, &mut mesh, report)?;
    Ok((sources, mesh))
}

/// The same, with the `EnvoyFilter`s of Mooring if a cluster is read.
pub fn read_applied(input: &InputArgs, mesh: &MeshArgs, report: &mut Report) -> anyhow::Result<(Sources, Mesh)> {
    if !input.from_cluster {
        return read(input, mesh, report);
    }
    let mut mesh = Mesh::from(mesh);
    let cluster = Cluster {
        reads_filters: true,
        ..cluster(input)
    };
    let sources = read_cluster(&cluster, input, &mut mesh)?;
    Ok((sources, mesh))
}

/// Reads the objects of these kinds, and what the cluster tells about the mesh.
pub fn read_kinds(input: &InputArgs, reads: Reads, mesh: &mut Mesh, report: &mut Report) -> anyhow::Result<Sources> {
    if !input.from_cluster {
        let stdin = &mut io::stdin().lock();
        return Ok(Sources::read(&input.files, &input.ignore, stdin, report));
    }
    let cluster = Cluster {
        reads,
        ..cluster(input)
    };
    read_cluster(&cluster, input, mesh)
}

/// Reads a cluster. If it is slow, a line on the terminal says so.
fn read_cluster(cluster: &Cluster, input: &InputArgs, mesh: &mut Mesh) -> anyhow::Result<Sources> {
    let mut sources = Sources::default();
    let line = ProgressLine::start(&cluster.progress, input.quiet);
    let domain = cluster.read(&mut sources);
    drop(line);
    mesh.dns_domain = Some(domain?);
    Ok(sources)
}

/// The cluster that the flags name.
pub fn cluster(input: &InputArgs) -> Cluster {
    Cluster {
        kubeconfig: input.kubeconfig.clone(),
        context: input.context.clone(),
        namespaces: input.namespaces.clone(),
        ..Cluster::default()
    }
}

/// Prints the findings in the chosen format.
pub fn print_findings(format: Findings, report: &Report, sources: &Sources, stderr: &mut impl io::Write) {
    let in_color = terminal::stderr_has_color();
    for finding in report.sorted() {
        // The exit status is right even if stderr is closed.
        let _ = match format {
            Findings::Text if in_color => writeln!(stderr, "{}\n", finding.render_in_color(sources)),
            Findings::Text => writeln!(stderr, "{}\n", finding.render(sources)),
            Findings::Github => writeln!(stderr, "{}", finding.workflow_command(sources)),
        };
    }
}

/// Lists what is left out because of errors.
pub fn print_omissions(report: &Report, stderr: &mut impl io::Write) {
    if !report.omissions().is_empty() {
        // The exit status is right even if stderr is closed.
        let _ = writeln!(stderr, "left out because of errors: {}", report.omissions());
    }
}

/// Reports what was read and what was skipped, so that users notice missing input.
pub fn print_input_summary(input: &InputArgs, report: &Report, stderr: &mut impl io::Write) {
    let nothing = report.input_summary().is_empty() && report.has_errors();
    if !input.quiet && !nothing {
        // The exit status is right even if stderr is closed.
        let _ = writeln!(stderr, "{}", report.input_summary());
    }
}

/// Reads a file as a text, or the standard input if the path is `-`.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    let text = if is_stdin(path) {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(path)
    };
    text.with_context(|| format!("cannot read {}", path.display()))
}

/// Whether a path stands for the standard input.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Ends the process with a usage error of a command such as `token inspect`, in clap's format and with its exit status.
pub fn refuse(command: &str, invalid: impl std::fmt::Display) -> ! {
    let mut cli = cli::of_this_program();
    cli.build();
    let mut named = &cli;
    for name in command.split(' ') {
        named = named.find_subcommand(name).unwrap_or(named);
    }
    named.clone().error(ErrorKind::ArgumentConflict, invalid).exit()
}
