//! What the documents state, compared with the code, as far as a program can. One function per claim; a failure lists each wrong
//! line with its file and number, and what the code has instead.
//!
//! `threat_model.rs` does the same for the table of threats.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::arithmetic_side_effects,
    reason = "everything here is a test, and that is how a test fails"
)]

mod commands;
mod links;
mod markdown;
mod reference;
mod repository;
mod rules;
mod versions;

/// Fails with all wrong claims, one per line.
#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
