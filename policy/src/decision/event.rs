//! The events of a rule that metrics count by rule.
//!
//! A request of a session that goes on is no event: metrics count it by backend already, and a second counter would cost another
//! host call for each request.

use super::{pending_token::IssueReason, reason::SessionOutcome, request::Decision, response::Response};

/// Something that happens to few of the requests of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A session began.
    New,
    /// A session moved to another host or backend.
    Moved,
    /// Of these, it moved because its backend is unreachable.
    FailedOver,
    /// Of these, it moved because the weight of its backend is 0.
    Released,
    /// Of these, it followed its version to another backend.
    Followed,
    /// Of these, it moved because no backend has its version.
    VersionRemoved,
    /// Of these, it was drawn again because the share of its backend has fallen.
    Rebalanced,
    /// A strict session ended because its host is gone.
    Lost,
    /// A session had exceeded the idle timeout.
    ExpiredIdle,
    /// A session had reached the absolute timeout.
    ExpiredAbsolute,
    /// A request failed because the backend of its session route is unreachable.
    BackendUnreachable,
    /// A request asked for a session route and did not reach its backend.
    SessionRouteMissed,
    /// A cluster that is not a backend of the rule was selected or responded.
    UnknownBackend,
    /// The canary's conditions exceeded the budget.
    CanaryBudgetExceeded,
}

impl Event {
    /// All events.
    pub const ALL: [Self; 14] = [
        Self::New,
        Self::Moved,
        Self::FailedOver,
        Self::Released,
        Self::Followed,
        Self::VersionRemoved,
        Self::Rebalanced,
        Self::Lost,
        Self::ExpiredIdle,
        Self::ExpiredAbsolute,
        Self::BackendUnreachable,
        Self::SessionRouteMissed,
        Self::UnknownBackend,
        Self::CanaryBudgetExceeded,
    ];

    /// The value of the label by which metrics count it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Moved => "moved",
            Self::FailedOver => "failed_over",
            Self::Released => "released",
            Self::Followed => "followed",
            Self::VersionRemoved => "version_removed",
            Self::Rebalanced => "rebalanced",
            Self::Lost => "lost",
            Self::ExpiredIdle => "expired_idle",
            Self::ExpiredAbsolute => "expired_absolute",
            Self::BackendUnreachable => "backend_unreachable",
            Self::SessionRouteMissed => "session_route_missed",
            Self::UnknownBackend => "unknown_backend",
            Self::CanaryBudgetExceeded => "canary_budget_exceeded",
        }
    }
}

impl Decision {
    /// What happened to the request before it was routed.
    pub fn events(&self) -> impl Iterator<Item = Event> + use<> {
        let expired = match self.session_outcome {
            SessionOutcome::ExpiredIdle => Some(Event::ExpiredIdle),
            SessionOutcome::ExpiredAbsolute => Some(Event::ExpiredAbsolute),
            _ => None,
        };
        let over_budget = self.over_budget().then_some(Event::CanaryBudgetExceeded);
        expired.into_iter().chain(over_budget)
    }
}

impl Response<'_> {
    /// What the response shows.
    pub fn events(&self) -> impl Iterator<Item = Event> + use<> {
        let issued = match self.issued {
            Some(IssueReason::New) => Some(Event::New),
            Some(IssueReason::Moved) => Some(Event::Moved),
            Some(IssueReason::Ended) => Some(Event::Lost),
            Some(IssueReason::Refreshed) | None => None,
        };
        let events = [
            (self.missed_session_route, Event::SessionRouteMissed),
            (self.unknown_backend, Event::UnknownBackend),
            (self.unreachable.is_some(), Event::BackendUnreachable),
        ];
        let events = events
            .into_iter()
            .filter_map(|(happened, event)| happened.then_some(event));
        let left_backend = match self.left_backend {
            Some(SessionOutcome::BackendUnreachable) => Some(Event::FailedOver),
            Some(SessionOutcome::Released) => Some(Event::Released),
            Some(SessionOutcome::Followed) => Some(Event::Followed),
            Some(SessionOutcome::VersionRemoved) => Some(Event::VersionRemoved),
            Some(SessionOutcome::Rebalanced) => Some(Event::Rebalanced),
            _ => None,
        };
        issued.into_iter().chain(events).chain(left_backend)
    }
}
