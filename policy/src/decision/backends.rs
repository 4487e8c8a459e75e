//! The backends of a rule during one request, and the alternative to an unreachable one.

use super::reason::{Inspection, Reason};
use crate::{backend::Backend, gateway::Gateway, host::Host, reachability::Reachability, rule::Rule};

/// The backends of a rule at the time of a request.
pub(super) struct Backends<'a> {
    pub(super) rule: &'a Rule,
    pub(super) gateway: &'a Gateway,
    pub(super) now: u64,
}

impl Backends<'_> {
    /// Whether a request to the session route of a backend would fail. False for a rule with one backend: it has no session
    /// routes and no alternative.
    pub(super) fn is_unreachable(&self, backend: usize) -> bool {
        matches!(self.reachability(backend), Reachability::Unreachable(_))
    }

    /// Whether the sessions of a backend are released: its weight was 0 when the configuration was written, and the route was not
    /// seen to select it since.
    pub(super) fn is_released<H: Host>(&self, backend: usize, host: &H) -> Result<bool, H::Error> {
        if !self.rule.backends().get(backend).is_some_and(Backend::is_released) {
            return Ok(false);
        }
        Ok(!self.has_weight(backend, host)?)
    }

    /// Whether the weight of a backend was 0 when the configuration was written, as far as versions need to know.
    pub(super) fn had_weight_zero(&self, backend: usize) -> bool {
        self.rule.backends().get(backend).is_some_and(Backend::had_weight_zero)
    }

    /// Whether the route selects a backend whose weight was 0 when the configuration was written.
    pub(super) fn has_weight<H: Host>(&self, backend: usize, host: &H) -> Result<bool, H::Error> {
        // The weight may have been raised since, and this request may be the first to show it.
        self.routed(host)?;
        let observed = &self.gateway.observed;
        Ok(observed.is_still_selected(self.rule.position(), backend, self.now))
    }

    /// Where to send a request whose own backend is unreachable: to the backend that the route selects, or if that is unreachable
    /// as well, to one that the route recently selected for other requests.
    pub(super) fn alternative<H: Host>(&self, host: &H) -> Result<(Option<usize>, Reason), H::Error> {
        let routed = self.routed(host)?;
        let (rule, observed) = (self.rule.position(), &self.gateway.observed);
        let alternative = self.gateway.reachability.alternative(rule, routed, observed, self.now);
        Ok(match alternative {
            Some(backend) => (Some(backend), Reason::Failover),
            None => (None, Reason::Split),
        })
    }

    /// Whether to inspect the response of a request to this backend. `backend` is None if the route selects the backend.
    pub(super) fn inspection<H: Host>(&self, backend: Option<usize>, host: &H) -> Result<Inspection, H::Error> {
        let Some(backend) = backend.filter(|_| self.rule.has_session_routes()) else {
            return Ok(Inspection::None);
        };
        let rule = self.rule.position();
        if self.reachability(backend) == Reachability::Probe {
            self.gateway.reachability.start_probe(rule, backend, self.now);
            return Ok(Inspection::Probe);
        }
        if !self.gateway.sampler.sample(rule, self.now) {
            return Ok(Inspection::None);
        }
        self.routed(host)?;
        Ok(Inspection::Sampled)
    }

    fn reachability(&self, backend: usize) -> Reachability {
        if !self.rule.has_session_routes() {
            return Reachability::Reachable;
        }
        let rule = self.rule.position();
        self.gateway.reachability.reachability(rule, backend, self.now)
    }

    /// The backend that the route selected for this request, which is recorded.
    pub(super) fn routed<H: Host>(&self, host: &H) -> Result<Option<usize>, H::Error> {
        let cluster = host.cluster_name()?;
        let routed = cluster.and_then(|cluster| self.rule.backend_of_cluster(&cluster));
        if let Some(backend) = routed {
            self.gateway.observed.record(self.rule.position(), backend, self.now);
        }
        Ok(routed)
    }
}
