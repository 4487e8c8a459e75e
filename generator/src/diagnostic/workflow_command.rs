//! A finding as a workflow command of GitHub Actions, which shows it as an annotation of a file: `::error file=…::message`.
//!
//! The escaping is that of GitHub's toolkit (`@actions/core`, `command.ts`): it keeps a name in the input from ending the command or
//! beginning another one.

use super::{Diagnostic, Severity};
use crate::source::Sources;

/// A workflow command that annotates a file, or a run if it has no file.
#[derive(Debug)]
pub struct WorkflowCommand<'a> {
    /// Selects the command.
    pub severity: Severity,
    /// The path of the file, relative to the working directory.
    pub file: Option<&'a str>,
    /// The line, and the first and last column.
    pub position: Option<(usize, usize, usize)>,
    /// The title of the annotation.
    pub title: &'a str,
    /// Its text. It may have several lines.
    pub message: &'a str,
}

/// The command on one line, without a line break at its end.
impl std::fmt::Display for WorkflowCommand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.severity {
            Severity::Error => "::error ",
            Severity::Warning => "::warning ",
            Severity::Note => "::notice ",
        })?;
        if let Some(file) = self.file {
            write!(f, "file={},", property(file.strip_prefix("./").unwrap_or(file)))?;
            if let Some((line, column, end)) = self.position {
                write!(f, "line={line},endLine={line},col={column},endColumn={end},")?;
            }
        }
        write!(f, "title={}::{}", property(self.title), data(self.message))
    }
}

impl Diagnostic {
    /// The finding as a workflow command. The standard input is no file of a repository, so a finding about it names its line in the
    /// text.
    #[must_use]
    pub fn workflow_command(&self, sources: &Sources) -> String {
        let location = self.location.map(|location| (sources.name(location.file), location));
        let file = location.filter(|(name, _)| !name.starts_with('<'));
        let mut lines = vec![self.message.clone()];
        if let (Some((name, at)), None) = (location, file) {
            lines.push(format!("at {name}:{}:{}", at.line, at.column));
        }
        let related = self.related.iter();
        lines
            .extend(related.map(|(at, label)| format!("{label}: {}:{}:{}", sources.name(at.file), at.line, at.column)));
        lines.extend(self.help.iter().map(|help| format!("help: {help}")));
        lines.extend(
            self.target
                .map(|target| format!("only with --target {}", target.name())),
        );
        let command = WorkflowCommand {
            severity: self.severity,
            file: file.map(|(name, _)| name),
            position: file.map(|(_, at)| (at.line, at.column, at.column.saturating_add(at.length))),
            title: self.code.name(),
            message: &lines.join("\n"),
        };
        command.to_string()
    }
}

/// The text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_a_command_or_begins_another_one() {
        let command = WorkflowCommand {
            severity: Severity::Error,
            file: Some("./a,line=9::b%\n.yaml"),
            position: Some((3, 5, 8)),
            title: "Invalid",
            message: "100%\r\n::set-env name=X::y",
        };
        assert_eq!(
            command.to_string(),
            "::error file=a%2Cline=9%3A%3Ab%25%0A.yaml,line=3,endLine=3,col=5,endColumn=8,title=Invalid::100%25%0D%0A::set-env \
             name=X::y"
        );
    }

    #[test]
    fn a_command_without_a_file_has_no_position() {
        let command = WorkflowCommand {
            severity: Severity::Note,
            file: None,
            position: Some((3, 5, 8)),
            title: "Unnamed",
            message: "text",
        };
        assert_eq!(command.to_string(), "::notice title=Unnamed::text");
    }
}
