//! The proxy-wasm module: moves bytes between Envoy and `mooring-policy`, where every decision is made.
//!
//! - `abi`: what Envoy and the module call in each other.
//! - `context`: the contexts that Envoy opens.
//! - `plugin`: one configuration of the module, from when Envoy delivers it.
//! - `stream`: one request and its response.
//! - `metrics`: the counters and gauges.
//! - `host`: Envoy's host calls in this project's terms.
//!
//! Whatever goes wrong in here, the request passes: an error is counted and logged, never answered.

// There is no Envoy to call anywhere else.
#![cfg(target_family = "wasm")]

#[allow(
    unsafe_code,
    reason = "the ABI is made of pointers and exported names; nothing else of this crate is unsafe"
)]
mod abi;
mod context;
mod host;
mod metrics;
mod plugin;
mod stream;
#[cfg(feature = "trap")]
mod trap;
