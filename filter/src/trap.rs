//! Aborts the VM or makes a call to Envoy fail on request, to test what follows. Only a build with the feature `trap` contains
//! this module; releases never do.

use proxy_wasm::{hostcalls, types::MapType};

use crate::host::{HostError, in_call};

/// Aborts the VM if the request has the header `x-trap-now`.
pub(crate) fn abort_if_requested() {
    if is_requested("x-trap-now") {
        std::process::abort();
    }
}

/// Increments a metric that Envoy does not have if the request has the header `x-fail-now`.
pub(crate) fn fail_if_requested() -> Result<(), HostError> {
    if is_requested("x-fail-now") {
        hostcalls::increment_metric(u32::MAX, 1).map_err(in_call("incrementing a metric"))?;
    }
    Ok(())
}

fn is_requested(header: &str) -> bool {
    matches!(
        hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, header),
        Ok(Some(_))
    )
}
