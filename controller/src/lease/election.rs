//! When a replica may hold a Lease: values only, without a clock and without an API server.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use tokio::time::Instant;

/// What an attempt does.
#[derive(Debug, PartialEq)]
pub enum Attempt {
    /// There is no Lease: this one is to be created.
    Create(Lease),
    /// The Lease is to be replaced by this one, unless it has changed since.
    Replace(Lease),
    /// Another replica holds it.
    Wait,
}

/// What a replica knows of the Lease. It never reads a clock, and never compares times of other machines with its own.
#[derive(Debug)]
pub struct Election {
    replica: String,
    /// How long others wait for a holder that no longer renews.
    duration: Duration,
    /// The holder and renewal that were seen last, and when they were seen first.
    seen: Option<(Record, Instant)>,
    /// How long this replica may write.
    deadline: Option<Instant>,
}

/// What changes with each renewal.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Record {
    holder: String,
    renewed: Option<MicroTime>,
    duration: Duration,
}

impl Record {
    /// A Lease without a duration, which only another program writes, has `default`.
    fn of(lease: &Lease, default: Duration) -> Self {
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
            renewed: spec.and_then(|spec| spec.renew_time.clone()),
            duration: seconds.map_or(default, Duration::from_secs),
        }
    }
}

impl Election {
    /// A replica with a unique name that knows nothing yet.
    pub const fn new(replica: String, duration: Duration) -> Self {
        Self {
            replica,
            duration,
            seen: None,
            deadline: None,
        }
    }

    /// The name of this replica.
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// Until when this replica may write, as a local time.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long the holder waits before it renews: a term has time for four.
    pub fn pause(&self) -> Duration {
        self.duration.checked_div(6).unwrap_or(self.duration)
    }

    /// What to do about the Lease that was read at a local time. `wall` is written, and compared with nothing.
    pub fn attempt(&mut self, lease: Option<Lease>, now: Instant, wall: Timestamp) -> Attempt {
        let Some(mut lease) = lease else {
            return Attempt::Create(Lease {
                spec: Some(self.spec(None, wall)),
                ..Lease::default()
            });
        };
        let record = Record::of(&lease, self.duration);
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        let others = !record.holder.is_empty() && record.holder != self.replica;
        let fresh = now.saturating_duration_since(since) < record.duration;
        self.seen = Some((record, since));
        if others {
            self.deadline = None;
            if fresh {
                return Attempt::Wait;
            }
        }
        lease.spec = Some(self.spec(lease.spec.as_ref(), wall));
        Attempt::Replace(lease)
    }

    /// The specification of a Lease that this replica holds.
    fn spec(&self, before: Option<&LeaseSpec>, wall: Timestamp) -> LeaseSpec {
        let mut spec = before.cloned().unwrap_or_default();
        if spec.holder_identity.as_ref() != Some(&self.replica) {
            spec.acquire_time = Some(MicroTime(wall));
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
        }
        spec.holder_identity = Some(self.replica.clone());
        spec.lease_duration_seconds = i32::try_from(self.duration.as_secs()).ok();
        spec.renew_time = Some(MicroTime(wall));
        spec
    }

    /// The API server has accepted what an attempt wrote, which began at this local time. The term is shorter than the time that others
    /// wait, because a write that is under way at its end may still arrive.
    pub fn accepted(&mut self, began: Instant) {
        self.deadline = began.checked_add(self.pause().saturating_mul(4));
    }

    /// The Lease that gives up what this replica holds.
    pub fn released(&self, mut lease: Lease, wall: Timestamp) -> Option<Lease> {
        let spec = lease.spec.as_mut()?;
        if spec.holder_identity.as_ref() != Some(&self.replica) {
            return None;
        }
        // As client-go writes it: an empty holder, and a duration that must be above 0.
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(wall));
        Some(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(30);

    fn wall() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn replica(name: &str) -> Election {
        Election::new(name.to_owned(), DURATION)
    }

    /// The Lease of a holder that renewed when its clock showed this time.
    fn held(holder: &str, renewed: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(30),
            renew_time: Some(MicroTime(renewed.parse().unwrap())),
            acquire_time: Some(MicroTime("2025-12-31T00:00:00Z".parse().unwrap())),
            lease_transitions: Some(4),
            ..LeaseSpec::default()
        };
        let mut lease = Lease {
            spec: Some(spec),
            ..Lease::default()
        };
        lease.metadata.resource_version = Some("17".to_owned());
        lease
    }

    fn replaced(attempt: Attempt) -> Lease {
        match attempt {
            Attempt::Replace(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_missing_lease_is_created() {
        let now = Instant::now();
        let mut a = replica("a");
        let Attempt::Create(lease) = a.attempt(None, now, wall()) else {
            panic!("not created");
        };
        let spec = lease.spec.unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("a"));
        assert_eq!(spec.lease_duration_seconds, Some(30));
        assert_eq!(spec.lease_transitions, Some(0));
        assert_eq!(a.deadline(), None, "before the API server has accepted it");
    }

    #[test]
    fn a_holder_that_does_not_renew_is_replaced_after_the_duration_by_the_own_clock() {
        // The clock of the holder is years off, in either direction.
        for renewed in ["1999-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            let (start, mut b) = (Instant::now(), replica("b"));
            let lease = || Some(held("a", renewed));
            assert_eq!(b.attempt(lease(), start, wall()), Attempt::Wait);
            let last = start + DURATION - Duration::from_millis(1);
            assert_eq!(b.attempt(lease(), last, wall()), Attempt::Wait, "{renewed}");
            let spec = replaced(b.attempt(lease(), start + DURATION, wall())).spec.unwrap();
            assert_eq!(spec.holder_identity.as_deref(), Some("b"));
            assert_eq!(
                (spec.lease_transitions, spec.acquire_time),
                (Some(5), Some(MicroTime(wall())))
            );
        }
    }

    #[test]
    fn each_renewal_starts_the_wait_again() {
        let (start, mut b) = (Instant::now(), replica("b"));
        for second in 0..10 {
            let lease = held("a", &format!("2026-01-01T00:00:0{second}Z"));
            let now = start + Duration::from_secs(20) * second;
            assert_eq!(b.attempt(Some(lease), now, wall()), Attempt::Wait, "{second}");
        }
    }

    #[test]
    fn a_new_holder_starts_the_wait_again_although_it_wrote_the_same_time() {
        let (start, mut c) = (Instant::now(), replica("c"));
        assert_eq!(
            c.attempt(Some(held("a", "2026-01-01T00:00:00Z")), start, wall()),
            Attempt::Wait
        );
        let later = start + DURATION;
        assert_eq!(
            c.attempt(Some(held("b", "2026-01-01T00:00:00Z")), later, wall()),
            Attempt::Wait
        );
    }

    #[test]
    fn an_attempt_names_the_version_that_it_read() {
        let lease = replaced(replica("a").attempt(Some(held("a", "2026-01-01T00:00:00Z")), Instant::now(), wall()));
        assert_eq!(lease.metadata.resource_version.as_deref(), Some("17"));
    }

    #[test]
    fn a_renewal_keeps_when_the_lease_was_acquired() {
        let before = held("a", "2026-01-01T00:00:00Z").spec.unwrap();
        let lease = replaced(replica("a").attempt(Some(held("a", "2026-01-01T00:00:00Z")), Instant::now(), wall()));
        let spec = lease.spec.unwrap();
        assert_eq!(
            (spec.acquire_time, spec.lease_transitions),
            (before.acquire_time, before.lease_transitions)
        );
        assert_eq!(spec.renew_time, Some(MicroTime(wall())));
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let lease = replica("a")
            .released(held("a", "2026-01-01T00:00:00Z"), wall())
            .unwrap();
        let spec = replaced(replica("b").attempt(Some(lease), Instant::now(), wall()))
            .spec
            .unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("b"));
        assert_eq!(spec.lease_duration_seconds, Some(30));
    }

    #[test]
    fn the_lease_of_another_replica_is_not_released() {
        assert_eq!(replica("a").released(held("b", "2026-01-01T00:00:00Z"), wall()), None);
    }

    #[test]
    fn a_term_counts_from_before_the_request_and_ends_before_others_may_take_over() {
        let (began, mut a) = (Instant::now(), replica("a"));
        let _ = a.attempt(None, began + Duration::from_secs(4), wall());
        a.accepted(began);
        assert_eq!(a.deadline(), Some(began + Duration::from_secs(20)));
    }

    #[test]
    fn another_holder_ends_the_term_at_once() {
        let (now, mut a) = (Instant::now(), replica("a"));
        a.accepted(now);
        assert_eq!(
            a.attempt(Some(held("b", "2026-01-01T00:00:00Z")), now, wall()),
            Attempt::Wait
        );
        assert_eq!(a.deadline(), None);
    }
}
