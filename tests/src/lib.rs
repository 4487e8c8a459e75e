//! The harness for scenarios against a stock Envoy.
//!
//! A scenario writes the Gateway API objects that a user would write ([`Manifests`]), lets `mooring generate` turn them
//! into a configuration, and starts a stock [`Envoy`] with it. [`Pod`]s behind Envoy are small HTTP servers that
//! answer with the request they got. A [`Client`] in front of it sends requests, a [`Browser`] keeps cookies too, and
//! [`Traffic`] is many clients at once.
//!
//! Everything listens on addresses of its own out of 127.0.0.0/8 (see [`address`]), so tests run side by side. Nothing
//! waits by sleeping: [`wait::until`] polls a condition against a deadline.
//!
//! Not here: what is tested. That is in `tests/envoy`, one module for each topic.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a harness reports a failure as every test does: it panics"
)]
#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "nearly everything here may fail its test, and nothing here is a library for others"
)]

pub mod address;
mod bootstrap;
mod browser;
mod client;
mod envoy;
pub mod keys;
mod manifests;
mod pod;
mod process;
mod prometheus;
pub mod raw_http;
mod reply;
mod scratch;
pub mod settings;
mod stats;
mod traffic;
pub mod wait;

pub use bootstrap::{Bootstrap, Module};
pub use browser::Browser;
pub use client::{Client, Failure, HOSTNAME, Request, raw, raw_over};
pub use envoy::{Builder, Envoy, Update};
pub use manifests::{
    Canary, Dialect, Endpoint, Generated, Manifests, Match, NAMESPACE, Persistence, Policy, Route, Rule, Service, Site,
    Source,
};
pub use pod::{Answer, Pod};
pub use prometheus::{Alert, Prometheus, Sample};
pub use reply::{Echo, Reply};
pub use stats::Stats;
pub use traffic::{Behavior, Clients, Seen, Tally, Traffic};
