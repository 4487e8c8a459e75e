//! The proxy-wasm module: moves bytes between Envoy and `mooring-policy`, where every decision is made.
//!
//! - `plugin`: one configuration of the module, from when Envoy delivers it.
//! - `stream`: one request and its response.
//! - `metrics`: the counters and gauges.
//! - `host`: Envoy's host calls, as far as they are used, in bytes.
//!
//! Whatever goes wrong in here, the request passes: an error is counted and logged, never answered.

mod host;
mod metrics;
mod plugin;
mod stream;
#[cfg(feature = "trap")]
mod trap;

mod entry {
    use proxy_wasm::{traits::RootContext, types::LogLevel};

    use crate::{host, plugin::Plugin};

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        std::panic::set_hook(Box::new(|panic| host::log_critical(&format!("mooring: {panic}"))));
        proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Plugin::default()) });
    }}
}
