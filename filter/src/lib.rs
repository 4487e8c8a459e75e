//! The proxy-wasm module. It moves bytes between Envoy and `mooring-policy`, which makes every decision.
//!
//! - `root`: loads a configuration when Envoy delivers it.
//! - `plugin`: a loaded configuration, which its requests share.
//! - `stream`: one request and its response.
//! - `metrics`: the counters and gauges.
//! - `host`: the host calls of Envoy.
//! - `raw`: two host calls whose SDK wrappers are not usable.
//!
//! If anything fails in this module, the request passes: the error is counted and logged, and never becomes a response.

// The host calls only exist in Envoy.
#![cfg(target_family = "wasm")]

mod host;
mod metrics;
mod plugin;
#[expect(
    unsafe_code,
    reason = "host calls are foreign functions; nothing else in this crate is unsafe"
)]
mod raw;
mod root;
mod stream;
#[cfg(feature = "trap")]
mod trap;

mod entry {
    use crate::{host, root::Root};

    proxy_wasm::main! {{
        host::log_panics();
        proxy_wasm::set_root_context(|_| Box::new(Root::default()));
    }}
}
