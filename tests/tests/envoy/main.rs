//! Scenarios against a stock Envoy, on configuration that `mooring generate` made.
//!
//! Each module holds one topic, each test one behaviour, which its name says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "everything here is a test, and that is how a test fails"
)]

mod canary;
mod crowds;
mod degraded;
mod endpoints;
mod examples;
mod failover;
mod faults;
mod harness;
mod headers;
mod hostile;
mod isolation;
mod istio;
mod keys;
mod local;
mod planted;
mod redirects;
mod session_routes;
mod sessions;
mod shop;
mod soak;
mod splits;
mod strict;
mod threats;
mod timeouts;
mod tls;
mod tokens;
mod transports;
