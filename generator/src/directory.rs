//! The directory of `--output-dir`: which of its files an earlier run generated.
//!
//! [`crate::output`] writes the files and [`crate::drift`] compares them. Both use this module, so they agree on what
//! is generated.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    emit::Output,
    labels::{MANAGED_BY, NAME_PREFIX},
    output::{file_name::file_name, format::Format},
};

/// The kinds of generated objects. The Secret of `mooring keygen` also has Mooring's label, but it belongs to the user.
const GENERATED: [&str; 4] = ["EnvoyFilter", "GRPCRoute", "HTTPRoute", "WasmPlugin"];

/// The extensions of generated files.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// How many files a message lists by name.
const MAX_LISTED: usize = 20;

/// Why a directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The directory does not exist or is not a directory.
    #[error("cannot read the directory `{}`: {cause}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// A file in it cannot be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
}

/// A directory and the files in it that Mooring has generated.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    generated: BTreeMap<PathBuf, String>,
}

impl Directory {
    /// Reads a directory. A regular file counts as generated if every object in it has one of the generated kinds, and
    /// Mooring's label and name.
    pub fn read(path: &Path) -> Result<Self, DirectoryError> {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<fs::DirEntry>>>);
        let entries = entries.map_err(|cause| DirectoryError::Directory {
            path: path.to_owned(),
            cause,
        })?;
        let mut generated = BTreeMap::new();
        for entry in entries {
            let path = entry.path();
            let ending = path.extension();
            let manifest = ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
            if !manifest || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            match fs::read(&path).map(String::from_utf8) {
                Ok(Ok(text)) if is_generated(&text) => {
                    generated.insert(path, text);
                }
                Ok(_) => {}
                Err(cause) => return Err(DirectoryError::File { path, cause }),
            }
        }
        Ok(Self {
            path: path.to_owned(),
            generated,
        })
    }

    /// Reads a directory that may not exist yet.
    pub fn read_if_there(path: &Path) -> Result<Self, DirectoryError> {
        match Self::read(path) {
            Err(DirectoryError::Directory { path, cause }) if cause.kind() == io::ErrorKind::NotFound => Ok(Self {
                path,
                generated: BTreeMap::new(),
            }),
            read => read,
        }
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file for an object.
    #[must_use]
    pub fn file(&self, output: &Output, format: Format) -> PathBuf {
        self.path.join(file_name(output, format))
    }

    /// The generated files with their text.
    pub fn generated(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.generated
            .iter()
            .map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// The generated files to which none of these objects is written, with their text.
    #[must_use]
    pub fn stale(&self, outputs: &[Output], format: Format) -> Vec<(&Path, &str)> {
        let current: BTreeSet<PathBuf> = outputs.iter().map(|output| self.file(output, format)).collect();
        self.generated().filter(|(path, _)| !current.contains(*path)).collect()
    }
}

/// The content of a regular file. Mooring generates no other files. Following a link would print the content of its
/// target as a difference, and reading a pipe may never end.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if fs::symlink_metadata(path)?.is_file() {
        return fs::read(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// One line for each file, with what happened to it. If there are many files, only the first ones are listed.
pub struct Listed<'a, P>(pub &'a str, pub &'a [P]);

impl<P: AsRef<Path>> fmt::Display for Listed<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, files) = self;
        for file in files.iter().take(MAX_LISTED) {
            writeln!(f, "{what} {}", file.as_ref().display())?;
        }
        match files.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => writeln!(f, "{what} {more} more"),
        }
    }
}

/// The metadata that identifies the creator of an object.
#[derive(Debug, Default, Deserialize)]
struct Header {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    items: Vec<Header>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Header {
    fn is_generated(&self) -> bool {
        if self.kind == "List" {
            return !self.items.is_empty() && self.items.iter().all(Self::is_generated);
        }
        let (label, value) = MANAGED_BY;
        GENERATED.contains(&self.kind.as_str())
            && self.metadata.name.starts_with(NAME_PREFIX)
            && self.metadata.labels.get(label).is_some_and(|found| found == value)
    }
}

/// Whether every object of a text is one that Mooring has generated.
pub(crate) fn is_generated(text: &str) -> bool {
    let objects: Vec<Header> = serde_saphyr::from_multiple(text).unwrap_or_default();
    !objects.is_empty() && objects.iter().all(Header::is_generated)
}
