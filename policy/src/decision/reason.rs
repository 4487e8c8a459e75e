//! Why a decision was made: what became of the session, why the backend was selected, and why the response is inspected.

use std::borrow::Cow;

use crate::{rule::Rule, token::Rejection};

/// What became of the session of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionOutcome {
    /// The rule keeps no sessions, at least not for this path, or there is no key for tokens.
    Stateless,
    /// The client has no session.
    New,
    /// The session is live.
    Resumed,
    /// The session is live, and its token must be renewed: its last-seen time, or the version or the share of its backend.
    NeedsRefresh,
    /// The session is live, but the rule no longer has its backend.
    BackendRemoved,
    /// The session is live, but its backend is unreachable.
    BackendUnreachable,
    /// The session is live, but the policy releases the sessions of its backend, which no longer has a weight.
    Released,
    /// The session is live and follows its version to another backend: its own backend has another version, is unreachable, has
    /// no weight, or is not in the rule.
    Followed,
    /// The session is live, but its backend has another version now, and so have all other backends.
    VersionRemoved,
    /// The session is live, but the share of its backend has fallen, and it was drawn again and goes to another backend.
    Rebalanced,
    /// The session exceeded the idle timeout.
    ExpiredIdle,
    /// The session reached the absolute timeout.
    ExpiredAbsolute,
    /// The token was rejected.
    Rejected(Rejection),
}

impl SessionOutcome {
    /// The word for it in the access log.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Stateless => "none",
            Self::New => "new",
            // Whether the response renews the last-seen time is only known then.
            Self::Resumed | Self::NeedsRefresh => "resumed",
            Self::BackendRemoved => "backend-removed",
            Self::BackendUnreachable => "backend-unreachable",
            Self::Released => "released",
            Self::Followed => "followed",
            Self::VersionRemoved => "version-removed",
            Self::Rebalanced => "rebalanced",
            Self::ExpiredIdle => "expired-idle",
            Self::ExpiredAbsolute => "expired-absolute",
            Self::Rejected(Rejection::Malformed) => "rejected-malformed",
            Self::Rejected(Rejection::Version) => "rejected-version",
            Self::Rejected(Rejection::UnknownKey) => "rejected-unknown-key",
            Self::Rejected(Rejection::Foreign) => "rejected-foreign",
            Self::Rejected(Rejection::Tampered) => "rejected-tampered",
            Self::Rejected(Rejection::Future) => "rejected-future",
        }
    }

    /// Whether the session is live, but does not stay with its backend.
    pub(super) fn lost_backend(self) -> bool {
        matches!(
            self,
            Self::BackendRemoved
                | Self::BackendUnreachable
                | Self::Released
                | Self::Followed
                | Self::VersionRemoved
                | Self::Rebalanced
        )
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

impl Reason {
    /// The word for it in metrics and in the access log. `rule` is the rule of the request, whose canary has the match rules.
    #[must_use]
    pub fn label(self, rule: &Rule) -> Cow<'static, str> {
        match self {
            Self::Session => "session".into(),
            Self::Single => "single".into(),
            Self::Split => "split".into(),
            Self::Hash => "hash".into(),
            Self::CanaryRule(position) => {
                let name = rule.canary().and_then(|canary| canary.rule_name(position));
                Cow::from(["canary:", name.unwrap_or_default()].concat())
            }
            Self::Failover => "failover".into(),
        }
    }
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
