//! How objects are written: YAML or JSON, as one text or as one file each. The same objects give the same bytes.

use std::{
    fs, io, iter,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::{cli::Format, emit::Output};

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
    /// An object cannot be put into YAML.
    #[error("cannot write YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Objects as one text, in pieces: whole, a large one would be in memory twice.
pub fn pieces(outputs: &[Output], format: Format) -> Result<Vec<String>, OutputError> {
    match (format, outputs) {
        (Format::Yaml, _) => {
            let separators = iter::once("").chain(iter::repeat("---\n"));
            let documents: Vec<(&str, &Output)> = separators.zip(outputs).collect();
            let texts = documents
                .par_iter()
                .map(|(separator, output)| yaml(separator, &output.value));
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
    Ok(pieces(std::slice::from_ref(output), format)?.concat())
}

/// The name of the file of an object.
#[must_use]
pub fn file_name(output: &Output, format: Format) -> String {
    let ending = match format {
        Format::Yaml => "yaml",
        Format::Json => "json",
    };
    format!("{}.{ending}", output.file_stem)
}

/// Writes each object into a file of its own. All files are complete before the first one takes its name.
pub fn write(outputs: &[Output], format: Format, directory: &Path) -> Result<(), OutputError> {
    fs::create_dir_all(directory).map_err(|cause| OutputError::Directory {
        path: directory.to_owned(),
        cause,
    })?;
    let mut renames = Renames::default();
    for output in outputs {
        let path = directory.join(file_name(output, format));
        let text = text(output, format)?;
        renames
            .prepare(&path, &text)
            .map_err(|cause| OutputError::File { path, cause })?;
    }
    renames.finish()
}

/// Files under temporary names, which are removed unless all of them get their own names.
#[derive(Default)]
struct Renames {
    pending: Vec<(PathBuf, PathBuf)>,
}

impl Renames {
    fn prepare(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = PathBuf::from(temporary);
        if path.is_dir() {
            // Found out now, before any file has taken its place.
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.pending.push((temporary.clone(), path.to_owned()));
        fs::write(&temporary, text)
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
fn yaml(separator: &str, value: &Value) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: usize::MAX,
        min_fold_chars: usize::MAX,
    };
    let mut text = separator.to_owned();
    serde_saphyr::to_fmt_writer_with_options(&mut text, value, options)?;
    Ok(text)
}
