//! The proof that an error was reported.

use super::{code::Code, finding::Diagnostic};
use crate::location::SourceLocation;

/// Proof that an error was reported. A function that returns it in place of a value has already told the user why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The code of the error.
    pub code: Code,
    /// Its location, if it has one.
    pub location: Option<SourceLocation>,
}

impl From<&Diagnostic> for Reported {
    fn from(error: &Diagnostic) -> Self {
        Self {
            code: error.code(),
            location: error.location(),
        }
    }
}
