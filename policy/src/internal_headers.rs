//! The names that the filter and Envoy's own filters share: the filter sets these headers and filter state objects, and the
//! generator configures Envoy's filters to read them.

use crate::{change::Change, headers::Headers};

/// The header that selects the session route of a backend.
pub const BACKEND_HEADER: &str = "x-mooring-backend";

/// The header of Envoy's `stateful_session` filter: base64 of the address of a host. The request asks for a host with it, and
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

/// The property with the [`crate::access_log`] text of a request; Envoy keeps it in the filter state as `wasm.mooring`.
pub const ACCESS_LOG_FILTER_STATE: &str = "mooring";

/// The value of [`BACKEND_HEADER`] for a backend of a rule. The id of the rule makes it unique on the gateway.
#[must_use]
pub fn session_key(rule: &str, backend: &str) -> String {
    format!("{rule}/{backend}")
}

/// Removes all internal headers from a request. Only a client can have sent them if the module has not set them yet, and no header
/// sanitizer ran before it.
pub fn remove_all<'a>(headers: &Headers<'a>) -> impl Iterator<Item = Change<'a>> {
    let names = headers.lines().iter().filter_map(|(name, _)| str::from_utf8(name).ok());
    names.filter(|name| is_internal(name)).map(Change::Remove)
}

fn is_internal(name: &str) -> bool {
    let prefix = name.get(..HEADER_PREFIX.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(HEADER_PREFIX))
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[test]
    #[wasm_bindgen_test]
    fn internal_headers_are_removed_and_no_others() {
        let lines: Vec<(&[u8], &[u8])> = vec![
            (b"x-mooring-backend", b"a"),
            (b"x-mooring", b"b"),
            (b"X-Mooring-New", b"c"),
            (b"x-moorings-host", b"d"),
            (b"x-mooring-host\xff", b"e"),
            (b"cookie", b"x-mooring-host=f"),
            (b"x-mooring-", b"g"),
        ];
        let changes: Vec<Change> = remove_all(&lines.as_slice().into()).collect();
        assert_eq!(
            changes,
            ["x-mooring-backend", "X-Mooring-New", "x-mooring-"].map(Change::Remove)
        );
    }
}
