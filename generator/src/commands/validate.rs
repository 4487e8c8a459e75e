//! `mooring validate`: reports the status of each policy and rule.

use std::{io, process::ExitCode};

use super::{
    input::{print_input_summary, read, refuse},
    stdout::print,
};
use crate::{
    cli::{
        args::{ReportFormat, Validate},
        checks,
    },
    diagnostic::{Report, Severity},
    emit::target::Target,
    validate,
};

/// Validates and prints the report.
pub fn run(args: &Validate) -> anyhow::Result<ExitCode> {
    let checked = match args.target {
        Target::Istio => checks::check_callers(&args.mesh),
        Target::Envoy => checks::check_local(&args.mesh),
    };
    checked.unwrap_or_else(|invalid| refuse("validate", invalid));
    let mut report = Report::default();
    let (sources, mesh) = read(&args.input, &args.mesh, &mut report)?;
    let validation = validate::validate(&sources, args.target, &mesh, &mut report);
    if args.input.quiet {
        report.forget_notes();
    }
    print(&match args.output {
        ReportFormat::Text => validate::text(&validation, &report, &sources),
        ReportFormat::Json => validate::json(&validation, &report, &sources),
    })?;
    print_input_summary(&args.input, &report, &mut io::stderr().lock());
    let failed = report.has_errors() || (args.strict && report.count(Severity::Warning) > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
