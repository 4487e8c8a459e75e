//! The files below a directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::ignore::{IgnoredGlob, is_ignored};

/// The endings of the files that are read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What is below a directory.
#[derive(Default)]
pub struct Entries {
    /// The regular files that are to be read.
    pub files: BTreeSet<PathBuf>,
    /// What has the name of such a file, or leads to a directory, and is not read, with what it is.
    pub skipped: BTreeMap<PathBuf, &'static str>,
}

impl Entries {
    /// What is below this directory.
    pub fn below(root: &Path, ignored: &[IgnoredGlob]) -> io::Result<Self> {
        let mut entries = Self::default();
        entries.collect(root, root, ignored)?;
        Ok(entries)
    }

    /// Collects every YAML and JSON file below a directory. Only regular files count: a symbolic link may lead anywhere on this
    /// machine, and findings show the lines that they are about; a pipe or a device may never end.
    fn collect(&mut self, root: &Path, directory: &Path, ignored: &[IgnoredGlob]) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            if is_ignored(ignored, path.strip_prefix(root).unwrap_or(&path)) {
                continue;
            }
            // Of the entry itself: a link is not followed.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                // Tools keep their own files in there, such as .git and .github.
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
                self.skipped.insert(path, "no regular file");
            }
        }
        Ok(())
    }
}
