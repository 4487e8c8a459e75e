//! How objects are written: YAML or JSON, as one text or as one file each. The same objects give the same bytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{cli::Format, emit::Output};

/// Objects as one text.
pub fn text(outputs: &[Output], format: Format) -> Result<String, serde_saphyr::ser::Error> {
    match (format, outputs) {
        (Format::Yaml, _) => {
            let documents: Result<Vec<String>, _> = outputs.iter().map(|output| yaml(&output.value)).collect();
            Ok(documents?.join("---\n"))
        }
        (Format::Json, [one]) => Ok(json_text(&one.value)),
        (Format::Json, _) => {
            let items: Vec<&Value> = outputs.iter().map(|output| &output.value).collect();
            Ok(json_text(
                &json!({ "apiVersion": "v1", "kind": "List", "items": items }),
            ))
        }
    }
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
pub fn write(outputs: &[Output], format: Format, directory: &Path) -> anyhow::Result<()> {
    use anyhow::Context as _;

    fs::create_dir_all(directory).with_context(|| format!("cannot create `{}`", directory.display()))?;
    let mut renames = Renames::default();
    for output in outputs {
        let path = directory.join(file_name(output, format));
        let text = text(std::slice::from_ref(output), format)?;
        renames
            .prepare(&path, &text)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    renames.finish().context("cannot put the files in their places")
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

    fn finish(mut self) -> io::Result<()> {
        while let Some((temporary, path)) = self.pending.last() {
            fs::rename(temporary, path)?;
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
fn yaml(value: &Value) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: usize::MAX,
        min_fold_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(value, options)
}
