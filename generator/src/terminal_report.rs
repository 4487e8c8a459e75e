//! The colours of a report: of its tables, findings and conditions. Without colours, the same text is printed.

use std::fmt::Write as _;

use annotate_snippets::renderer::{AnsiColor, Style};

const GOOD: Style = AnsiColor::Green.on_default();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const PLACE: Style = AnsiColor::Blue.on_default();

/// Words that a cell of a table or a value consists of, and their colours.
const WORDS: [(&str, Style); 16] = [
    ("Accepted", GOOD),
    ("live", GOOD),
    ("passed", GOOD),
    ("ok", GOOD),
    ("Conflicted", DOUBTFUL),
    ("Overridden", DOUBTFUL),
    ("NoEffect", DOUBTFUL),
    ("skipped", DOUBTFUL),
    ("Invalid", BAD),
    ("TargetNotFound", BAD),
    ("failed", BAD),
    ("FAILED", BAD),
    ("expired-idle", BAD),
    ("expired-absolute", BAD),
    ("rejected-future", BAD),
    ("left out", BAD),
];

/// The beginnings of findings.
const FINDINGS: [(&str, Style); 4] = [
    ("error", BAD.bold()),
    ("warning", DOUBTFUL.bold()),
    ("note", GOOD.bold()),
    ("help", PLACE.bold()),
];

/// A report with colours.
#[must_use]
pub fn colored(text: &str) -> String {
    text.split_inclusive('\n').fold(String::new(), |mut all, line| {
        let (content, end) = match line.strip_suffix('\n') {
            Some(content) => (content, "\n"),
            None => (line, ""),
        };
        line_of(content, &mut all);
        all.push_str(end);
        all
    })
}

fn line_of(line: &str, all: &mut String) {
    if let Some((first, style)) = FINDINGS.into_iter().find(|(first, _)| begins(line, first)) {
        let end = line.find(':').unwrap_or(first.len());
        let (first, rest) = line.split_at_checked(end).unwrap_or((line, ""));
        paint(first, style, all);
        return all.push_str(rest);
    }
    if is_head(line) {
        return paint(line, Style::new().bold(), all);
    }
    let trimmed = line.trim_start();
    if trimmed.starts_with("--> ") || trimmed.starts_with("::: ") {
        return paint(line, PLACE, all);
    }
    cells(line, all);
}

/// Whether a line begins a finding: `error[Code]: …`, `warning: …`.
fn begins(line: &str, first: &str) -> bool {
    line.strip_prefix(first)
        .is_some_and(|rest| rest.starts_with('[') || rest.starts_with(": "))
}

/// Whether a line is the head of a table: words in capital letters.
fn is_head(line: &str) -> bool {
    let words = || line.split_whitespace();
    words().count() > 1
        && !line.starts_with(' ')
        && words().all(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()))
        && words().all(|word| word.len() > 1)
}

/// A row of a table, whose cells have two blanks or more in between.
fn cells(line: &str, all: &mut String) {
    let mut rest = line;
    while !rest.is_empty() {
        let blanks = rest.len().saturating_sub(rest.trim_start_matches(' ').len());
        let (before, next) = rest.split_at_checked(blanks).unwrap_or((rest, ""));
        let end = next.find("  ").unwrap_or(next.len());
        let (cell, next) = next.split_at_checked(end).unwrap_or((next, ""));
        all.push_str(before);
        match WORDS.into_iter().find(|(word, _)| *word == cell) {
            Some((_, style)) => paint(cell, style, all),
            None => all.push_str(cell),
        }
        rest = next;
    }
}

fn paint(text: &str, style: Style, all: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(all, "{style}{text}{style:#}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
POLICY               TARGET       CONDITION
BackendLBPolicy a/b  Service web  Accepted
CanaryPolicy a/c     HTTPRoute x  TargetNotFound

error[TargetNotFound]: there is no Accepted thing
 --> input.yaml:3:4
  |
3 |   name: web
  |         ^^^

1 error
";

    /// A text without its colours.
    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn colours_change_no_text() {
        for text in [
            REPORT,
            "",
            "\n",
            "a  b",
            "  a  ",
            "error: x",
            "Ü  Accepted  ü\n",
            "error",
            "A B\r\n",
        ] {
            assert_eq!(plain(&colored(text)), text);
        }
    }

    #[test]
    fn heads_findings_places_and_conditions_are_coloured() {
        let colored = colored(REPORT);
        for part in [
            "\u{1b}[1mPOLICY ",
            "\u{1b}[32mAccepted\u{1b}[0m\n",
            "\u{1b}[31mTargetNotFound\u{1b}[0m\n",
            "error[TargetNotFound]\u{1b}[0m: there is no Accepted thing\n",
            "\u{1b}[34m --> input.yaml:3:4\u{1b}[0m",
            "\n3 |   name: web\n",
        ] {
            assert!(colored.contains(part), "{part:?} in {colored:?}");
        }
    }
}
