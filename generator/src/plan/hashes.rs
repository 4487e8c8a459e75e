//! Consistent hashing beside sessions: both choose a pod.

use std::collections::BTreeMap;

use super::{Gateway, destination_rules};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::{Id, Inventory},
    source::Place,
};

/// How many more `DestinationRule`s the note shows.
const MAX_SHOWN: usize = 5;

/// Says which `DestinationRule`s hash where sessions are bound to pods. A local Envoy does not read them.
pub fn note(gateways: &[Gateway], inventory: &Inventory, report: &mut Report) {
    if inventory.mesh.local {
        return;
    }
    let mut places = found(gateways, inventory).into_iter();
    let Some((id, first)) = places.next() else { return };
    let more = match places.len() {
        0 => String::new(),
        count => format!(" (this and {count} more)"),
    };
    let message = format!(
        "the consistentHash of the DestinationRule {id}{more} chooses the pod of a new session only: a live session stays on its \
         pod, whatever the hash says"
    );
    let note = Diagnostic::note(Code::NoEffect, message).at(first);
    let shown = places.take(MAX_SHOWN);
    report.add(shown.fold(note, |note, (_, place)| note.with(place, "this one too")));
}

/// The `DestinationRule`s, each with the place where it says so.
fn found<'a>(gateways: &[Gateway<'a>], inventory: &'a Inventory) -> BTreeMap<&'a Id, Place> {
    let mut found = BTreeMap::new();
    for gateway in gateways {
        let pods = gateway.pods();
        let pinned = gateway
            .managed_rules()
            .filter(|placed| placed.rule.pins_hosts().is_some());
        for backend in pinned.flat_map(|placed| &placed.rule.backends) {
            let subset = backend.subset.map(|subset| subset.name.value.as_str());
            let rules = destination_rules::of_host(&backend.host(), &backend.service.id.namespace, &pods, inventory);
            // Of rules that are merged, the first that says so counts.
            let hash = rules
                .into_iter()
                .find_map(|item| Some((item, item.spec.consistent_hash(subset)?)));
            if let Some((item, hash)) = hash {
                found.entry(&item.id).or_insert(item.place_of(hash));
            }
        }
    }
    found
}
