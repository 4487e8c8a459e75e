//! What the filter and Envoy's own filters around it hand to each other, by name: the filter writes it, and the generator
//! tells Envoy's filters to read it.

/// The header by which a request finds the session route of its backend.
pub const BACKEND_HEADER: &str = "x-mooring-backend";

/// The header that carries the pinned host to Envoy's `stateful_session` filter, and the chosen host back: base64 of
/// `ip:port`.
pub const HOST_HEADER: &str = "x-mooring-host";

/// The same, set as well where the sessions of a rule are strict, and read by a `stateful_session` filter of its own.
pub const STRICT_HOST_HEADER: &str = "x-mooring-host-strict";

/// What the names of all these headers begin with.
pub const HEADER_PREFIX: &str = "x-mooring-";

/// What is in that header before the filter, where a relay stands behind it: Envoy's `header_mutation`, which sets headers
/// by the filter state of the request. Unlike a module that sets a header, it does not make Envoy look for the route again,
/// which takes long among many.
pub const RELAYED: &str = "relay";

/// The property that the filter sets instead of the header for the host; Envoy puts `wasm.` before it.
pub const HOST_STATE: &str = "mooring_host";

/// The property in place of that header.
pub const STRICT_HOST_STATE: &str = "mooring_host_strict";

/// The property that the filter sets instead of the `Cookie` line.
pub const COOKIE_STATE: &str = "mooring_cookie";

/// The value of [`BACKEND_HEADER`] for a backend of a rule. The id of the rule makes it unique on the gateway.
#[must_use]
pub fn session_key(rule: &str, backend: &str) -> String {
    format!("{rule}/{backend}")
}
