//! Tracks the backends that sessions cannot reach, by Envoy's local replies.
//!
//! A session always goes to its backend, regardless of the weights. That backend may be gone: scaled to zero at the end of a
//! rollout, restarted with all of its pods at once, or a Service that was deleted. Envoy then answers with a local reply. After
//! the first such reply the backend counts as unreachable for a pause, during which its sessions go to other backends. After
//! the pause, one request probes the backend; if that fails, the next pause is longer. So at most one request per worker and
//! pause fails.

use crate::{observed_backends::ObservedBackends, per_rule::PerRule};

/// The first pause, and the time for the result of a probe, in seconds.
const FIRST_PAUSE: u64 = 1;

/// Why a backend is unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreachableCause {
    /// It has no healthy host. Any response of the backend ends that.
    NoHost,
    /// The session route does not exist, or its cluster does not. Istiod generates a direct response for a route to a Service
    /// that does not exist. Only a response over the session route ends that.
    NoRoute,
}

/// Whether a request may go to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It may.
    Reachable,
    /// The pause is over: one request may, as a probe.
    Probe,
    /// It would fail.
    Unreachable(UnreachableCause),
}

/// The unreachable backends of all rules. A backend is identified by the position of its rule and its position in the rule.
#[derive(Debug, Default)]
pub struct ReachabilityTracker {
    outages: PerRule<Vec<Outage>>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    backend: usize,
    cause: UnreachableCause,
    /// The end of the pause, in seconds since the Unix epoch.
    until: u64,
    pause: u64,
    /// Whether a probe is under way.
    probed: bool,
}

impl UnreachableCause {
    /// The cause that a local reply indicates by its `response.code_details`. None: it indicates nothing about the backend.
    #[must_use]
    pub fn from_code_details(code_details: &[u8]) -> Option<Self> {
        match code_details {
            b"no_healthy_upstream" => Some(Self::NoHost),
            b"direct_response" | b"cluster_not_found" | b"route_not_found" => Some(Self::NoRoute),
            _ => None,
        }
    }

    /// The longest pause, in seconds. A canary may stay scaled to zero for days while its sessions return one by one. If its
    /// hosts come back, responses over the user's own route usually end the pause early, whereas only a probe can find out that
    /// a session route is back.
    fn longest_pause(self) -> u64 {
        match self {
            Self::NoHost => 300,
            Self::NoRoute => 30,
        }
    }
}

impl Outage {
    fn is_paused(&self, now: u64) -> bool {
        // If the clock was set back, the end of the pause is too far away: the pause is over.
        now <= self.until && self.until.saturating_sub(now) <= self.pause
    }

    /// Whether the pause ended so long ago that the backend counts as reachable again.
    fn is_outdated(&self, now: u64) -> bool {
        now > self.until.saturating_add(self.cause.longest_pause())
    }
}

impl ReachabilityTracker {
    /// Whether a request may go to a backend at `now` seconds since the Unix epoch.
    #[must_use]
    pub fn reachability(&self, rule: usize, backend: usize, now: u64) -> Reachability {
        match self.find(rule, backend) {
            Some(outage) if outage.is_paused(now) => Reachability::Unreachable(outage.cause),
            Some(outage) if !outage.is_outdated(now) => Reachability::Probe,
            _ => Reachability::Reachable,
        }
    }

    /// Records that a request probes the backend. Until its result is known, but not for long, other requests avoid the backend.
    pub fn start_probe(&self, rule: usize, backend: usize, now: u64) {
        if let Some(outage) = self.find(rule, backend) {
            let probed = Outage {
                until: now.saturating_add(FIRST_PAUSE),
                probed: true,
                ..outage
            };
            self.put(rule, probed);
        }
    }

    /// Records that a request to the backend failed.
    pub fn record_failure(&self, rule: usize, backend: usize, cause: UnreachableCause, now: u64) {
        let before = self.find(rule, backend).filter(|outage| !outage.is_outdated(now));
        // Requests that were under way when the pause began fail as well; they do not extend it.
        if before.is_some_and(|outage| outage.is_paused(now) && !outage.probed) {
            return;
        }
        let longer = |outage: Outage| outage.pause.saturating_mul(2).min(cause.longest_pause());
        let pause = before.map_or(FIRST_PAUSE, longer);
        let outage = Outage {
            backend,
            cause,
            until: now.saturating_add(pause),
            pause,
            probed: false,
        };
        self.put(rule, outage);
    }

    /// Records that the backend responded, over its session route or over the user's own route.
    pub fn record_response(&self, rule: usize, backend: usize, over_session_route: bool) {
        let remains = |outage: &Outage| {
            outage.backend != backend || !(over_session_route || outage.cause == UnreachableCause::NoHost)
        };
        if self.find(rule, backend).is_some() {
            self.outages.change(rule, |outages| outages.retain(remains));
        }
    }

    /// The backend for a request whose own backend is unreachable. If the route selects an unreachable backend as well, this is
    /// the reachable backend that it selected last for another request. None: the request follows the route.
    #[must_use]
    pub fn alternative(
        &self,
        rule: usize,
        routed: Option<usize>,
        observed: &ObservedBackends,
        now: u64,
    ) -> Option<usize> {
        let is_unreachable = |backend| matches!(self.reachability(rule, backend, now), Reachability::Unreachable(_));
        routed.filter(|routed| is_unreachable(*routed))?;
        let is_reachable = |backend| self.reachability(rule, backend, now) == Reachability::Reachable;
        observed.latest(rule, now, is_reachable)
    }

    fn find(&self, rule: usize, backend: usize) -> Option<Outage> {
        let find = |outages: &Vec<Outage>| outages.iter().find(|outage| outage.backend == backend).copied();
        self.outages.read(rule, find)?
    }

    fn put(&self, rule: usize, outage: Outage) {
        self.outages.change(rule, |outages| {
            outages.retain(|other| other.backend != outage.backend);
            outages.push(outage);
        });
    }
}

#[cfg(test)]
mod tests;
