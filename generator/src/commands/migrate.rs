//! `mooring migrate`: prints routes and policies for the Ingresses and `DestinationRule`s of the input.

use std::{io, process::ExitCode};

use super::{
    exit,
    input::{print_findings, print_input_summary, print_omissions, read_kinds},
    stdout::print_all,
};
use crate::{
    cli::args::Migrate,
    diagnostic::{Report, Severity},
    kind::Reads,
    mesh::Mesh,
    migrate::{self, Options},
    output,
};

/// Translates, and reports what has no equivalent.
pub fn run(args: &Migrate) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let mut mesh = Mesh::default();
    let sources = read_kinds(&args.input, Reads::Ingresses, &mut mesh, &mut report)?;
    let options = Options {
        gateway: args.gateway.clone(),
        classes: args.ingress_class.iter().cloned().collect(),
        prefix: args.annotations_prefix.trim_end_matches('/').to_owned(),
        policy_kind: args.policy_kind,
        cookie_suffix: args.cookie_suffix.clone().unwrap_or_default(),
    };
    let outputs = migrate::migrate(&sources, mesh, &options, &mut report);
    report.allow(&args.input.allow);
    let complete = report.count(Severity::Warning) == 0 && report.is_complete();
    if args.input.quiet {
        report.forget_notes();
    }
    let mut stderr = io::stderr().lock();
    print_findings(args.input.findings, &report, &sources, &mut stderr);
    print_omissions(&report, &mut stderr);
    print_input_summary(&args.input, &report, &mut stderr);
    if report.is_fatal() {
        return Ok(ExitCode::FAILURE);
    }
    if !outputs.is_empty() {
        print_all(&output::chunks(&outputs, args.output)?)?;
    }
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::INCOMPLETE)
    })
}
