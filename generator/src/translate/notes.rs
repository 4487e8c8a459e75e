//! What is noted once for all rules of a run, not for each of them.
//!
//! The parts of a run collect it, each for its own rules; the report says it for all.

use std::collections::BTreeMap;

use super::{
    backends,
    checks::{consistent_hash, rule_names},
    cookie_paths,
};
use crate::{
    diagnostic::Report,
    id::Id,
    ir::{ProxyGroup, Rule},
    location::SourceLocation,
    resources::Resources,
};

/// What is noted once for all rules of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The Services whose sessions end as soon as a pod terminates, because of a missing label.
    pub(super) unlabelled: BTreeMap<Id, SourceLocation>,
    /// The same, because they are used by subset.
    pub(super) of_subsets: BTreeMap<Id, SourceLocation>,
    /// The rules that are known by their positions.
    pub(super) unnamed: BTreeMap<String, SourceLocation>,
    /// The `DestinationRule`s whose hash selects the pod of new sessions only.
    pub(super) hashes: BTreeMap<Id, SourceLocation>,
}

impl Notes {
    /// Collects what is to be noted, and reports the warnings about single rules.
    pub fn new(groups: &[ProxyGroup], resources: &Resources, report: &mut Report) -> Self {
        let attached = groups.iter().flat_map(|group| &group.rules);
        let rules: Vec<&Rule> = attached.map(|attached| &*attached.rule).collect();
        for rule in &rules {
            cookie_paths::warn(rule, report);
        }
        let (unlabelled, of_subsets) = backends::without_draining(&rules);
        Self {
            unlabelled,
            of_subsets,
            unnamed: rule_names::unnamed(&rules),
            hashes: consistent_hash::found(groups, resources),
        }
    }

    /// Adds the notes of another part.
    pub fn extend(&mut self, other: &Self) {
        let places = |all: &BTreeMap<Id, SourceLocation>| all.clone().into_iter();
        self.unlabelled.extend(places(&other.unlabelled));
        self.of_subsets.extend(places(&other.of_subsets));
        self.unnamed.extend(other.unnamed.clone());
        for (id, location) in places(&other.hashes) {
            let first = self.hashes.entry(id).or_insert(location);
            *first = (*first).min(location);
        }
    }

    /// Reports the notes.
    pub fn report(&self, report: &mut Report) {
        backends::note_draining(&self.unlabelled, &self.of_subsets, report);
        rule_names::note_unnamed(&self.unnamed, report);
        consistent_hash::note(&self.hashes, report);
    }
}
