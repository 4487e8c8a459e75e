//! The decisions of Mooring, independent of a host.
//!
//! Everything here is a pure function of its arguments: the clock, randomness, headers and keys are inputs, and a
//! [`Decision`](decision::Decision) is the output. The filter runs it inside Envoy, the generator checks configurations with it,
//! and tests and fuzzers run it natively.
//!
//! The configuration:
//!
//! - [`config`]: the plugin configuration as JSON.
//! - [`routes`]: the checked rules of a gateway, by route. Their parts are [`rule`], [`backend`], [`share`], [`session`],
//!   [`timeouts`] and [`canary`].
//! - [`duration`], [`name`]: durations and names as the Gateway API defines them.
//!
//! Tokens and headers:
//!
//! - [`keys`], [`token`]: the key ring, and the sealed value that a client carries.
//! - [`headers`], [`cookie`]: the headers of a request or a response, and the session cookie in them.
//! - [`cache`]: keeps shared caches from storing a response with a token.
//! - [`internal_headers`]: the names that the filter and Envoy's own filters share.
//! - [`change`]: the changes that the filter applies.
//!
//! Requests:
//!
//! - [`host`]: the interface to Envoy; [`memory_host`] is an implementation for tests.
//! - [`gateway`]: the state that all requests share. It tracks the [`reachability`] of backends, the [`observed_backends`] of
//!   routes, and with a [`sampler`] which requests are inspected.
//! - [`decision`]: decides about a request and its response.
//! - [`metric`]: the names of metrics with labels.
//! - [`access_log`]: the text about a request for access logs.

#![forbid(unsafe_code)]
// An overflow in a test makes it fail.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]
// Test helpers take JSON literals by value, which is easier to read.
#![cfg_attr(test, allow(clippy::needless_pass_by_value))]

pub mod access_log;
pub mod backend;
pub mod cache;
pub mod canary;
pub mod change;
pub mod config;
pub mod cookie;
pub mod decision;
pub mod duration;
pub mod gateway;
pub mod headers;
pub mod host;
pub mod internal_headers;
pub mod keys;
pub mod memory_host;
pub mod metric;
pub mod name;
pub mod observed_backends;
mod per_rule;
pub mod reachability;
pub mod routes;
pub mod rule;
pub mod sampler;
pub mod session;
pub mod share;
pub mod timeouts;
pub mod token;
