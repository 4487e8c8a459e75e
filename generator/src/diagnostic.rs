//! What is wrong with an input, or worth knowing about it: structured, with stable codes, and shown as rustc shows it.

use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
};

use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};

use crate::{
    id::Id,
    kind::Kind,
    location::SourceLocation,
    omissions::{Omissions, Omitted},
    shorten::shortened,
    source::Sources,
    tally::Tally,
};

/// What kind of finding it is. The names are stable; where Gateway API has a word for it, it is that word.
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
    /// A policy holds, in a way that the user may not expect (GEP-713).
    Accepted,
    /// A policy gives way to another (GEP-713).
    Conflicted,
    /// A route names a parent or listener that does not exist or does not take it (GEP-1364).
    NoMatchingParent,
    /// A route names a backend that does not exist (GEP-1364).
    BackendNotFound,
    /// A route names something in another namespace without a `ReferenceGrant` (GEP-1364).
    RefNotPermitted,
    /// It is valid, and the chosen target cannot do it.
    Unsupported,
    /// It has no effect.
    NoEffect,
    /// Sessions leave a pod as soon as it terminates.
    Draining,
    /// A rule is known by its position, since it has no name.
    Unnamed,
    /// The input does not have all routes of a gateway.
    PartialInput,
    /// Nothing checks that the module is the one that is meant.
    Unverified,
    /// No test has seen the version of Istio that it is for.
    Untested,
    /// An object is larger than it can be stored, or than every way of applying it takes.
    TooLarge,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The thing that it is about is left out.
    Error,
    /// Something is generated, and it may not be what the user wants.
    Warning,
    /// All is well, and the user may want to know.
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
    /// Whether something is skipped that may have been meant to be read.
    skips: bool,
}

impl Diagnostic {
    /// A finding because of which nothing is generated.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// A finding that the user should know about.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    /// A finding that the user may want to know about.
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

    /// The same finding in other words.
    #[must_use]
    pub fn reworded(mut self, message: impl Into<String>) -> Self {
        self.message = shortened(message.into());
        self
    }

    /// The same finding about something that no session and no canary touches: a warning at most, and a note where it is only
    /// something that we would not do.
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

    /// It is about something that is skipped, and that may have been meant to be read.
    #[must_use]
    pub fn skipping(mut self) -> Self {
        self.skips = true;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn at(mut self, location: SourceLocation) -> Self {
        self.location = Some(location);
        self
    }

    /// Another place that belongs to it, and what is there.
    #[must_use]
    pub fn with(mut self, location: SourceLocation, label: impl Into<String>) -> Self {
        self.related.push((location, shortened(label.into())));
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }

    /// A name that the user may have meant.
    #[must_use]
    pub fn help_similar(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What kind of finding it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message alone, without place and help.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it is, if it is anywhere.
    #[must_use]
    pub fn location(&self) -> Option<SourceLocation> {
        self.location
    }

    /// The other places that belong to it, and what is there.
    pub fn related(&self) -> impl Iterator<Item = (SourceLocation, &str)> {
        self.related.iter().map(|(location, label)| (*location, label.as_str()))
    }

    /// What to do about it, if we know.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The finding with its places in the source, over several lines, as rustc shows it.
    #[must_use]
    pub fn render(&self, sources: &Sources) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = level
            .primary_title(self.message.as_str())
            .id(format!("{:?}", self.code))
            .elements(self.snippets(sources));
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[group])
    }

    /// The source around the places, the main one first; places in one file share a snippet, unless they are far apart.
    fn snippets<'a>(&'a self, sources: &'a Sources) -> Vec<Snippet<'a, Annotation<'a>>> {
        let related = self.related.iter().map(|(location, label)| Mark {
            location: *location,
            kind: AnnotationKind::Context,
            label: Some(label.as_str()),
        });
        let main = self.location.map(|location| Mark {
            location,
            kind: AnnotationKind::Primary,
            label: None,
        });
        let Some(main) = main else { return Vec::new() };
        let mut groups: Vec<Vec<Mark>> = Vec::new();
        for mark in std::iter::once(main).chain(related) {
            match groups
                .iter_mut()
                .find(|group| group.iter().any(|other| other.is_near(&mark)))
            {
                Some(group) => group.push(mark),
                None => groups.push(vec![mark]),
            }
        }
        groups.into_iter().map(|marks| snippet(marks, sources)).collect()
    }
}

/// How many lines may be between two places for them to be shown in one snippet: all of them are looked at.
const NEAR: usize = 1_000;

/// A place that is shown, and what is said there.
struct Mark<'a> {
    location: SourceLocation,
    kind: AnnotationKind,
    label: Option<&'a str>,
}

impl Mark<'_> {
    fn is_near(&self, other: &Self) -> bool {
        self.location.file == other.location.file && self.location.line.abs_diff(other.location.line) <= NEAR
    }
}

/// The lines from the first to the last of these places, which are in one file.
fn snippet<'a>(marks: Vec<Mark<'a>>, sources: &'a Sources) -> Snippet<'a, Annotation<'a>> {
    let lines = || marks.iter().map(|mark| mark.location.line);
    let (first, last) = (lines().min().unwrap_or(1), lines().max().unwrap_or(1));
    let file = marks.first().map(|mark| mark.location.file);
    let text = file.map_or("", |file| sources.lines(file, first..=last));
    let annotations = marks.into_iter().map(|mark| {
        let before = mark.location.line.saturating_sub(first);
        mark.kind.span(span(text, before, mark.location)).label(mark.label)
    });
    Snippet::source(text)
        .line_start(first)
        .path(file.map(|file| sources.name(file)))
        .annotations(annotations)
}

/// The bytes of a place in a text of which this many lines come before it; inside the text in any case, since the renderer
/// panics on a span beyond its end.
fn span(text: &str, lines_before: usize, location: SourceLocation) -> Range<usize> {
    let line_start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    let line = text.get(line_start..).unwrap_or("").lines().next().unwrap_or("");
    let offset = |characters: usize| {
        line.char_indices()
            .nth(characters)
            .map_or(line.len(), |(offset, _)| offset)
    };
    let first = location.column.saturating_sub(1);
    let start = line_start.saturating_add(offset(first));
    let end = line_start.saturating_add(offset(first.saturating_add(location.length)));
    start..end
}

/// All findings of a run.
#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    known: HashSet<Diagnostic>,
    errors: usize,
    omissions: Omissions,
    missed: BTreeSet<(Kind, Id)>,
    tally: Tally,
    fatal: bool,
}

impl Report {
    /// Adds a finding, unless it is there already.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        if self.known.insert(diagnostic.clone()) {
            let error = usize::from(diagnostic.severity == Severity::Error);
            self.errors = self.errors.saturating_add(error);
            self.diagnostics.push(diagnostic);
        }
    }

    /// Adds what was found elsewhere.
    pub fn extend(&mut self, other: Self) {
        for diagnostic in other.diagnostics {
            self.add(diagnostic);
        }
        self.omissions.extend(other.omissions);
        self.missed.extend(other.missed);
        self.tally.extend(other.tally);
        self.fatal |= other.fatal;
    }

    /// Adds what was found elsewhere, about something that no session and no canary touches: nothing is left out for it.
    pub fn extend_harmless(&mut self, other: Self) {
        for diagnostic in other.diagnostics {
            self.add(diagnostic.harmless());
        }
        self.fatal |= other.fatal;
    }

    /// Remembers that an error takes this out of the output.
    pub fn omit(&mut self, what: Omitted, name: impl Into<String>) {
        self.omissions.add(what, name);
    }

    /// What errors take out of the output.
    #[must_use]
    pub fn omissions(&self) -> &Omissions {
        &self.omissions
    }

    /// What was read of the input, and what was skipped.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// To count what is read of the input, and what is skipped.
    pub fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Remembers that an object is needed which is there, perhaps, and could not be read.
    pub fn miss(&mut self, kind: Kind, id: &Id) {
        self.missed.insert((kind, id.clone()));
    }

    /// The objects that are needed and could not be read.
    #[must_use]
    pub fn missed(&self) -> &BTreeSet<(Kind, Id)> {
        &self.missed
    }

    /// Whether something is wrong, or missing, without which the thing that this is about cannot be generated.
    #[must_use]
    pub fn forbids(&self) -> bool {
        self.has_errors() || !self.missed.is_empty()
    }

    /// An error that is about everything, so that nothing can be written.
    pub fn abort(&mut self) {
        self.fatal = true;
    }

    /// Whether nothing can be written.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// Whether something is skipped in which an object may be that is needed.
    #[must_use]
    pub fn skips_any(&self) -> bool {
        let mut skipping = self.diagnostics.iter().filter(|found| found.skips);
        skipping.any(|found| found.severity != Severity::Note)
    }

    /// Turns into errors what is said about things that are skipped, if it is at least as bad as this.
    pub fn forbid_skipping(&mut self, least: Severity) {
        for found in &mut self.diagnostics {
            if found.skips && [Severity::Warning, least].contains(&found.severity) {
                found.severity = Severity::Error;
                self.errors = self.errors.saturating_add(1);
            }
        }
    }

    /// Takes out the findings that are not about anything wrong.
    pub fn forget_notes(&mut self) {
        self.diagnostics.retain(|found| found.severity != Severity::Note);
    }

    /// Whether any finding is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.has_errors() && self.omissions.is_empty()
    }

    /// Whether what is not generated may be removed where an earlier run has written it. What an error has taken out of this run is
    /// not, nor what may be in a part of the input that was skipped: the sessions of a whole gateway may depend on it.
    #[must_use]
    pub fn allows_pruning(&self) -> bool {
        self.is_complete() && !self.skips_any()
    }

    /// How many findings are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many findings are as bad as this.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let found = self.diagnostics.iter();
        found.filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// All findings, sorted by file and line; those without a place come first.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.diagnostics.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.location);
        sorted
    }
}
