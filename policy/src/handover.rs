//! What the filter and Envoy's own filters around it hand to each other, by name: the filter writes it, and the generator
//! tells Envoy's filters to read it.

/// The header that names the chosen backend to the route's cluster specifier: its key.
pub const BACKEND_HEADER: &str = "x-mooring-backend";

/// The header that carries the pinned host to Envoy's `stateful_session` filter, and the chosen host back: base64 of
/// `ip:port`.
pub const HOST_HEADER: &str = "x-mooring-host";

/// What is in that header before the filter, where a relay stands behind it: Envoy's `header_mutation`, which sets headers
/// by the filter state of the request. Unlike a module that sets a header, it does not make Envoy look for the route again,
/// which takes long among many.
pub const RELAYED: &str = "relay";

/// The property that the filter sets instead of the header for the host; Envoy puts `wasm.` before it.
pub const HOST_STATE: &str = "mooring_host";

/// The property that the filter sets instead of the `Cookie` line.
pub const COOKIE_STATE: &str = "mooring_cookie";
