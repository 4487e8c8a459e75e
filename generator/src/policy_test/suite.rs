//! A test file with its text.

use super::checked;
use crate::{diagnostic::Report, location::FileId, source::Sources};

/// A test file that was read.
#[derive(Debug)]
pub struct Suite {
    /// The file as the only source, for messages.
    pub sources: Sources,
    /// Its name.
    pub name: String,
    /// Its content.
    pub test: checked::TestFile,
}

impl Suite {
    /// Parses a test file. What is invalid is reported about the sources that are returned.
    pub fn parse(name: &str, text: &str, report: &mut Report) -> Result<Self, Sources> {
        let mut sources = Sources::default();
        sources.add(name, text.to_owned());
        match checked::parse(&sources, FileId(0), text.trim_start_matches('\u{feff}'), report) {
            Some(file) => Ok(Self {
                sources,
                name: name.to_owned(),
                test: file,
            }),
            None => Err(sources),
        }
    }
}
