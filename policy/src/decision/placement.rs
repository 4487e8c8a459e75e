//! Decides with which backend a live session stays, before and after a backend is selected for its request.

use super::{
    backends::Backends,
    reason::{Reason, SessionOutcome},
    versions::VersionPlace,
};
use crate::{host::Host, share::Fall, token::Token};

/// The place of a live session. The default is that of a client without one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Placement {
    /// The backend that the session is bound to. None: the request is decided like one without a session.
    pub(super) bound: Option<usize>,
    /// Why the session does not stay with its backend. None: it does.
    pub(super) lost: Option<SessionOutcome>,
    /// The backend that the session may return to.
    previous: Option<usize>,
    /// The fall of the backend's share, if the session has to be drawn again.
    pub(super) fall: Option<Fall>,
}

impl Backends<'_> {
    /// The place of a live session, before a backend is selected for its request.
    pub(super) fn place<H: Host>(&self, token: &Token, host: &H) -> Result<Placement, H::Error> {
        let own = self.rule.backend(&token.backend);
        let version = self.place_of_version(token, own, host)?;
        let lost = match (version, own) {
            (VersionPlace::Other(other), _) => {
                return Ok(Placement {
                    bound: Some(other),
                    lost: Some(SessionOutcome::Followed),
                    ..Placement::default()
                });
            }
            (_, None) => Some(SessionOutcome::BackendRemoved),
            (_, Some(own)) if self.is_unreachable(own) => Some(SessionOutcome::BackendUnreachable),
            (VersionPlace::Nowhere, Some(_)) => Some(SessionOutcome::VersionRemoved),
            (VersionPlace::Own, Some(own)) if self.is_released(own, host)? => Some(SessionOutcome::Released),
            (VersionPlace::Own, Some(_)) => None,
        };
        let fall = own.filter(|_| lost.is_none()).and_then(|own| self.fall(token, own));
        let may_return = matches!(lost, Some(SessionOutcome::Released | SessionOutcome::VersionRemoved));
        Ok(Placement {
            bound: own.filter(|_| lost.is_none()),
            lost,
            previous: own.filter(|_| may_return),
            fall,
        })
    }

    /// Returns a session to its backend if the request goes there anyway. `selected` is the backend that was selected for the
    /// request, with the reason. The result is the same, or the backend of the session.
    pub(super) fn reconsider<H: Host>(
        &self,
        placement: &mut Placement,
        selected: (Option<usize>, Reason),
        host: &H,
    ) -> Result<(Option<usize>, Reason), H::Error> {
        let Some(previous) = placement.previous else {
            return Ok(selected);
        };
        let returns = match (placement.lost, selected) {
            // If a match rule selects a released backend, the session stays there: the policy says so.
            (Some(SessionOutcome::Released), (backend, Reason::CanaryRule(_))) => backend == Some(previous),
            (Some(SessionOutcome::Released), _) => false,
            // The session may still have its host there.
            (_, (Some(backend), _)) => backend == previous,
            (_, (None, _)) => self.routed(host)? == Some(previous),
        };
        if !returns {
            return Ok(selected);
        }
        *placement = Placement {
            bound: Some(previous),
            ..Placement::default()
        };
        Ok(match selected {
            (None, _) => (Some(previous), Reason::Session),
            selected => selected,
        })
    }
}
