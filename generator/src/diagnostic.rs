//! Findings about the input: a stable code, a severity, a message and positions in the sources.
//!
//! This module holds findings as data; `render` prints them.

use std::collections::{BTreeSet, HashSet};

use crate::{
    id::Id,
    input_summary::InputSummary,
    kind::Kind,
    location::SourceLocation,
    omissions::{Omissions, Omitted},
    shorten::shortened,
};

mod render;

/// The kind of a finding. The names are stable. If Gateway API has a condition reason for a finding, its code has the
/// name of that reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A file or directory cannot be read.
    Unreadable,
    /// A text is not the YAML of a Kubernetes object.
    Syntax,
    /// Two documents describe one object.
    Duplicate,
    /// A field or annotation has a value that is not allowed (GEP-713).
    Invalid,
    /// A policy names a target that does not exist (GEP-713).
    TargetNotFound,
    /// A policy takes effect, but not in every way that the user may expect (GEP-713).
    Accepted,
    /// Another policy has precedence (GEP-713).
    Conflicted,
    /// A route names a parent or listener that does not exist or does not accept the route (GEP-1364).
    NoMatchingParent,
    /// A route names a backend that does not exist (GEP-1364).
    BackendNotFound,
    /// A route refers to another namespace without a `ReferenceGrant` (GEP-1364).
    RefNotPermitted,
    /// The input is valid, but the chosen target does not support it.
    Unsupported,
    /// A field or object has no effect.
    NoEffect,
    /// Sessions leave a pod as soon as it begins to terminate.
    Draining,
    /// A rule without a name is identified by its position.
    Unnamed,
    /// The input lacks routes of a gateway.
    PartialInput,
    /// The module is loaded without a checksum.
    Unverified,
    /// Mooring is not tested with this version of Istio.
    Untested,
    /// An object is too large for etcd or for `kubectl apply`.
    TooLarge,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The output omits the subject of the finding.
    Error,
    /// The output may not be what the user wants.
    Warning,
    /// The finding is only information.
    Note,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    severity: Severity,
    code: Code,
    message: String,
    location: Option<SourceLocation>,
    related: Vec<(SourceLocation, String)>,
    help: Option<String>,
    /// Whether it reports skipped input that the user may have wanted Mooring to read.
    skips: bool,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    /// A note.
    pub fn note(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message.into())
    }

    fn new(severity: Severity, code: Code, message: String) -> Self {
        Self {
            severity,
            code,
            message: shortened(message),
            location: None,
            related: Vec::new(),
            help: None,
            skips: false,
        }
    }

    /// The same finding with another message.
    #[must_use]
    pub fn reworded(mut self, message: impl Into<String>) -> Self {
        self.message = shortened(message.into());
        self
    }

    /// The same finding about an object that no session or canary depends on: a warning at most, and a note if the target
    /// merely does not support the feature.
    #[must_use]
    pub fn harmless(mut self) -> Self {
        if self.severity == Severity::Error {
            self.severity = match self.code {
                Code::Unsupported => Severity::Note,
                _ => Severity::Warning,
            };
        }
        self
    }

    /// Marks the finding as one about skipped input that the user may have wanted Mooring to read.
    #[must_use]
    pub fn skipping(mut self) -> Self {
        self.skips = true;
        self
    }

    /// Sets its position.
    #[must_use]
    pub fn at(mut self, location: SourceLocation) -> Self {
        self.location = Some(location);
        self
    }

    /// Adds a related position and a label for it.
    #[must_use]
    pub fn with(mut self, location: SourceLocation, label: impl Into<String>) -> Self {
        self.related.push((location, shortened(label.into())));
        self
    }

    /// Sets the advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }

    /// Suggests the name that the user may have meant.
    #[must_use]
    pub fn help_similar(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// Its severity.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message, without position and advice.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The position of the finding. It is `None` for a finding about the whole input.
    #[must_use]
    pub fn location(&self) -> Option<SourceLocation> {
        self.location
    }

    /// The related positions with their labels.
    pub fn related(&self) -> impl Iterator<Item = (SourceLocation, &str)> {
        self.related.iter().map(|(location, label)| (*location, label.as_str()))
    }

    /// The advice, if there is any.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// Proof that an error was reported. A function that returns it in place of a value has already told the user why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported(());

/// All findings of a run.
#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    known: HashSet<Diagnostic>,
    errors: usize,
    omissions: Omissions,
    missed: BTreeSet<(Kind, Id)>,
    input_summary: InputSummary,
    fatal: bool,
}

impl Report {
    /// Adds a finding, unless an equal one exists.
    pub fn add(&mut self, diagnostic: Diagnostic) {
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
        self.add(Diagnostic {
            severity: Severity::Error,
            ..error
        });
        Reported(())
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

    /// Adds the findings of a report about objects that no session or canary depends on. Its errors become warnings, and its
    /// omissions do not count.
    pub fn extend_harmless(&mut self, other: Self) {
        for diagnostic in other.diagnostics {
            self.add(diagnostic.harmless());
        }
        self.fatal |= other.fatal;
    }

    /// Records that an error removes this from the output.
    pub fn omit(&mut self, what: Omitted, name: impl Into<String>) {
        self.omissions.add(what, name);
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
            }
        }
    }

    /// Removes the notes.
    pub fn forget_notes(&mut self) {
        self.diagnostics.retain(|found| found.severity != Severity::Note);
    }

    /// Whether any finding is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// An error if any finding is one.
    pub fn result(&self) -> Result<(), Reported> {
        if self.has_errors() { Err(Reported(())) } else { Ok(()) }
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

    /// The number of findings of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let found = self.diagnostics.iter();
        found.filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// All findings, sorted by file and line, those without a position first.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.diagnostics.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.location);
        sorted
    }
}
