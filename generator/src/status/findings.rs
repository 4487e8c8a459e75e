//! The text of findings, and which finding explains what.

use std::collections::BTreeMap;

use crate::{
    diagnostic::{Code, Diagnostic, Report, Reported, Severity},
    location::{FileId, SourceLocation},
    omissions::Omitted,
    validate::{index::OnGroup, status::PolicyStatus},
};

/// The findings of a report by object and by cause.
pub struct Findings<'a> {
    by_file: BTreeMap<FileId, Vec<&'a Diagnostic>>,
    errors: BTreeMap<(Code, Option<SourceLocation>), &'a Diagnostic>,
    omitted: BTreeMap<(Omitted, &'a str), Reported>,
}

impl<'a> Findings<'a> {
    /// Indexes the findings of a report.
    pub fn new(report: &'a Report) -> Self {
        let mut findings = Self {
            by_file: BTreeMap::new(),
            errors: BTreeMap::new(),
            omitted: BTreeMap::new(),
        };
        for found in report.sorted() {
            if let Some(location) = found.location() {
                findings.by_file.entry(location.file).or_default().push(found);
            }
            if found.severity() == Severity::Error {
                findings.errors.entry((found.code(), found.location())).or_insert(found);
            }
        }
        let omitted = report.omissions().iter();
        findings.omitted = omitted
            .filter_map(|(what, name, error)| Some(((what, name), error?)))
            .collect();
        findings
    }

    /// The errors and warnings in a file.
    pub fn of_file(&self, file: FileId) -> impl Iterator<Item = &'a Diagnostic> {
        let found = self.by_file.get(&file).into_iter().flatten().copied();
        found.filter(|found| found.severity() != Severity::Note)
    }

    /// The error that keeps a policy from a rule, everywhere or on these proxies.
    pub fn cause(&self, policy: &PolicyStatus, rule: &str, on: Option<&OnGroup>) -> Option<&'a Diagnostic> {
        let name = format!("{}/{}", policy.kind, policy.id);
        let mut names = vec![
            (Omitted::Rule, rule.to_owned()),
            (Omitted::Attachment, format!("{name} on {rule}")),
        ];
        if let Some(on) = on {
            let (group, route) = (on.group.name(), on.rule.route);
            names.extend([
                (Omitted::Rule, format!("{rule} on {group}")),
                (Omitted::Attachment, format!("{name} on {group}")),
                (Omitted::Route, route.name(route.spec.kind)),
                (Omitted::Gateway, group),
            ]);
        }
        let causes = names
            .iter()
            .filter_map(|(what, name)| self.omitted.get(&(*what, name.as_str())));
        let mut found = causes.filter_map(|error| self.errors.get(&(error.code, error.location)));
        found.next().copied()
    }
}

/// A finding as one sentence, with its code. The input is a cluster.
pub fn text(found: &Diagnostic) -> String {
    let severity = match found.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let advice = found.advice().map_or(String::new(), |advice| format!("; {advice}"));
    let text = format!("{severity}[{}]: {}{advice}", found.code(), found.message());
    text.replace("the input", "the cluster")
}
