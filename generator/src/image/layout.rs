//! A directory in the form of an OCI image layout, which tools such as crane, oras and skopeo push.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    contents::Contents,
    manifest::{self, Blobs},
};

/// The directories of a layout, each before those in it.
const DIRECTORIES: [&str; 3] = ["", "blobs", "blobs/sha256"];

/// Why a layout is not written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Two programs are for one architecture.
    #[error("two files are for {0}: an image has one per architecture")]
    Duplicate(&'static str),
    /// There is nothing to put into an image.
    #[error("an image needs a file")]
    Empty,
    /// The file cannot be compressed.
    #[error("cannot build the image: {0}")]
    Build(#[from] io::Error),
    /// The directory holds something else.
    #[error("`{}` is not empty: remove it, or name another directory", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The directory or a file in it cannot be read or written.
    #[error("cannot write `{}`: {cause}", path.display())]
    Write {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
}

/// The files of an image layout.
#[derive(Debug)]
pub struct Layout {
    /// Every file except `index.json`, by its path.
    files: BTreeMap<String, Vec<u8>>,
    /// `index.json`. It is written last: without it, no tool takes the directory for a layout.
    index: Vec<u8>,
    digest: String,
}

impl Layout {
    /// The module as an image. The layout has one entry, its manifest, because the checksum of a `WasmPlugin` is that of a manifest: an
    /// index would have another digest.
    pub fn of_module(module: &Contents) -> Result<Self, LayoutError> {
        Ok(Self::new(manifest::image(module)?))
    }

    /// The command or the controller as an image, for one or more architectures. The entry of the layout is the manifest of the image, or the index of
    /// several.
    pub fn of_program(mut programs: Vec<Contents>) -> Result<Self, LayoutError> {
        programs.sort_by_key(Contents::architecture);
        let architectures = programs.iter().map(Contents::architecture);
        let repeated = architectures.clone().zip(architectures.skip(1));
        if let Some((architecture, _)) = repeated.into_iter().find(|(one, next)| one == next) {
            return Err(LayoutError::Duplicate(architecture));
        }
        match programs.as_slice() {
            [] => Err(LayoutError::Empty),
            [program] => Ok(Self::new(manifest::image(program)?)),
            programs => Ok(Self::new(manifest::index(programs)?)),
        }
    }

    fn new(blobs: Blobs) -> Self {
        let digest = blobs.descriptor.get("digest").and_then(Value::as_str);
        let digest = digest.unwrap_or_default().to_owned();
        let named = |blob: super::blob::Blob| (format!("blobs/sha256/{}", blob.hex), blob.bytes);
        let mut files: BTreeMap<String, Vec<u8>> = blobs.all.into_iter().map(named).collect();
        let version = json!({ "imageLayoutVersion": "1.0.0" });
        files.insert("oci-layout".to_owned(), version.to_string().into_bytes());
        let index = manifest::index_of(&[blobs.descriptor]).to_string();
        Self {
            files,
            index: index.into_bytes(),
            digest,
        }
    }

    /// The digest of what the layout's one entry names: a registry shows it after a push.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Writes the layout into a directory, which does not exist, is empty, or holds exactly this layout already. If that
    /// fails, everything that was written is removed. It never replaces or removes another file.
    pub fn write(&self, directory: &Path) -> Result<(), LayoutError> {
        let failed = |path: &Path, cause| LayoutError::Write {
            path: path.to_owned(),
            cause,
        };
        match fs::read_dir(directory).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed(directory, cause)),
            Ok(false) if self.is_in(directory) => return Ok(()),
            Ok(false) => {
                return Err(LayoutError::NotEmpty {
                    path: directory.to_owned(),
                });
            }
        }
        let mut created = Created::default();
        for name in DIRECTORIES {
            let path = directory.join(name);
            created.directory(&path).map_err(|cause| failed(&path, cause))?;
        }
        for (name, bytes) in self.files() {
            let path = directory.join(name);
            created.file(&path, bytes).map_err(|cause| failed(&path, cause))?;
        }
        created.keep();
        Ok(())
    }

    /// Every file, in the order in which they are written.
    fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let files = self.files.iter();
        let files = files.map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        files.chain([("index.json", self.index.as_slice())])
    }

    /// Whether a directory holds this layout and no other file.
    fn is_in(&self, directory: &Path) -> bool {
        let known: BTreeSet<PathBuf> = self.files().map(|(name, _)| directory.join(name)).collect();
        let no_other_file = |name: &str| {
            let Ok(mut entries) = fs::read_dir(directory.join(name)) else {
                return false;
            };
            entries.all(|entry| {
                entry.is_ok_and(|entry| {
                    let path = entry.path();
                    known.contains(&path) || DIRECTORIES.iter().any(|name| directory.join(name) == path)
                })
            })
        };
        DIRECTORIES.iter().all(|name| no_other_file(name))
            && self
                .files()
                .all(|(name, bytes)| fs::read(directory.join(name)).is_ok_and(|found| found == bytes))
    }
}

/// Files and directories that are removed again, unless [`Created::keep`] is called.
#[derive(Default)]
struct Created {
    paths: Vec<(PathBuf, Kind)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Directory,
    File,
}

impl Created {
    /// Creates a directory, and those above it that do not exist.
    fn directory(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        fs::create_dir(path)?;
        self.paths.push((path.to_owned(), Kind::Directory));
        Ok(())
    }

    /// Writes a new file.
    fn file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = fs::File::create_new(path)?;
        self.paths.push((path.to_owned(), Kind::File));
        file.write_all(bytes)
    }

    fn keep(mut self) {
        self.paths.clear();
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        for (path, kind) in self.paths.iter().rev() {
            // There is no way left to report an error, and the error that led here is reported.
            let _ = match kind {
                Kind::Directory => fs::remove_dir(path),
                Kind::File => fs::remove_file(path),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_removes_only_what_was_written() {
        let root = std::env::temp_dir().join(format!("mooring-layout-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("existing")).unwrap();
        // The second file cannot be written: its directory does not exist.
        let files = ["blobs/sha256/0", "blobs/sha256/1/2"].map(|name| (name.to_owned(), vec![1]));
        let layout = Layout {
            files: files.into(),
            index: Vec::new(),
            digest: String::new(),
        };
        for name in ["existing", "new/layout"] {
            let error = layout.write(&root.join(name)).unwrap_err();
            assert!(
                matches!(&error, LayoutError::Write { path, .. } if path.ends_with("1/2")),
                "{error}"
            );
        }
        assert_eq!(fs::read_dir(root.join("existing")).unwrap().count(), 0);
        assert!(!root.join("new").exists());
        fs::remove_dir_all(&root).unwrap();
    }
}
