//! What a user sees who made a mistake: the exact message with its place, and an exit status that says whether something was
//! left out (3), nothing was written (1), or it does not matter (0).
//!
//! `SNAPSHOTS=overwrite cargo test -p mooring-generator --test bad_input` writes the messages anew.

#![expect(clippy::needless_raw_string_hashes, reason = "snapbox writes them")]

#[path = "../common/mod.rs"]
mod common;

mod annotations;
mod cookies;
mod elsewhere;
mod envoy;
mod fields;
mod files;
mod kinds;
mod matches;
mod references;
mod rules;
mod sessions;
