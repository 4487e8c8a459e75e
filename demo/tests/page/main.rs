//! The page of the demo in a real Chromium, which presses its buttons and reads what it shows.
//!
//! `make test-page` unpacks Chromium and runs these. Those of the server need no browser.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "everything here is a test, and that is how a test fails"
)]

mod browser;
mod demo;
mod layout;
mod server;
mod sessions;
