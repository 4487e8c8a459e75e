//! `mooring diff` and `mooring generate --check`: compares the output that would be generated with the files of a
//! directory.

use std::{collections::BTreeMap, fmt, io, path::PathBuf};

use similar::TextDiff;

use crate::{
    directory::{self, Directory, DirectoryError},
    emit::Output,
    output::{self, OutputError, format::Format},
};

/// The name of a missing file in a unified diff.
const NO_FILE: &str = "/dev/null";

/// Why the comparison failed.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    /// The directory cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The output cannot be serialized.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The difference between a file and the output that would be generated.
#[derive(Debug)]
pub struct Difference {
    /// The path of the file.
    pub path: PathBuf,
    there: Option<String>,
    wanted: Option<String>,
}

/// The differences from the current files to the output that would be generated, by path.
///
/// If the run would remove stale files (`prunes`), each stale generated file is a difference. Other files are ignored.
pub fn diff(
    outputs: &[Output],
    format: Format,
    directory: &Directory,
    prunes: bool,
) -> Result<Vec<Difference>, DriftError> {
    let mut texts: BTreeMap<PathBuf, (Option<String>, Option<String>)> = BTreeMap::new();
    let stale = if prunes {
        directory.stale(outputs, format)
    } else {
        Vec::new()
    };
    for (path, text) in stale {
        texts.insert(path.to_owned(), (Some(text.to_owned()), None));
    }
    for output in outputs {
        let path = directory.file(output, format);
        let there = match directory::read_regular(&path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(DirectoryError::File { path, cause }.into()),
        };
        texts.insert(path, (there, Some(output::text(output, format)?)));
    }
    let differing = texts.into_iter().filter(|(_, (there, wanted))| there != wanted);
    let difference = |(path, (there, wanted))| Difference { path, there, wanted };
    Ok(differing.map(difference).collect())
}

impl Difference {
    /// What a run would do with the file.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        match (&self.there, &self.wanted) {
            (None, _) => "this generated file is missing",
            (_, None) => "this generated file is stale: the input no longer needs it",
            _ => "this generated file differs from what the input generates",
        }
    }

    /// The first line of the current file that differs, counted from 1.
    #[must_use]
    pub fn first_line(&self) -> usize {
        let (there, wanted) = (self.there.as_deref(), self.wanted.as_deref());
        let pairs = there.unwrap_or("").lines().zip(wanted.unwrap_or("").lines());
        pairs
            .take_while(|(there, wanted)| there == wanted)
            .count()
            .saturating_add(1)
    }
}

/// The difference as a unified diff.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, there, wanted } = self;
        let path = path.display().to_string();
        let name = |text: &Option<String>| {
            if text.is_some() {
                path.clone()
            } else {
                NO_FILE.to_owned()
            }
        };
        let (old, new) = (name(there), name(wanted));
        if [there, wanted]
            .into_iter()
            .flatten()
            .any(|text| output::holds_key(text))
        {
            return writeln!(f, "--- {old}\n+++ {new}\n(not shown: it contains a private key)");
        }
        let diff = TextDiff::from_lines(there.as_deref().unwrap_or(""), wanted.as_deref().unwrap_or(""));
        write!(f, "{}", diff.unified_diff().header(&old, &new))
    }
}
