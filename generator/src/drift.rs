//! `mooring diff` and `mooring generate --check`: what would be generated, compared with what a directory has.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use ::similar::TextDiff;
use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    cli::Format,
    emit::{MANAGED_BY, Output},
    output,
};

/// How a unified diff names a file that is not there.
const NO_FILE: &str = "/dev/null";

/// The differences as a unified diff, from what is there to what would be generated; empty where there are none.
///
/// A file that Mooring has generated and would not generate any more is a difference. Other files are nobody's business.
pub fn diff(outputs: &[Output], format: Format, directory: &Path) -> anyhow::Result<String> {
    let mut texts: BTreeMap<PathBuf, (Option<String>, Option<String>)> = BTreeMap::new();
    for (path, text) in ours(directory)? {
        texts.entry(path).or_default().0 = Some(text);
    }
    for output in outputs {
        let path = directory.join(output::file_name(output, format));
        let there = match fs::read(&path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        texts.insert(path, (there, Some(output::text(std::slice::from_ref(output), format)?)));
    }
    let differing = texts.iter().filter(|(_, (there, wanted))| there != wanted);
    Ok(differing
        .map(|(path, (there, wanted))| unified(path, there.as_deref(), wanted.as_deref()))
        .collect())
}

fn unified(path: &Path, there: Option<&str>, wanted: Option<&str>) -> String {
    let path = path.display().to_string();
    let name = |text: Option<&str>| if text.is_some() { path.as_str() } else { NO_FILE };
    let diff = TextDiff::from_lines(there.unwrap_or(""), wanted.unwrap_or(""));
    diff.unified_diff().header(name(there), name(wanted)).to_string()
}

/// The files of a directory that Mooring has generated: all of their objects are labelled so.
fn ours(directory: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<fs::DirEntry>>>);
    let entries = entries.with_context(|| format!("cannot read the directory `{}`", directory.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path();
        let manifest = path
            .extension()
            .is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
        if !manifest || !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if let Ok(text) = String::from_utf8(bytes)
            && is_ours(&text)
        {
            files.push((path, text));
        }
    }
    Ok(files)
}

/// What of an object says who made it.
#[derive(Debug, Default, Deserialize)]
struct Labelled {
    #[serde(default)]
    metadata: LabelledMetadata,
    #[serde(default)]
    items: Vec<Labelled>,
}

#[derive(Debug, Default, Deserialize)]
struct LabelledMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Labelled {
    fn is_ours(&self) -> bool {
        let (label, value) = MANAGED_BY;
        let own = self.metadata.labels.get(label).is_some_and(|found| found == value);
        own || (!self.items.is_empty() && self.items.iter().all(Self::is_ours))
    }
}

fn is_ours(text: &str) -> bool {
    let objects: Vec<Labelled> = serde_saphyr::from_multiple(text).unwrap_or_default();
    !objects.is_empty() && objects.iter().all(Labelled::is_ours)
}
