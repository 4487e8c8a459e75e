//! `mooring validate`: reports the status of each policy and rule.

use std::{io, process::ExitCode};

use super::{
    input::{print_findings, print_input_summary, read, refuse},
    stdout::print,
    terminal::print_report,
};
use crate::{
    cli::{
        input::Findings,
        validate::{ReportFormat, Validate},
    },
    diagnostic::{Report, Severity, sarif::sarif},
    emit::target::Target,
    validate::{self, Validation},
};

/// Validates and prints the report.
pub fn run(args: &Validate) -> anyhow::Result<ExitCode> {
    let targets = args.targets().unwrap_or_else(|invalid| refuse("validate", invalid));
    let mut read_report = Report::default();
    let (sources, mesh) = read(&args.input, &args.mesh, &mut read_report)?;
    let mut validations: Vec<Validation> = Vec::new();
    let mut reports: Vec<(Target, Report)> = Vec::new();
    for target in targets {
        let mut report = read_report.clone();
        let version = args.istio_version.unwrap_or_default();
        validations.push(validate::validate(&sources, target, version, &mesh, &mut report));
        reports.push((target, report));
    }
    let mut report = Report::of_targets(reports);
    report.allow(&args.input.allow);
    if args.input.quiet {
        report.forget_notes();
    }
    let mut stderr = io::stderr().lock();
    // The text contains the findings, unless they are printed as workflow commands.
    let in_text = args.input.findings == Findings::Text;
    if !in_text {
        print_findings(args.input.findings, &report, &sources, &mut stderr);
    }
    match args.output {
        ReportFormat::Text => print_report(&validate::text(&validations, &report, &sources, in_text)),
        ReportFormat::Json => print(&validate::json(&validations, &report, &sources)),
        ReportFormat::Sarif => print(&sarif(&report, &sources)),
    }?;
    print_input_summary(&args.input, &report, &mut stderr);
    let failed = report.has_errors() || (args.strict && report.count(Severity::Warning) > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
