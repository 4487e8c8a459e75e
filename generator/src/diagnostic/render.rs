//! A finding as text: the message, the lines of the input that it is about, and the advice, in the layout of rustc.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};

use super::{Diagnostic, Severity};
use crate::{location::SourceLocation, source::Sources};

impl Diagnostic {
    /// The finding over several lines, with the lines of the input that it is about.
    #[must_use]
    pub fn render(&self, sources: &Sources) -> String {
        self.render_by(&Renderer::plain(), sources)
    }

    /// The same with the colours of a terminal.
    #[must_use]
    pub fn render_in_color(&self, sources: &Sources) -> String {
        self.render_by(&Renderer::styled(), sources)
    }

    fn render_by(&self, renderer: &Renderer, sources: &Sources) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = level
            .primary_title(self.message.as_str())
            .id(self.code.name())
            .elements(self.snippets(sources));
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        if let Some(target) = self.target {
            group = group.element(Level::NOTE.message(format!("only with --target {}", target.name())));
        }
        renderer.render(&[group])
    }

    /// The lines around the positions, the main position first. Positions in one file share a snippet, unless they are far apart.
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

/// The largest number of lines between two positions of one snippet. The renderer reads all of them.
const NEAR: usize = 1_000;

/// A position with its label.
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

/// The lines from the first to the last of these positions, which are all in one file.
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

/// The byte range of a position in a text, after `lines_before` lines of it. The range is always inside the text, since the
/// renderer panics otherwise.
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
