//! What a user sees who made a mistake: the exact message with its place, exit status 1, and nothing on the standard
//! output.
//!
//! `SNAPSHOTS=overwrite cargo test -p mooring-generator --test bad_input` writes the messages anew.

#![expect(clippy::needless_raw_string_hashes, reason = "snapbox writes them")]

#[path = "../common/mod.rs"]
mod common;

mod annotations;
mod envoy;
mod fields;
mod files;
mod matches;
mod references;
mod rules;
mod sessions;

use snapbox::{IntoData as _, cmd::OutputAssert, data::Inline};

#[track_caller]
fn refused(run: OutputAssert, message: Inline) {
    run.code(1).stdout_eq("").stderr_eq(message.raw());
}
