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

// Helpers.

/// The Service `cart` behind the Gateway, and clients of it. No tests.
mod shop;

// A session.

/// Caches and responses that carry a token.
mod caching;
/// Key rings: shared, rotated, partly wrong, and never shown.
mod keys;
/// The first response, the cookie and its attributes, and the pod that is kept.
mod sessions;
/// Idle and absolute timeouts.
mod timeouts;
/// Clients that connect by TLS, and certificates for other tests.
mod tls;
/// The ways that a token travels: cookie or header, HTTP/1.1 or HTTP/2.
mod transports;

// Where a session goes.

/// Canary policies: match rules, opt-in, `hashOn`, sticky versions.
mod canary;
/// Pods that start, drain, fail and end.
mod endpoints;
/// Backends without a healthy host, one request at a time. Under load: `faults::failover`.
mod failover;
/// Virtual hosts with many routes, where filter state replaces the request header.
mod large_virtual_hosts;
/// Redirects that Envoy follows itself.
mod redirects;
/// Session routes that are missing, old, or without a backend.
mod session_routes;
/// Several Services by weight.
mod splits;
/// `strict`: 503 instead of another pod.
mod strict;

// What is seen of decisions.

/// The access log: each reason and each session outcome.
mod access_log;

// What clients and authors try.

/// Cookies of the session's name that another host or application has set.
mod foreign_cookies;
/// Isolation of sessions, rules and clients from each other; `x-mooring-*` headers of a client.
mod isolation;
/// Bytes that no browser sends.
mod malformed_requests;
/// Tokens that are changed, expired, foreign or from the future.
mod tokens;
/// A proxy without a header sanitizer, such as a waypoint.
mod waypoints;

// Failures.

/// Each alert fires when its cause is made.
mod alerts;
/// A gateway without keys, rules or a valid configuration serves without sessions.
mod degraded;
/// Failures and updates while 50 clients send requests.
mod faults;
/// What metrics count by rule, and the gauges of weights.
mod rule_metrics;
/// Minutes of mixed load: `make soak`.
mod soak;

// What is generated.

/// The directories under `examples/`.
mod examples;
/// `mooring explain` against Envoy: the same 500 requests.
mod explain;
/// The output for Istio, which the Envoy under test accepts. Behavior on istiod: `tests/mesh`.
mod istio_output;
/// What a local Envoy serves besides sessions.
mod local;
/// What `mooring migrate` makes of Ingresses and `DestinationRule`s.
mod migrate;
/// The commands in the READMEs of these directories.
mod readmes;

/// The unit tests of an example, on a real Envoy.
mod unit_tests;

/// The harness itself, on a configuration without Mooring.
mod harness;
