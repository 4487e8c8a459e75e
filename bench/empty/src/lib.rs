//! A module that does nothing: what any module that is built on the SDK costs at least.
//!
//! Its callbacks are those of Mooring's module, and `make` takes the same exports out of it.

mod entry {
    use proxy_wasm::{
        traits::{Context, HttpContext, RootContext},
        types::{Action, ContextType, LogLevel},
    };

    struct Root;
    struct Stream;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root) });
    }}

    impl Context for Root {}

    impl RootContext for Root {
        fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Stream))
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }

    impl Context for Stream {}

    impl HttpContext for Stream {
        fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
            Action::Continue
        }

        fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
            Action::Continue
        }
    }
}
