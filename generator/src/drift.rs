//! `mooring diff` and `mooring generate --check`: compares the output that would be generated with the files of a
//! directory.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

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

/// The differences as a unified diff, from the current files to the output that would be generated; empty if there are
/// none.
///
/// If the run would remove stale files (`prunes`), each stale generated file is a difference. Other files are ignored.
pub fn diff(outputs: &[Output], format: Format, directory: &Directory, prunes: bool) -> Result<String, DriftError> {
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
    let differing = texts.iter().filter(|(_, (there, wanted))| there != wanted);
    Ok(differing
        .map(|(path, (there, wanted))| unified(path, there.as_deref(), wanted.as_deref()))
        .collect())
}

fn unified(path: &Path, there: Option<&str>, wanted: Option<&str>) -> String {
    let path = path.display().to_string();
    let name = |text: Option<&str>| if text.is_some() { path.as_str() } else { NO_FILE };
    if [there, wanted].into_iter().flatten().any(output::holds_key) {
        let (there, wanted) = (name(there), name(wanted));
        return format!("--- {there}\n+++ {wanted}\n(not shown: it contains a private key)\n");
    }
    let diff = TextDiff::from_lines(there.unwrap_or(""), wanted.unwrap_or(""));
    diff.unified_diff().header(name(there), name(wanted)).to_string()
}
