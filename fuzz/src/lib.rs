//! What the fuzz targets share. Each target states properties that hold for any input; an input for which one does not hold
//! ends the run with a panic, and is kept under `fuzz/artifacts`.
//!
//! - [`shape`]: plugin configurations and requests out of bytes, mostly valid ones.
//! - [`reference`]: the same decisions as those of `mooring-policy`, made in another way.
//! - [`manifest`]: changes of Kubernetes objects that leave them Kubernetes objects.
//! - [`generator`]: what holds for whatever the generator reads.
//! - [`migrate`]: what holds for whatever `mooring migrate` reads.
//! - [`resource_list`]: what holds for the input of `mooring fn`.
//! - [`simulate`]: what holds for requests to the gateways of whatever the generator reads.

use mooring_policy::keys::{Entry, KeyRing};

pub mod generator;
pub mod manifest;
pub mod migrate;
pub mod reference;
pub mod resource_list;
pub mod shape;
pub mod simulate;

/// A ring of keys with these ids, each of which has a secret of its own.
#[must_use]
pub fn ring(ids: &[u8]) -> KeyRing {
    let entries: Vec<String> = ids
        .iter()
        .map(|id| {
            // Neither a row nor a repetition, which would be refused.
            let secret = std::array::from_fn(|position| *id ^ (position * position * 7).to_le_bytes()[0]);
            Entry::new(*id, secret).reveal().to_string()
        })
        .collect();
    KeyRing::parse(&entries.join(",")).expect("ids that differ are a ring")
}
