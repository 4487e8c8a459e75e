//! Markdown, as far as the claims need it: code spans, commands, links, headings and tables, each with its line.

use std::collections::BTreeMap;

use crate::repository;

/// One document.
pub struct Document {
    /// From the root.
    pub path: String,
    /// Each line, and whether it is inside a fenced block.
    lines: Vec<(String, bool)>,
}

/// Something in a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// `path:line`.
    pub location: String,
    pub text: String,
}

impl Document {
    pub fn new(path: &str, text: &str) -> Self {
        let mut fenced = false;
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                lines.push((String::new(), false));
            } else {
                lines.push((line.to_owned(), fenced));
            }
        }
        let path = path.to_owned();
        Self { path, lines }
    }

    pub fn read(path: &str) -> Self {
        Self::new(path, &repository::read(path))
    }

    /// All documents that people have written. The others are held to the code by `make check-generated` and the like.
    pub fn all() -> Vec<Self> {
        let written = |path: &String| path.ends_with(".md") && !path.starts_with(".github/");
        repository::files()
            .iter()
            .filter(|path| written(path))
            .map(|path| Self::read(path))
            .collect()
    }

    fn found(&self, index: usize, text: &str) -> Found {
        Found {
            location: format!("{}:{}", self.path, index + 1),
            text: text.to_owned(),
        }
    }

    /// The lines outside of fenced blocks.
    pub fn prose(&self) -> impl Iterator<Item = Found> {
        let lines = self.lines.iter().enumerate().filter(|(_, (_, fenced))| !fenced);
        lines.map(|(index, (line, _))| self.found(index, line))
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = Found> {
        self.lines
            .iter()
            .enumerate()
            .map(|(index, (line, _))| self.found(index, line))
    }

    /// The code spans. One that goes on in the next line has a space there.
    pub fn spans(&self) -> Vec<Found> {
        let mut spans = Vec::new();
        let mut open: Option<(usize, String)> = None;
        for (index, (line, fenced)) in self.lines.iter().enumerate() {
            if *fenced || line.is_empty() {
                open = None;
                continue;
            }
            if let Some((_, text)) = &mut open {
                text.push(' ');
            }
            let mut parts = line.split('`').peekable();
            while let Some(part) = parts.next() {
                if let Some((_, text)) = &mut open {
                    text.push_str(part);
                }
                if parts.peek().is_some() {
                    open = match open.take() {
                        Some((start, text)) => {
                            spans.push(self.found(start, &text));
                            None
                        }
                        None => Some((index, String::new())),
                    };
                }
            }
        }
        spans
    }

    /// What is to be typed: the code spans, and the lines of fenced blocks, with continued lines joined.
    pub fn commands(&self) -> Vec<Found> {
        let mut commands = self.spans();
        let mut open: Option<(usize, String)> = None;
        for (index, (line, _)) in self.lines.iter().enumerate().filter(|(_, (_, fenced))| *fenced) {
            let line = line.trim().trim_start_matches(['$', '>']).trim();
            let (start, text) = open.take().unwrap_or((index, String::new()));
            let (more, line) = line.strip_suffix('\\').map_or((false, line), |line| (true, line));
            let text = format!("{text} {line}");
            if more {
                open = Some((start, text));
            } else {
                commands.push(self.found(start, &text));
            }
        }
        commands
    }

    /// The targets of links, without those to other hosts.
    pub fn links(&self) -> Vec<Found> {
        let mut links = Vec::new();
        for line in self.prose() {
            let targets = line
                .text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split_once(')'))
                .map(|(target, _)| target);
            for target in targets.filter(|target| !target.contains("://")) {
                links.push(Found {
                    location: line.location.clone(),
                    text: target.to_owned(),
                });
            }
        }
        links
    }

    /// The anchors that GitHub makes of the headings.
    pub fn anchors(&self) -> Vec<String> {
        let mut seen = BTreeMap::<String, usize>::new();
        let mut anchors = Vec::new();
        for line in self.prose() {
            let title = line.text.trim_start_matches('#');
            if title.len() == line.text.len() || !title.starts_with(' ') {
                continue;
            }
            let anchor: String = (title.trim().to_lowercase().chars())
                .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
                .map(|letter| if letter == ' ' { '-' } else { letter })
                .collect();
            let count = seen.entry(anchor.clone()).or_default();
            anchors.push(if *count == 0 {
                anchor
            } else {
                format!("{anchor}-{count}")
            });
            *count += 1;
        }
        anchors
    }

    /// The rows of all tables: their cells, and the first cell of the header.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut header = None;
        for line in self.prose() {
            let Some(inner) = line
                .text
                .trim()
                .strip_prefix('|')
                .and_then(|line| line.strip_suffix('|'))
            else {
                header = None;
                continue;
            };
            let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
            match &header {
                None => header = cells.into_iter().next(),
                Some(_) if cells[0].starts_with("---") => {}
                Some(header) => rows.push(Row {
                    location: line.location,
                    header: header.clone(),
                    cells,
                }),
            }
        }
        rows
    }
}

/// A row of a table.
pub struct Row {
    pub location: String,
    /// The first cell of the table's header.
    pub header: String,
    pub cells: Vec<String>,
}

#[test]
fn a_document_is_taken_apart() {
    let text = "# A `b` c\n\nsee [x](y.md#z), `one\ntwo` and [w](https://example.com)\n\n```console\n$ make a \\\n>   b\n```\n\n| h | i |\n|---|---|\n| j | `k` |\n";
    let document = Document::new("a.md", text);
    let texts = |found: Vec<Found>| found.into_iter().map(|found| found.text).collect::<Vec<_>>();
    assert_eq!(texts(document.spans()), ["b", "one two", "k"]);
    assert_eq!(texts(document.commands()), ["b", "one two", "k", " make a  b"]);
    assert_eq!(texts(document.links()), ["y.md#z"]);
    assert_eq!(document.links()[0].location, "a.md:3");
    assert_eq!(document.anchors(), ["a-b-c"]);
    assert_eq!(document.rows()[0].header, "h");
    assert_eq!(document.rows()[0].cells, ["j", "`k`"]);
}
