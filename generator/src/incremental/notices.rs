//! What is found about each object.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    diagnostic::Report,
    id::Id,
    kind::Kind,
    location::FileId,
    status::{Notice, notices},
};

/// What is found about objects, by the files of the findings.
pub fn notices_of(report: &Report, objects: &BTreeMap<FileId, (Kind, Id)>) -> BTreeMap<(Kind, Id), BTreeSet<Notice>> {
    let files = report
        .sorted()
        .into_iter()
        .filter_map(|found| Some(found.location()?.file));
    let files: BTreeSet<FileId> = files.collect();
    let found = files.iter().filter_map(|file| {
        let (kind, id) = objects.get(file)?;
        Some((*kind, id, *file))
    });
    notices(found, report)
}
