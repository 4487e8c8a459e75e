//! A trap that a request can spring, for tests of what Envoy does then. Only a build with the feature `trap` has it, which
//! nothing ships.

use proxy_wasm::{hostcalls, types::MapType};

/// Ends the virtual machine when the request says so.
pub(crate) fn spring_if_told() {
    if matches!(
        hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, "x-trap-now"),
        Ok(Some(_))
    ) {
        std::process::abort();
    }
}
