//! What `mooring validate` finds, against what `mooring generate` finds.

use std::{io, path::PathBuf};

use mooring_generator::{
    diagnostic::Report,
    emit::{istio::IstioVersion, target::Target},
    mesh::Mesh,
    source::Sources,
    validate,
};
use snapbox::cmd::OutputAssert;

use super::{LEFT_OUT, mooring, said};

/// `mooring validate` on a text.
pub fn validate(flags: &[&str], input: &str) -> OutputAssert {
    mooring()
        .args(["validate", "-f", "-"])
        .args(flags)
        .stdin(input)
        .assert()
}

/// The findings of a validation of these files, or of a text in place of `-`, as text.
#[must_use]
pub fn findings(files: &[PathBuf], stdin: &mut dyn io::Read, target: Target) -> String {
    let mut report = Report::default();
    let sources = Sources::read(files, &[], stdin, &mut report);
    validate::validate(&sources, target, IstioVersion::default(), &Mesh::default(), &mut report);
    let findings = report.sorted();
    let findings: Vec<String> = findings
        .iter()
        .map(|finding| format!("{}\n\n", finding.render(&sources)))
        .collect();
    findings.concat()
}

/// The findings of a run of `mooring generate`, as text.
#[must_use]
pub fn findings_of(run: &OutputAssert) -> String {
    let stderr = said(run);
    let findings = stderr.rsplit_once(LEFT_OUT).map(|(findings, _)| findings.to_owned());
    findings.unwrap_or(stderr)
}

/// Asserts that a validation of a text finds what a run of `mooring generate` has found in it.
#[track_caller]
pub fn assert_same(run: &OutputAssert, target: Target, input: &str) {
    let validated = findings(&["-".into()], &mut input.as_bytes(), target);
    snapbox::assert_data_eq!(validated, snapbox::Data::text(findings_of(run)).raw());
}
