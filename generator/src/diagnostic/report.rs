//! All findings of a run, and what errors remove from its output.

use std::collections::{BTreeSet, HashSet};

use super::{
    code::Code,
    finding::{Diagnostic, Severity},
    reported::Reported,
};
use crate::{
    emit::target::Target,
    id::Id,
    input_summary::InputSummary,
    kind::Kind,
    location::SourceLocation,
    omissions::{Omissions, Omitted},
};

/// All findings of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    known: HashSet<Diagnostic>,
    errors: usize,
    /// The latest error.
    latest: Option<Reported>,
    /// The codes whose warnings and notes are hidden.
    allowed: BTreeSet<Code>,
    omissions: Omissions,
    missed: BTreeSet<(Kind, Id)>,
    input_summary: InputSummary,
    fatal: bool,
}

impl Report {
    /// Adds a finding, unless an equal one exists.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.latest = Some(Reported::from(&diagnostic));
        }
        if self.known.insert(diagnostic.clone()) {
            let error = usize::from(diagnostic.severity == Severity::Error);
            self.errors = self.errors.saturating_add(error);
            self.diagnostics.push(diagnostic);
        }
    }

    /// Adds an error.
    pub fn error(&mut self, code: Code, message: impl Into<String>, location: SourceLocation) -> Reported {
        self.reject(Diagnostic::error(code, message).at(location))
    }

    /// Adds a finding, as an error.
    pub fn reject(&mut self, error: Diagnostic) -> Reported {
        let reported = Reported::from(&error);
        self.add(Diagnostic {
            severity: Severity::Error,
            ..error
        });
        reported
    }

    /// Adds the content of another report.
    pub fn extend(&mut self, other: Self) {
        for diagnostic in other.diagnostics {
            self.add(diagnostic);
        }
        self.omissions.extend(other.omissions);
        self.missed.extend(other.missed);
        self.input_summary.extend(other.input_summary);
        self.fatal |= other.fatal;
    }

    /// The findings of runs on the same input for different targets. A finding of only one of several says its target.
    #[must_use]
    pub fn of_targets(reports: Vec<(Target, Self)>) -> Self {
        let mut merged = Self {
            fatal: !reports.is_empty() && reports.iter().all(|(_, report)| report.fatal),
            ..Self::default()
        };
        let several = reports.len() > 1;
        for (target, report) in &reports {
            for found in &report.diagnostics {
                let common = reports.iter().all(|(_, other)| other.known.contains(found));
                merged.add(Diagnostic {
                    target: (several && !common).then_some(*target),
                    ..found.clone()
                });
            }
        }
        for (_, report) in reports {
            merged.omissions.extend(report.omissions);
            merged.missed.extend(report.missed);
            // All runs have read the same.
            merged.input_summary = report.input_summary;
        }
        merged
    }

    /// Adds the findings of a report about objects that no session or canary depends on. Its errors become warnings, and its
    /// omissions do not count.
    pub fn extend_harmless(&mut self, other: Self) {
        for diagnostic in other.diagnostics {
            self.add(diagnostic.harmless());
        }
        self.fatal |= other.fatal;
    }

    /// Records that the latest error removes this from the output.
    pub fn omit(&mut self, what: Omitted, name: impl Into<String>) {
        self.omissions.add(what, name, self.latest);
    }

    /// Records that an error removes this from the output.
    pub fn omit_because(&mut self, error: Reported, what: Omitted, name: impl Into<String>) {
        self.omissions.add(what, name, Some(error));
    }

    /// Whether it holds no findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty() && self.omissions.is_empty() && self.missed.is_empty()
    }

    /// What errors remove from the output.
    #[must_use]
    pub fn omissions(&self) -> &Omissions {
        &self.omissions
    }

    /// How many objects of the input were read and skipped.
    #[must_use]
    pub fn input_summary(&self) -> &InputSummary {
        &self.input_summary
    }

    /// The summary of the input, for counting.
    pub fn input_summary_mut(&mut self) -> &mut InputSummary {
        &mut self.input_summary
    }

    /// Records that an object is needed which may exist but could not be read.
    pub fn miss(&mut self, kind: Kind, id: &Id) {
        self.missed.insert((kind, id.clone()));
    }

    /// The needed objects that could not be read.
    #[must_use]
    pub fn missed(&self) -> &BTreeSet<(Kind, Id)> {
        &self.missed
    }

    /// Whether the subject of this report cannot be generated: there is an error, or a needed object could not be read.
    #[must_use]
    pub fn forbids(&self) -> bool {
        self.has_errors() || !self.missed.is_empty()
    }

    /// Marks the run as failed: no output may be written.
    pub fn abort(&mut self) {
        self.fatal = true;
    }

    /// Whether no output may be written.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// Whether skipped input may contain a needed object.
    #[must_use]
    pub fn skips_any(&self) -> bool {
        let mut skipping = self.diagnostics.iter().filter(|found| found.skips);
        skipping.any(|found| found.severity != Severity::Note)
    }

    /// Turns findings about skipped input into errors if they are warnings, or of the severity `least`.
    pub fn forbid_skipping(&mut self, least: Severity) {
        for found in &mut self.diagnostics {
            if found.skips && [Severity::Warning, least].contains(&found.severity) {
                found.severity = Severity::Error;
                self.errors = self.errors.saturating_add(1);
                self.latest = Some(Reported::from(&*found));
            }
        }
    }

    /// Removes the notes and the warnings.
    pub fn keep_errors(&mut self) {
        self.diagnostics.retain(|found| found.severity == Severity::Error);
    }

    /// Changes the words of all findings.
    pub fn reword(&mut self, words: impl Fn(&str) -> String) {
        for found in &mut self.diagnostics {
            found.message = words(&found.message);
            found.help = found.help.as_deref().map(&words);
            for (_, label) in &mut found.related {
                *label = words(label);
            }
        }
    }

    /// Removes the notes.
    pub fn forget_notes(&mut self) {
        self.diagnostics.retain(|found| found.severity != Severity::Note);
    }

    /// Hides warnings and notes with these codes: they are neither listed nor counted. Errors stay.
    pub fn allow(&mut self, codes: &[Code]) {
        self.allowed.extend(codes);
    }

    /// The findings that are not hidden.
    fn shown(&self) -> impl Iterator<Item = &Diagnostic> {
        let hidden = |found: &Diagnostic| found.severity != Severity::Error && self.allowed.contains(&found.code);
        self.diagnostics.iter().filter(move |found| !hidden(found))
    }

    /// Whether any finding is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// An error if any finding is one.
    pub fn result(&self) -> Result<(), Reported> {
        self.latest.map_or(Ok(()), Err)
    }

    /// Whether the output omits nothing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.has_errors() && self.omissions.is_empty()
    }

    /// Whether objects of earlier runs that this run does not generate may be removed. They may not if an error removed something
    /// from this run, or if skipped input may contain a needed object: the sessions of a whole gateway may depend on them.
    #[must_use]
    pub fn allows_pruning(&self) -> bool {
        self.is_complete() && !self.skips_any()
    }

    /// The number of errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The number of findings of this severity that are not hidden.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.shown()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }

    /// The findings that are not hidden, sorted by file and line, those without a position first.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.shown().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.location);
        sorted
    }
}
