//! The files below a directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::ignore::{IgnoredGlob, is_ignored};

/// The extensions of the files that are read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The files below a directory.
#[derive(Default)]
pub struct Entries {
    /// The regular files to read.
    pub files: BTreeSet<PathBuf>,
    /// The entries that look like an input file or link to a directory but are not read, with their type.
    pub skipped: BTreeMap<PathBuf, &'static str>,
}

impl Entries {
    /// The files below this directory.
    pub fn below(root: &Path, ignored: &[IgnoredGlob]) -> io::Result<Self> {
        let mut entries = Self::default();
        entries.collect(root, root, ignored)?;
        Ok(entries)
    }

    /// Collects every YAML and JSON file below a directory.
    ///
    /// Only regular files count. A symbolic link may point to any file of this machine, and findings print the lines
    /// that they refer to. Reading a pipe or a device may never end.
    fn collect(&mut self, root: &Path, directory: &Path, ignored: &[IgnoredGlob]) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            if is_ignored(ignored, path.strip_prefix(root).unwrap_or(&path)) {
                continue;
            }
            // The type of the entry itself: links are not followed.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                // Tools keep their own files in hidden directories such as .git and .github.
                if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                    self.collect(root, &path, ignored)?;
                }
                continue;
            }
            let ending = path.extension();
            let named = ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
            if kind.is_file() {
                if named {
                    self.files.insert(path);
                }
            } else if kind.is_symlink() && (named || path.is_dir()) {
                self.skipped.insert(path, "a symbolic link");
            } else if named {
                self.skipped.insert(path, "not a regular file");
            }
        }
        Ok(())
    }
}
