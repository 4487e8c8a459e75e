//! One finding: what is wrong, how serious it is, and where.

use super::code::Code;
use crate::{emit::target::Target, location::SourceLocation, shorten::shortened};

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
    pub(super) severity: Severity,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) location: Option<SourceLocation>,
    pub(super) related: Vec<(SourceLocation, String)>,
    pub(super) help: Option<String>,
    /// Whether it reports skipped input that the user may have wanted Mooring to read.
    pub(super) skips: bool,
    /// The only target that it concerns, if the input was checked for several.
    pub(super) target: Option<Target>,
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
            target: None,
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

    /// The only target that it concerns, if the input was checked for several.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        self.target
    }

    /// The advice, if there is any.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }
}
