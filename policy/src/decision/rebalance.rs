//! Draws sessions again whose backend has lost share, where the policy rebalances them.
//!
//! Without this, a session stays with its backend when the weights change, so only new sessions follow the weights. With it, so
//! many sessions leave the backends that lose share that all sessions follow. A session is drawn once for each change of its
//! backend's share: its token carries the share at that time.
//!
//! With two backends, the expected shares of the sessions are those of the weights. With more, a session that leaves may be drawn
//! to any of them, by weight, also to one whose share has not risen.

use super::{
    backends::Backends,
    placement::Placement,
    reason::{Reason, SessionOutcome},
};
use crate::{
    backend::Backend,
    host::Host,
    share::{Fall, Share},
    token::Token,
};

impl Backends<'_> {
    /// The fall of the share of a session's backend since the session was drawn. None: it did not fall, or the policy does not
    /// rebalance sessions.
    pub(super) fn fall(&self, token: &Token, own: usize) -> Option<Fall> {
        Fall::new(token.share?, self.share(own)?)
    }

    /// Draws a live session again if the share of its backend has fallen. `hashed` is the backend that the hash of the client
    /// selects. The result is the backend for the request, with the reason.
    pub(super) fn rebalance<H: Host>(
        &self,
        placement: &mut Placement,
        own: usize,
        hashed: impl FnOnce() -> Option<usize>,
        host: &H,
    ) -> Result<(Option<usize>, Reason), H::Error> {
        let stays = (Some(own), Reason::Session);
        let Some(fall) = placement.fall.take() else {
            return Ok(stays);
        };
        let selected = if let Some(backend) = hashed() {
            (backend != own).then_some((Some(backend), Reason::Hash))
        } else if fall.draws(u64::from_ne_bytes(host.random()?)) {
            // The route itself sends the request to the backend that it has selected.
            let other = self.routed(host)?.filter(|backend| *backend != own);
            other
                .filter(|backend| !self.is_unreachable(*backend))
                .map(|_| (None, Reason::Split))
        } else {
            None
        };
        let Some(selected) = selected else {
            return Ok(stays);
        };
        placement.bound = None;
        placement.lost = Some(SessionOutcome::Rebalanced);
        Ok(selected)
    }

    /// Whether the token of a live session must get another share. It keeps its share while the session has to be drawn again.
    pub(super) fn has_new_share(&self, session: Option<&Token>, placement: &Placement) -> bool {
        let share = placement.bound.and_then(|own| self.share(own));
        let session = session.filter(|_| placement.fall.is_none());
        session.is_some_and(|token| share.is_some() && share != token.share)
    }

    fn share(&self, backend: usize) -> Option<Share> {
        self.rule.backends().get(backend).and_then(Backend::share)
    }
}
