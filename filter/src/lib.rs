//! The proxy-wasm module: moves bytes between Envoy and `mooring-policy`, where every decision is made.
//!
//! - `plugin`: one configuration of the module, from when Envoy delivers it.
//! - `stream`: one request and its response.
//! - `metrics`: the counters and gauges.
//! - `host`: Envoy's host calls in this project's terms.
//! - `raw`: those of them that the SDK does not make as they are needed.
//!
//! Whatever goes wrong in here, the request passes: an error is counted and logged, never answered.

// There is no Envoy to call anywhere else.
#![cfg(target_family = "wasm")]

mod host;
mod metrics;
mod plugin;
#[expect(
    unsafe_code,
    reason = "host calls are foreign functions; nothing else of this crate is unsafe"
)]
mod raw;
mod stream;
#[cfg(feature = "trap")]
mod trap;

mod entry {
    use crate::{host, plugin::Root};

    proxy_wasm::main! {{
        host::log_panics();
        proxy_wasm::set_root_context(|_| Box::new(Root::default()));
    }}
}
