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

/// Notes the `DestinationRule`s with consistent hashing for backends whose sessions are bound to pods. The
/// configuration for a local Envoy ignores `DestinationRule`s, so there is nothing to note.
pub fn note(groups: &[ProxyGroup], resources: &Resources, report: &mut Report) {
    if resources.mesh.local {
        return;
    }
    let mut locations = found(groups, resources).into_iter();
    let Some((id, first)) = locations.next() else { return };
    let more = match locations.len() {
        0 => String::new(),
        count => format!(" (this and {count} more)"),
    };
    let message = format!(
        "the consistentHash of the DestinationRule {id}{more} selects the pod of new sessions only: a live session \
         stays on its pod, regardless of the hash"
    );
    let note = Diagnostic::note(Code::NoEffect, message).at(first);
    let shown = locations.take(MAX_SHOWN);
    report.add(shown.fold(note, |note, (_, location)| note.with(location, "another one")));
}

/// Finds these `DestinationRule`s, each with the location of its `consistentHash`.
fn found<'a>(groups: &[ProxyGroup<'a>], resources: &'a Resources) -> BTreeMap<&'a Id, SourceLocation> {
    let mut found = BTreeMap::new();
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
                found.entry(&item.id).or_insert(item.location_of(hash));
            }
        }
    }
    found
}
