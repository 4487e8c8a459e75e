//! Notes backends for which both consistent hashing and sessions select the pod.

use std::collections::BTreeMap;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{ProxyGroup, destination_rules},
    location::SourceLocation,
    resources::Resources,
};

/// The maximum number of `DestinationRule`s that the note shows in addition to the first.
const MAX_SHOWN: usize = 5;

/// Notes these `DestinationRule`s.
pub fn note(hashes: &BTreeMap<Id, SourceLocation>, report: &mut Report) {
    let mut locations = hashes.iter();
    let Some((id, first)) = locations.next() else { return };
    let more = match locations.len() {
        0 => String::new(),
        count => format!(" (this and {count} more)"),
    };
    let message = format!(
        "the consistentHash of the DestinationRule {id}{more} selects the pod of new sessions only: a live session \
         stays on its pod, regardless of the hash"
    );
    let note = Diagnostic::note(Code::NoEffect, message).at(*first);
    let shown = locations.take(MAX_SHOWN);
    report.add(shown.fold(note, |note, (_, location)| note.with(*location, "another one")));
}

/// Finds the `DestinationRule`s with consistent hashing for backends whose sessions are bound to pods, each with the location of its
/// first `consistentHash` that counts. The configuration for a local Envoy ignores `DestinationRule`s, so there are none.
pub fn found(groups: &[ProxyGroup], resources: &Resources) -> BTreeMap<Id, SourceLocation> {
    let mut found = BTreeMap::new();
    if resources.mesh.local {
        return found;
    }
    for group in groups {
        let pods = group.pods();
        let with_host_sessions = group
            .managed_rules()
            .filter(|attached| attached.rule.host_session_filter().is_some());
        for backend in with_host_sessions.flat_map(|attached| &attached.rule.backends) {
            let subset = backend.subset.map(|subset| subset.name.value.as_str());
            let rules = destination_rules(&backend.host(), &backend.service.id.namespace, &pods, resources);
            // Of merged rules, the first with a consistentHash applies.
            let hash = rules
                .into_iter()
                .find_map(|item| Some((item, item.spec.consistent_hash(subset)?)));
            if let Some((item, hash)) = hash {
                let location = item.location_of(hash);
                let first: &mut SourceLocation = found.entry(item.id.clone()).or_insert(location);
                *first = (*first).min(location);
            }
        }
    }
    found
}
