//! A directory for the files of one test, gone when the test is.

use std::path::Path;

use tempfile::TempDir;

/// A new empty directory. `MOORING_KEEP=1` keeps it and prints where it is, to look at what a test left.
pub(crate) fn directory(purpose: &str) -> TempDir {
    let mut directory = tempfile::Builder::new()
        .prefix(&format!("mooring-{purpose}-"))
        .tempdir()
        .expect("a temporary directory");
    if std::env::var_os("MOORING_KEEP").is_some() {
        directory.disable_cleanup(true);
        eprintln!("kept: {}", directory.path().display());
    }
    directory
}

/// Replaces a file in one step, as Envoy's file watcher wants it: it notices files that are moved into place.
pub(crate) fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).expect("a writable temporary directory");
    std::fs::rename(&next, path).expect("a rename within one directory");
}
