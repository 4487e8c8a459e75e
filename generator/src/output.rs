//! How objects are written: YAML or JSON, as one text or as one file each. The same objects give the same bytes.

use std::{
    fmt, fs,
    io::{self, Write as _},
    iter,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::{
    directory::{Directory, Listed, read_regular},
    emit::Output,
};

use file_name::file_name;
use format::Format;

pub mod file_name;
pub mod format;

/// Why objects cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The directory is not there and cannot be made.
    #[error("cannot create the directory `{}`: {cause}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file that is no longer generated cannot be removed.
    #[error("cannot remove `{}`: {cause}", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file would be somewhere else than in the directory.
    #[error("cannot write `{0}`: it is not the name of a file")]
    Name(String),
    /// An object cannot be put into YAML.
    #[error("cannot write YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Objects as one text, in pieces: whole, a large one would be in memory twice.
pub fn chunks(outputs: &[Output], format: Format) -> Result<Vec<String>, OutputError> {
    match (format, outputs) {
        (Format::Yaml, _) => {
            let separators = iter::once("").chain(iter::repeat("---\n"));
            let documents: Vec<(&str, &Output)> = separators.zip(outputs).collect();
            let texts = documents.par_iter().map(|(separator, output)| yaml(separator, output));
            Ok(texts.collect::<Result<_, _>>()?)
        }
        (Format::Json, [one]) => Ok(vec![json_text(&one.value)]),
        (Format::Json, _) => {
            let items: Vec<&Value> = outputs.iter().map(|output| &output.value).collect();
            Ok(vec![json_text(
                &json!({ "apiVersion": "v1", "kind": "List", "items": items }),
            )])
        }
    }
}

/// One object as a text.
pub fn text(output: &Output, format: Format) -> Result<String, OutputError> {
    Ok(chunks(std::slice::from_ref(output), format)?.concat())
}

/// What became of the files of a directory.
#[derive(Debug, Default)]
pub struct Written {
    created: Vec<PathBuf>,
    changed: Vec<PathBuf>,
    removed: Vec<PathBuf>,
    unchanged: usize,
}

/// A line for each file that is not what it was, and one that counts them all.
impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            created,
            changed,
            removed,
            unchanged,
        } = self;
        write!(f, "{}", Listed("created", created))?;
        write!(f, "{}", Listed("changed", changed))?;
        write!(f, "{}", Listed("removed", removed))?;
        let (created, changed, removed) = (created.len(), changed.len(), removed.len());
        writeln!(
            f,
            "files: {created} created, {changed} changed, {unchanged} unchanged, {removed} removed"
        )
    }
}

/// Writes each object into a file of its own, and where it `prunes`, removes the generated files that are stale. All files are
/// complete before the first one takes its name, and all have their names before the first one is removed.
pub fn write(outputs: &[Output], format: Format, directory: &Directory, prunes: bool) -> Result<Written, OutputError> {
    fs::create_dir_all(directory.path()).map_err(|cause| OutputError::Directory {
        path: directory.path().to_owned(),
        cause,
    })?;
    let mut written = Written::default();
    let mut renames = Renames::default();
    for output in outputs {
        let name = file_name(output, format);
        if name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return Err(OutputError::Name(name));
        }
        let path = directory.file(output, format);
        let text = text(output, format)?;
        match read_regular(&path) {
            Ok(there) if there == text.as_bytes() => {
                written.unchanged = written.unchanged.saturating_add(1);
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => written.created.push(path.clone()),
            _ => written.changed.push(path.clone()),
        }
        renames
            .prepare(&path, &text)
            .map_err(|cause| OutputError::File { path, cause })?;
    }
    renames.finish()?;
    let stale = if prunes {
        directory.stale(outputs, format)
    } else {
        Vec::new()
    };
    for (path, _) in stale {
        let path = path.to_owned();
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(OutputError::Stale { path, cause }),
            _ => written.removed.push(path),
        }
    }
    Ok(written)
}

/// Whether a text has a private key in it: the configuration of a local Envoy whose listeners have certificates.
#[must_use]
pub fn holds_key(text: &str) -> bool {
    text.contains("private_key")
}

/// Files under temporary names, which are removed unless all of them get their own names.
#[derive(Default)]
struct Renames {
    pending: Vec<(PathBuf, PathBuf)>,
}

impl Renames {
    fn prepare(&mut self, path: &Path, text: &str) -> io::Result<()> {
        if path.is_dir() {
            // Found out now, before any file has taken its place.
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (temporary, mut file) = create_temporary(path, holds_key(text))?;
        self.pending.push((temporary, path.to_owned()));
        file.write_all(text.as_bytes())
    }

    fn finish(mut self) -> Result<(), OutputError> {
        while let Some((temporary, path)) = self.pending.last() {
            fs::rename(temporary, path).map_err(|cause| OutputError::File {
                path: path.clone(),
                cause,
            })?;
            self.pending.pop();
        }
        Ok(())
    }
}

/// A new file beside another, and its name. Others may write into the directory too: the name cannot be guessed, and what is
/// there already, a link for example, is neither opened nor replaced. One that is `private` can be read by its owner only.
fn create_temporary(path: &Path, private: bool) -> io::Result<(PathBuf, fs::File)> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}.tmp", u64::from_ne_bytes(random)));
    let name = PathBuf::from(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    let file = options.open(&name)?;
    Ok((name, file))
}

impl Drop for Renames {
    fn drop(&mut self) {
        for (temporary, _) in &self.pending {
            // It may not be there yet, and nobody is left to be told.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn json_text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Block style, no folded lines: a reviewer wants one line of a value in one line of a diff.
fn yaml(separator: &str, output: &Output) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: usize::MAX,
        min_fold_chars: usize::MAX,
    };
    let mut text = format!("{separator}{}", output.comment);
    serde_saphyr::to_fmt_writer_with_options(&mut text, &output.value, options)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_nowhere_but_in_the_directory() {
        for stem in ["../x", "a/../../x", "/x", "a\\b", "..", ".x"] {
            let output = Output {
                file_stem: stem.to_owned(),
                value: Value::Null,
                comment: String::new(),
            };
            let directory = Directory::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
            let written = write(&[output], Format::Yaml, &directory, true);
            assert!(matches!(written, Err(OutputError::Name(_))), "{stem}");
        }
    }
}
