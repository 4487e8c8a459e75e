//! The names that the filter and Envoy's own filters share: the filter sets these headers and filter state objects, and the
//! generator configures Envoy's filters to read them.

/// The header that selects the session route of a backend.
pub const BACKEND_HEADER: &str = "x-mooring-backend";

/// The header of Envoy's `stateful_session` filter: base64 of the `ip:port` of a host. The request asks for a host with it, and
/// the response names the host if Envoy selected another one.
pub const HOST_HEADER: &str = "x-mooring-host";

/// The header of a second `stateful_session` filter, which is strict. It is set in addition to [`HOST_HEADER`] if the sessions
/// of a rule are strict.
pub const STRICT_HOST_HEADER: &str = "x-mooring-host-strict";

/// The common prefix of all these headers.
pub const HEADER_PREFIX: &str = "x-mooring-";

/// The value of [`HOST_HEADER`] by which Envoy's configuration tells the filter to set filter state instead of headers.
/// Envoy's `header_mutation` filter then copies the filter state into the headers. Unlike a module that sets a header, that
/// does not make Envoy look up the route again, which is slow in a large virtual host.
pub const FILTER_STATE_MARKER: &str = "filter-state";

/// The property that replaces [`HOST_HEADER`]; Envoy keeps it in the filter state as `wasm.mooring_host`.
pub const HOST_FILTER_STATE: &str = "mooring_host";

/// The property that replaces [`STRICT_HOST_HEADER`].
pub const STRICT_HOST_FILTER_STATE: &str = "mooring_host_strict";

/// The property that replaces the `Cookie` header.
pub const COOKIE_FILTER_STATE: &str = "mooring_cookie";

/// The value of [`BACKEND_HEADER`] for a backend of a rule. The id of the rule makes it unique on the gateway.
#[must_use]
pub fn session_key(rule: &str, backend: &str) -> String {
    format!("{rule}/{backend}")
}
