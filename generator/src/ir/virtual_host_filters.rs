//! The Envoy filters that a virtual host needs.

/// Which of Envoy's own filters the rules of a virtual host need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualHostFilters {
    /// The `stateful_session` filter: some sessions are bound to hosts.
    pub stateful_session: bool,
    /// The strict `stateful_session` filter: some of these sessions are strict.
    pub strict_stateful_session: bool,
    /// The `header_mutation` filter that sets headers from filter state: unlike the module, it does not make Envoy look up the route
    /// again.
    pub filter_state_headers: bool,
}
