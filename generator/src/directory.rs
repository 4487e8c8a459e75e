//! A directory into which `--output-dir` writes: which of its files an earlier run has generated.
//!
//! Not for what is written ([`crate::output`]) or compared ([`crate::drift`]): both ask here, so that they agree.

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

/// The kinds of objects that are generated. The Secret of `mooring keygen` has our label too, and is the user's.
const GENERATED: [&str; 4] = ["EnvoyFilter", "GRPCRoute", "HTTPRoute", "WasmPlugin"];

/// The endings of files that may have been generated.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// How many files are listed by name.
const MAX_LISTED: usize = 20;

/// Why a directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It is not there, or is no directory.
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
}

/// A directory and the files in it that Mooring has generated.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    generated: BTreeMap<PathBuf, String>,
}

impl Directory {
    /// Reads a directory. A file counts as generated if every object in it is of a kind that is generated and has the label and
    /// a name of ours. Only regular files count.
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

    /// The same for a directory that need not be there yet.
    pub fn read_if_there(path: &Path) -> Result<Self, DirectoryError> {
        match Self::read(path) {
            Err(DirectoryError::Directory { path, cause }) if cause.kind() == io::ErrorKind::NotFound => Ok(Self {
                path,
                generated: BTreeMap::new(),
            }),
            read => read,
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of an object.
    #[must_use]
    pub fn file(&self, output: &Output, format: Format) -> PathBuf {
        self.path.join(file_name(output, format))
    }

    /// The generated files with their texts.
    pub fn generated(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.generated
            .iter()
            .map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// The generated files that none of these objects is written to, with their texts.
    #[must_use]
    pub fn stale(&self, outputs: &[Output], format: Format) -> Vec<(&Path, &str)> {
        let current: BTreeSet<PathBuf> = outputs.iter().map(|output| self.file(output, format)).collect();
        self.generated().filter(|(path, _)| !current.contains(*path)).collect()
    }
}

/// The content of a regular file. Nothing else has been generated: the content of a file to which a link leads would be printed as
/// a difference, and a pipe may never end.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if fs::symlink_metadata(path)?.is_file() {
        return fs::read(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
}

/// One line for each file, with what became of it; of very many, the first ones.
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

/// What of an object says who made it.
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

fn is_generated(text: &str) -> bool {
    let objects: Vec<Header> = serde_saphyr::from_multiple(text).unwrap_or_default();
    !objects.is_empty() && objects.iter().all(Header::is_generated)
}
