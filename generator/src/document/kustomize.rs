//! Reads from a kustomization which files are patches, and whether it changes the objects of its resources.
//!
//! This module does not build a kustomization; kustomize does.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use serde_json::Value;

use super::{split::split, text::Document};
use crate::source::Sources;

/// Fields that name files which are not manifests, as strings or under `path`.
const FILES: [&str; 8] = [
    "configurations",
    "generators",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "transformers",
    "validators",
];

/// Fields that do not change the objects of `resources`.
const HARMLESS: [&str; 12] = [
    "apiVersion",
    "bases",
    "buildMetadata",
    "configMapGenerator",
    "configurations",
    "crds",
    "generatorOptions",
    "kind",
    "metadata",
    "resources",
    "secretGenerator",
    "sortOptions",
];

/// Whether this is a file name of a kustomization.
pub fn is_kustomization(file_name: &str) -> bool {
    matches!(file_name, "kustomization.yaml" | "kustomization.yml")
}

/// The names of the fields with which a kustomization would change its resources.
pub fn changes(kustomization: &Value) -> Vec<String> {
    let fields = kustomization.as_object().into_iter().flatten();
    let set = fields.filter(|(_, value)| !value.is_null()).map(|(field, _)| field);
    let mut changes: Vec<String> = set
        .filter(|field| !HARMLESS.contains(&field.as_str()))
        .cloned()
        .collect();
    changes.sort();
    changes
}

/// The files that the kustomizations of the input use as patches and the like.
pub struct Patches(BTreeSet<PathBuf>);

impl Patches {
    /// Collects the files of all kustomizations.
    pub fn new(sources: &Sources) -> Self {
        let mut patches = BTreeSet::new();
        for (file, text) in sources.texts() {
            let path = Path::new(sources.name(file));
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            if !is_kustomization(name) {
                continue;
            }
            let directory = path.parent().unwrap_or(Path::new(""));
            let documents = split(file, sources.name(file), text);
            for value in documents.iter().map(Document::values) {
                patches.extend(named(&value).map(|name| plain(&directory.join(name))));
            }
        }
        Self(patches)
    }

    /// Whether a file is one of them.
    pub fn contain(&self, file: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&plain(Path::new(file)))
    }
}

/// The files that a kustomization names. A patch may also be inline; such a text matches no file name.
fn named(kustomization: &Value) -> impl Iterator<Item = &str> {
    let lists = FILES
        .into_iter()
        .filter_map(|field| kustomization.get(field)?.as_array());
    lists
        .flatten()
        .filter_map(|item| item.get("path").unwrap_or(item).as_str())
}

/// A path without `.` components and, as far as that is possible without file access, without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_those_of_the_kustomizations_beside_them() {
        let mut sources = Sources::default();
        let text = "patches:\n- path: a.yaml\n- patch: '- op: remove'\npatchesStrategicMerge:\n- ../base/b.yaml\n- |\n  kind: Service\n\
                    resources: [c.yaml]\nreplacements: [{path: d.yaml}]\n";
        sources.add("./deploy/prod/kustomization.yaml", text.to_owned());
        let patches = Patches::new(&sources);
        for name in ["deploy/prod/a.yaml", "./deploy/base/b.yaml", "deploy/prod/d.yaml"] {
            assert!(patches.contain(name), "{name}");
        }
        for name in ["deploy/prod/c.yaml", "a.yaml", "deploy/prod/kustomization.yaml"] {
            assert!(!patches.contain(name), "{name}");
        }
    }
}
