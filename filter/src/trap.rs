//! Aborts the VM on request, to test how Envoy reacts. Only a build with the feature `trap` contains this module; releases never
//! do.

use proxy_wasm::{hostcalls, types::MapType};

/// Aborts the VM if the request has the header `x-trap-now`.
pub(crate) fn abort_if_requested() {
    if matches!(
        hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, "x-trap-now"),
        Ok(Some(_))
    ) {
        std::process::abort();
    }
}
