//! Writes objects as YAML or JSON, to one text or to one file each. The output for the same objects is always the same.

use std::{
    collections::BTreeMap,
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
    /// The directory does not exist and cannot be created.
    #[error("cannot create the directory `{}`: {cause}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// A stale file cannot be removed.
    #[error("cannot remove `{}`: {cause}", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// The path of a file would be outside the directory.
    #[error("cannot write `{0}`: it is not a valid file name")]
    Name(String),
    /// An object cannot be serialized as YAML.
    #[error("cannot write YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Objects as one text, in pieces. A single string would hold a large output in memory twice.
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

/// What happened to the files of a directory.
#[derive(Debug, Default)]
pub struct Written {
    created: Vec<PathBuf>,
    changed: Vec<PathBuf>,
    removed: Vec<PathBuf>,
    unchanged: usize,
}

/// One line for each file that changed, and one with the counts.
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

/// Writes each object into its own file. With `prunes`, it also removes stale generated files.
///
/// All files are complete before the first one is renamed to its final name, and all are renamed before the first stale
/// file is removed.
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

/// Whether a text contains a private key. The configuration of a local Envoy does if a listener has a certificate.
#[must_use]
pub fn holds_key(text: &str) -> bool {
    text.contains("private_key")
}

/// Files with temporary names. They are removed unless all of them are renamed to their final names.
#[derive(Default)]
struct Renames {
    pending: Vec<(PathBuf, PathBuf)>,
}

impl Renames {
    fn prepare(&mut self, path: &Path, text: &str) -> io::Result<()> {
        if path.is_dir() {
            // Check this before any file is replaced.
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

/// Creates a new file next to another one, and returns it with its name. Others may be able to write into the
/// directory. So the name cannot be guessed, and an existing file or link is neither opened nor replaced. If it is
/// `private`, only its owner can read it.
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
            // The file may not exist yet, and there is no way left to report an error.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn json_text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Block style without folded lines, so that one line of a value is one line of a diff.
/// The YAML of a value, without folded lines.
pub fn yaml_of(value: &Value) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: usize::MAX,
        min_fold_chars: usize::MAX,
    };
    let mut text = String::new();
    serde_saphyr::to_fmt_writer_with_options(&mut text, value, options)?;
    Ok(text)
}

fn yaml(separator: &str, output: &Output) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = format!("{separator}{}", output.comment);
    text.push_str(&yaml_of(&output.value)?);
    if output.patch_comments.is_empty() {
        return Ok(text);
    }
    Ok(with_patch_comments(&text, &output.patch_comments))
}

/// The YAML of an `EnvoyFilter` with comments before its patches. In block style, only the first line of an entry of
/// `spec.configPatches` has its `-` in the third column.
fn with_patch_comments(text: &str, comments: &BTreeMap<usize, String>) -> String {
    let mut commented = String::with_capacity(text.len().saturating_mul(2));
    let mut patches: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        if let Some(position) = patches.as_mut().filter(|_| line.starts_with("  - ")) {
            for comment in comments.get(position).into_iter().flat_map(|comment| comment.lines()) {
                commented.extend(["  ", comment, "\n"]);
            }
            *position = position.saturating_add(1);
        }
        if line == "  configPatches:\n" {
            patches = Some(0);
        }
        commented.push_str(line);
    }
    commented
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_nowhere_but_in_the_directory() {
        for stem in ["../x", "a/../../x", "/x", "a\\b", "..", ".x"] {
            let output = Output {
                file_stem: stem.to_owned(),
                ..Output::new(String::new(), Value::Null)
            };
            let directory = Directory::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
            let written = write(&[output], Format::Yaml, &directory, true);
            assert!(matches!(written, Err(OutputError::Name(_))), "{stem}");
        }
    }
}
