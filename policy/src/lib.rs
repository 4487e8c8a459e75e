//! What Mooring decides, without a host.
//!
//! Everything here is a pure function of its arguments: the clock, randomness, header bytes and keys come in, a
//! [`Decision`](decision::Decision) comes out. The filter runs it inside Envoy, the generator builds its configuration,
//! and tests and fuzzers run it natively.
//!
//! - [`config`]: the plugin configuration as it is written and read, and nothing else.
//! - [`rule`]: the same, checked and compiled: a rule that exists is a rule that works.
//! - [`duration`], [`name`]: the small values of the Gateway API that a configuration is made of.
//! - [`keys`], [`token`]: the key ring and the sealed value that a client carries.
//! - [`session`]: what a token is worth at a given time.
//! - [`headers`]: the header lines of a request or a response.
//! - [`cache`]: what a response with a token says to caches.
//! - [`cookie`]: our cookie in a `Cookie` header of bytes, and the `Set-Cookie` that we send.
//! - [`canary`]: who is sent to which backend regardless of the weights.
//! - [`handover`]: the names of what the filter and Envoy's filters hand to each other.
//! - [`outage`], [`chosen`]: backends that their sessions cannot reach, and backends that a route still chooses.
//! - [`watch`]: when a request that needs no close look gets one.
//! - [`metric`]: the names of counters that carry labels.
//! - [`decision`]: all of it together, for a request and for its response.

#![forbid(unsafe_code)]
// A test may overflow: that is how it fails.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]
// JSON literals are passed to helpers by value, which reads better.
#![cfg_attr(test, allow(clippy::needless_pass_by_value))]

pub mod cache;
pub mod canary;
pub mod change;
pub mod chosen;
pub mod config;
pub mod cookie;
pub mod decision;
pub mod duration;
pub mod gateway;
pub mod handover;
pub mod headers;
pub mod host;
pub mod keys;
pub mod metric;
pub mod name;
pub mod outage;
mod per_rule;
pub mod rule;
pub mod session;
pub mod token;
pub mod watch;
