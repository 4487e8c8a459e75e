//! Backends that their sessions cannot reach, as Envoy's own answers tell.
//!
//! A session leads to one backend, whatever the weights say, so it can lead to one that is gone: scaled to zero at the end of a
//! rollout, restarted with all pods at once, or a Service that was deleted. Envoy answers such a request itself. The first
//! such answer is remembered for a short time, and meanwhile the sessions of that backend go on elsewhere. Then one request
//! finds out whether the backend is back. If it is not, the next pause is longer. So at most one request for each worker and
//! pause fails.

use crate::{chosen::Chosen, per_rule::PerRule};

/// The first pause, in seconds, and the time that one request has to find out whether the backend is back.
const FIRST_PAUSE: u64 = 1;

/// Why a backend cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It has no healthy host. It is back when it answers any request.
    NoHost,
    /// The session route is missing or leads nowhere: what istiod makes of a route to a Service that does not exist, what Envoy
    /// answers for a cluster that is not there, and where no route matches. Only an answer by way of the session route ends that.
    NoRoute,
}

/// Whether a request may go to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing speaks against it.
    Open,
    /// A pause is over: one request may, to find out.
    Probe,
    /// It would fail.
    Closed(Cause),
}

/// The backends that cannot be reached, each by the positions of its rule and of itself there.
#[derive(Debug, Default)]
pub struct Outages {
    by_rule: PerRule<Vec<Outage>>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    backend: usize,
    cause: Cause,
    until: u64,
    pause: u64,
    /// A request is finding out.
    probed: bool,
}

impl Cause {
    /// Reads an answer of Envoy's own (`response.code_details`). None: it says nothing about the backend.
    #[must_use]
    pub fn of(code_details: &[u8]) -> Option<Self> {
        match code_details {
            b"no_healthy_upstream" => Some(Self::NoHost),
            b"direct_response" | b"cluster_not_found" | b"route_not_found" => Some(Self::NoRoute),
            _ => None,
        }
    }

    /// The longest pause, in seconds. A canary that was scaled to zero can stay so for days, while its sessions come back one
    /// by one; should its hosts come back, the requests that its route sends there tell sooner. Nothing else tells that a
    /// session route is back.
    fn longest_pause(self) -> u64 {
        match self {
            Self::NoHost => 300,
            Self::NoRoute => 30,
        }
    }
}

impl Outage {
    fn lasts(&self, now: u64) -> bool {
        // A clock that has been set back ends a pause: it must not become as long as the step.
        now <= self.until && self.until.saturating_sub(now) <= self.pause
    }

    /// Whether a pause has ended so long ago that nothing is known.
    fn is_forgotten(&self, now: u64) -> bool {
        now > self.until.saturating_add(self.cause.longest_pause())
    }
}

impl Outages {
    /// Whether a request may go to a backend at `now` seconds since the Unix epoch.
    #[must_use]
    pub fn reach(&self, rule: usize, backend: usize, now: u64) -> Reach {
        match self.find(rule, backend) {
            Some(outage) if outage.lasts(now) => Reach::Closed(outage.cause),
            Some(outage) if !outage.is_forgotten(now) => Reach::Probe,
            _ => Reach::Open,
        }
    }

    /// A request goes there to find out. Others wait for what it finds, but not for long.
    pub fn probe(&self, rule: usize, backend: usize, now: u64) {
        if let Some(outage) = self.find(rule, backend) {
            let until = now.saturating_add(FIRST_PAUSE);
            self.put(
                rule,
                Outage {
                    until,
                    probed: true,
                    ..outage
                },
            );
        }
    }

    /// Remembers that a request to the backend failed.
    pub fn fail(&self, rule: usize, backend: usize, cause: Cause, now: u64) {
        let before = self.find(rule, backend).filter(|outage| !outage.is_forgotten(now));
        // Requests that were under way when the pause began say nothing new.
        if before.is_some_and(|outage| outage.lasts(now) && !outage.probed) {
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

    /// The backend has answered a request, which came by its session route or by the rule's own.
    pub fn answered(&self, rule: usize, backend: usize, by_session_route: bool) {
        let lasts = |outage: &Outage| outage.backend != backend || !(by_session_route || outage.cause == Cause::NoHost);
        if self.find(rule, backend).is_some() {
            self.by_rule.change(rule, |outages| outages.retain(lasts));
        }
    }

    fn find(&self, rule: usize, backend: usize) -> Option<Outage> {
        let find = |outages: &Vec<Outage>| outages.iter().find(|outage| outage.backend == backend).copied();
        self.by_rule.read(rule, find)?
    }

    fn put(&self, rule: usize, outage: Outage) {
        self.by_rule.change(rule, |outages| {
            outages.retain(|other| other.backend != outage.backend);
            outages.push(outage);
        });
    }

    /// The backend to which a request goes whose own one cannot be reached, where the route itself would send it to one that
    /// cannot be reached either: the one that the route chose last for another request. None: the request is left to the
    /// route.
    #[must_use]
    pub fn detour(&self, rule: usize, picked: Option<usize>, chosen: &Chosen, now: u64) -> Option<usize> {
        let is_closed = |backend| matches!(self.reach(rule, backend, now), Reach::Closed(_));
        picked.filter(|picked| is_closed(*picked))?;
        chosen.latest(rule, now, |backend| self.reach(rule, backend, now) == Reach::Open)
    }
}

#[cfg(test)]
mod tests;
