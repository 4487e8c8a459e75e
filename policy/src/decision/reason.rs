//! Why a decision was made: what became of the session, why the backend was selected, and why the response is inspected.

use crate::token::Rejection;

/// What became of the session of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionOutcome {
    /// The rule keeps no sessions, at least not for this path, or there is no key for tokens.
    Stateless,
    /// The client has no session.
    New,
    /// The session is live.
    Resumed,
    /// The session is live, and its last-seen time must be renewed.
    NeedsRefresh,
    /// The session is live, but the rule no longer has its backend.
    BackendRemoved,
    /// The session is live, but its backend is unreachable.
    BackendUnreachable,
    /// The session is live, but the policy releases the sessions of its backend, which no longer has a weight.
    Released,
    /// The session exceeded the idle timeout.
    ExpiredIdle,
    /// The session reached the absolute timeout.
    ExpiredAbsolute,
    /// The token was rejected.
    Rejected(Rejection),
}

impl SessionOutcome {
    /// Whether the session is live, but cannot stay with its backend.
    pub(super) fn lost_backend(self) -> bool {
        matches!(self, Self::BackendRemoved | Self::BackendUnreachable | Self::Released)
    }
}

/// Why a request goes to its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its session is bound to the backend.
    Session,
    /// The rule has no other backend.
    Single,
    /// The weights of the route selected it.
    Split,
    /// The hash of the client selected it.
    Hash,
    /// The match rule at this position of the canary selected it.
    CanaryRule(usize),
    /// The backend of the session is unreachable, and so is the one that the weights selected.
    Failover,
}

/// Why a response is inspected although its request does not need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inspection {
    /// It is not inspected.
    None,
    /// The request was sampled.
    Sampled,
    /// The request probes whether its backend is reachable again.
    Probe,
}
