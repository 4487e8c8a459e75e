//! A module that measures functions of `mooring-policy` where the filter runs them, inside Envoy's V8, and logs how long
//! one call takes: `mooring-bench: <nanoseconds> <name>`.

#[path = "../../../policy/benches/policy/cases.rs"]
mod cases;

mod entry {
    use std::time::UNIX_EPOCH;

    use proxy_wasm::{
        hostcalls,
        traits::{Context, HttpContext, RootContext},
        types::{ContextType, LogLevel},
    };

    use crate::cases;

    /// How long the calls are that are timed together, in nanoseconds.
    const BATCH: u64 = 1_000_000;

    struct Root;
    struct Stream;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root) });
    }}

    impl Context for Root {}

    impl RootContext for Root {
        fn on_configure(&mut self, _configuration_size: usize) -> bool {
            for mut case in cases::all() {
                let nanoseconds = case.measure(BATCH, now);
                let _ = hostcalls::log(LogLevel::Info, &format!("mooring-bench: {nanoseconds} {}", case.name));
            }
            true
        }

        fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Stream))
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }

    impl Context for Stream {}
    impl HttpContext for Stream {}

    /// The host's clock, in nanoseconds.
    fn now() -> u64 {
        let now = hostcalls::get_current_time().ok();
        let since = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
        since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}
