//! `mooring diff` and `mooring generate --check`: what would be generated, compared with what a directory has.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use ::similar::TextDiff;
use serde::Deserialize;

use crate::{
    cli::Format,
    emit::{MANAGED_BY, Output},
    output::{self, OutputError},
};

/// How a unified diff names a file that is not there.
const NO_FILE: &str = "/dev/null";

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    /// The directory cannot be read.
    #[error("cannot read the directory `{}`: {cause}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file in it cannot be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// What would be generated cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The differences as a unified diff, from what is there to what would be generated; empty where there are none.
///
/// A file that Mooring has generated and would not generate any more is a difference. Other files are nobody's business.
pub fn diff(outputs: &[Output], format: Format, directory: &Path) -> Result<String, DriftError> {
    let mut texts: BTreeMap<PathBuf, (Option<String>, Option<String>)> = BTreeMap::new();
    for (path, text) in ours(directory)? {
        texts.entry(path).or_default().0 = Some(text);
    }
    for output in outputs {
        let path = directory.join(output::file_name(output, format));
        let there = match read_regular(&path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(DriftError::File { path, cause }),
        };
        texts.insert(path, (there, Some(output::text(output, format)?)));
    }
    let differing = texts.iter().filter(|(_, (there, wanted))| there != wanted);
    Ok(differing
        .map(|(path, (there, wanted))| unified(path, there.as_deref(), wanted.as_deref()))
        .collect())
}

/// The content of a regular file. Nothing else has been generated: the content of a file to which a link leads would be printed as
/// a difference, and a pipe may never end.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if fs::symlink_metadata(path)?.is_file() {
        return fs::read(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
}

fn unified(path: &Path, there: Option<&str>, wanted: Option<&str>) -> String {
    let path = path.display().to_string();
    let name = |text: Option<&str>| if text.is_some() { path.as_str() } else { NO_FILE };
    let diff = TextDiff::from_lines(there.unwrap_or(""), wanted.unwrap_or(""));
    diff.unified_diff().header(name(there), name(wanted)).to_string()
}

/// The files of a directory that Mooring has generated: all of their objects are labelled so.
fn ours(directory: &Path) -> Result<Vec<(PathBuf, String)>, DriftError> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<fs::DirEntry>>>);
    let entries = entries.map_err(|cause| DriftError::Directory {
        path: directory.to_owned(),
        cause,
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path();
        let manifest = path
            .extension()
            .is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
        if !manifest || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        match fs::read(&path).map(String::from_utf8) {
            Ok(Ok(text)) if is_ours(&text) => files.push((path, text)),
            Ok(_) => {}
            Err(cause) => return Err(DriftError::File { path, cause }),
        }
    }
    Ok(files)
}

/// What of an object says who made it.
#[derive(Debug, Default, Deserialize)]
struct Labelled {
    #[serde(default)]
    metadata: LabelledMetadata,
    #[serde(default)]
    items: Vec<Labelled>,
}

#[derive(Debug, Default, Deserialize)]
struct LabelledMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Labelled {
    fn is_ours(&self) -> bool {
        let (label, value) = MANAGED_BY;
        let own = self.metadata.labels.get(label).is_some_and(|found| found == value);
        own || (!self.items.is_empty() && self.items.iter().all(Self::is_ours))
    }
}

fn is_ours(text: &str) -> bool {
    let objects: Vec<Labelled> = serde_saphyr::from_multiple(text).unwrap_or_default();
    !objects.is_empty() && objects.iter().all(Labelled::is_ours)
}
