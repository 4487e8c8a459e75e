//! The Envoy filters that a virtual host needs.

/// The Envoy filters that the rules of a virtual host need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualHostFilters {
    /// The `stateful_session` filter, needed if any session is bound to hosts.
    pub stateful_session: bool,
    /// The strict `stateful_session` filter, needed if any of these sessions is strict.
    pub strict_stateful_session: bool,
    /// The `header_mutation` filter that sets headers from filter state. Unlike header changes by the module, it does
    /// not make Envoy look up the route again.
    pub filter_state_headers: bool,
}
