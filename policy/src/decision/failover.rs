//! Where a request goes whose backend cannot be reached, and what is learnt of the backends on the way.

use super::{Decision, Look, Reason, Response};
use crate::{
    gateway::Gateway,
    host::Host,
    outage::{Cause, Reach},
    rule::{Backend, Rule, Session},
};

/// The backends of a rule at the time of a request, with what is known of them.
pub(super) struct Backends<'a> {
    pub(super) rule: &'a Rule,
    pub(super) gateway: &'a Gateway,
    pub(super) now: u64,
}

impl Backends<'_> {
    /// Whether a request for the session route of a backend would fail. A rule with one backend has no session routes, and
    /// nowhere else to go.
    pub(super) fn is_closed(&self, backend: usize) -> bool {
        matches!(self.reach(backend), Reach::Closed(_))
    }

    /// Whether the sessions on a backend are released: its weight was 0 when the configuration was written, and the route has
    /// not been seen to choose it since.
    pub(super) fn is_released<H: Host>(&self, backend: usize, host: &H) -> Result<bool, H::Error> {
        if !self.rule.backends().get(backend).is_some_and(Backend::is_released) {
            return Ok(false);
        }
        // The weights may have been raised since. Then this request may be the one that tells.
        self.picked(host)?;
        Ok(!self.gateway.chosen.still(self.rule.position(), backend, self.now))
    }

    /// Where a request goes whose own backend cannot be reached: where the weights of the route send it, or if that backend
    /// cannot be reached either, to one that the route has chosen lately for others.
    pub(super) fn elsewhere<H: Host>(&self, host: &H) -> Result<(Option<usize>, Reason), H::Error> {
        let picked = self.picked(host)?;
        let (rule, chosen) = (self.rule.position(), &self.gateway.chosen);
        Ok(match self.gateway.outages.detour(rule, picked, chosen, self.now) {
            Some(backend) => (Some(backend), Reason::Failover),
            None => (None, Reason::Split),
        })
    }

    /// Whether the response of a request for this backend gets a close look. None: the route decides.
    pub(super) fn look<H: Host>(&self, backend: Option<usize>, host: &H) -> Result<Look, H::Error> {
        let Some(backend) = backend.filter(|_| self.rule.has_session_routes()) else {
            return Ok(Look::None);
        };
        let rule = self.rule.position();
        if self.reach(backend) == Reach::Probe {
            self.gateway.outages.probe(rule, backend, self.now);
            return Ok(Look::Probe);
        }
        if !self.gateway.watch.is_due(rule, self.now) {
            return Ok(Look::None);
        }
        self.picked(host)?;
        Ok(Look::Watched)
    }

    fn reach(&self, backend: usize) -> Reach {
        if !self.rule.has_session_routes() {
            return Reach::Open;
        }
        self.gateway.outages.reach(self.rule.position(), backend, self.now)
    }

    /// The backend that the weights of the route have chosen for this request, which is a fact about them.
    fn picked<H: Host>(&self, host: &H) -> Result<Option<usize>, H::Error> {
        let cluster = host.cluster_name()?;
        let picked = cluster.and_then(|cluster| self.rule.backend_of_cluster(&cluster));
        if let Some(backend) = picked {
            self.gateway.chosen.note(self.rule.position(), backend, self.now);
        }
        Ok(picked)
    }
}

impl Decision {
    /// What the answer of a backend teaches about it.
    pub(super) fn learn(&self, gateway: &Gateway, chosen: Option<usize>, now: u64) {
        let rule = self.rule.position();
        if let Some(backend) = chosen.filter(|_| self.rule.has_session_routes()) {
            gateway.chosen.note(rule, backend, now);
            gateway.outages.answered(rule, backend, false);
        }
        // Whichever backend has answered: a request for the session route does not fail any more.
        if let Some(backend) = self.asked_backend().filter(|_| self.look == Look::Probe) {
            gateway.outages.answered(rule, backend, true);
        }
    }

    /// Whether a session that comes to this backend can stay there. It cannot where the session route of that one fails too,
    /// and would be given a token for each request.
    pub(super) fn settles(&self, gateway: &Gateway, backend: usize, now: u64) -> bool {
        gateway.outages.reach(self.rule.position(), backend, now) != Reach::Closed(Cause::NoRoute)
    }

    /// Whether a backend is that of the session.
    pub(super) fn is_own(&self, backend: Option<usize>) -> bool {
        let key = |backend: usize| {
            self.rule
                .backends()
                .get(backend)
                .map(|backend| backend.key().as_bytes())
        };
        let own = self.session.as_ref().map(|token| &*token.backend);
        own.is_some() && backend.and_then(key) == own
    }

    /// The response is Envoy's own: what it says of the session route is remembered.
    pub(super) fn not_answered<H: Host>(
        &self,
        gateway: &Gateway,
        details: &[u8],
        header_count: usize,
        host: &H,
    ) -> Result<Response<'_>, H::Error> {
        let mut response = Response::default();
        // A strict session fails where its host is gone, which says nothing about the other hosts of its backend.
        let is_strict = self.rule.session().is_some_and(Session::strict);
        let cause = Cause::of(details).filter(|cause| !is_strict || *cause == Cause::NoRoute);
        if let (Some(backend), Some(cause)) = (self.asked_backend(), cause) {
            let rule = self.rule.position();
            gateway.outages.fail(rule, backend, cause, host.now()?);
            gateway.watch.note_local(rule, header_count);
            response.missed = cause == Cause::NoRoute;
            response.unreachable = Some(cause);
        }
        if self.is_strict() && Cause::of(details) == Some(Cause::NoHost) {
            gateway.watch.note_local(self.rule.position(), header_count);
            self.end(gateway, &mut response, host)?;
        }
        Ok(response)
    }
}
