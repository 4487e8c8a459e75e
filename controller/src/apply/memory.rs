//! What the controller remembers about an object between two passes. None of it is needed after a restart.

use std::{sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use super::{
    failure::{Cause, Failure, doubled},
    order::Stage,
    ownership::has_metadata,
    wanted::{Owner, Wanted},
};
use crate::{key::Key, plan::Planned};

/// After this time without a foreign edit, the next one is put back at once again.
const QUIET: Duration = Duration::from_secs(600);

/// The waits between two foreign edits that are put back.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What is remembered about an object.
#[derive(Debug, Default)]
pub struct Memory {
    /// The planned object as it was wanted last.
    pub wanted: Option<Arc<Wanted>>,
    /// The last successful write.
    pub written: Option<Written>,
    /// The last request, if it failed.
    pub failed: Option<Failed>,
    /// The foreign edits.
    pub edits: Edits,
    /// Since when the plan does not want the object.
    pub unwanted: Option<Instant>,
    /// The hash of what a dry run has shown.
    pub previewed: Option<Arc<str>>,
    /// Whether a request is on its way.
    pub in_flight: bool,
}

/// A successful write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The hash of what was written.
    pub hash: Arc<str>,
    /// The object's unique id.
    pub uid: String,
    /// The generation of the answer.
    pub generation: i64,
    /// The resource version of the answer. None: it is not a number.
    pub version: Option<u64>,
    /// Whether the answer had the planned labels, annotations and owner. A webhook may change them on every write.
    pub has_metadata: bool,
    /// Whether the watch has shown the object since.
    pub seen: bool,
    /// When it was written.
    pub at: Instant,
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why it failed.
    pub failure: Failure,
    /// The hash of what could not be written. None: the request was no write.
    pub hash: Option<Arc<str>>,
    /// How many requests in a row failed.
    pub count: u32,
    /// When the next one may be sent.
    pub until: Instant,
}

/// How often somebody else has changed an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    count: u32,
    last: Option<Instant>,
}

impl Edits {
    /// When the next foreign edit may be put back. The wait doubles with each one, so that two writers do not fight at full speed.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let wait = match self.count.checked_sub(1)? {
            0 => FIRST_WAIT,
            more => doubled(FIRST_WAIT, more, LONGEST_WAIT),
        };
        self.last?.checked_add(wait)
    }

    /// Records that an edit is put back.
    pub fn add(&mut self, now: Instant) {
        let quiet = self.last.is_none_or(|last| now.saturating_duration_since(last) > QUIET);
        self.count = if quiet { 1 } else { self.count.saturating_add(1) };
        self.last = Some(now);
    }
}

impl Written {
    /// What the API server's answer to a write says.
    #[must_use]
    pub fn new(answer: &ObjectMeta, wanted: &Wanted, now: Instant) -> Self {
        Self {
            hash: Arc::clone(&wanted.hash),
            uid: answer.uid.clone().unwrap_or_default(),
            generation: answer.generation.unwrap_or_default(),
            version: version(answer),
            has_metadata: has_metadata(answer, wanted),
            seen: false,
            at: now,
        }
    }

    /// Whether this state of the object is older than the write: the watch lags behind.
    #[must_use]
    pub fn is_newer_than(&self, live: &ObjectMeta) -> bool {
        self.is_same_object(live) && version(live) < self.version
    }

    /// Whether it is the object that was written, and not another one of the same name.
    #[must_use]
    pub fn is_same_object(&self, live: &ObjectMeta) -> bool {
        live.uid.as_deref() == Some(self.uid.as_str())
    }
}

fn version(metadata: &ObjectMeta) -> Option<u64> {
    metadata.resource_version.as_deref()?.parse().ok()
}

impl Memory {
    /// The planned object with its hash, which is computed once. An owner that is gone leaves the object as it is: it will not be
    /// planned much longer.
    pub fn want(&mut self, planned: &Arc<Planned>, owner: Option<Owner>, gateways: Option<&Arc<str>>) -> Arc<Wanted> {
        let known = self.wanted.take();
        let owner = owner.or_else(|| known.as_ref().and_then(|known| known.owner.clone()));
        let same = known.filter(|known| Arc::ptr_eq(&known.planned, planned) && known.owner == owner);
        let wanted = same.unwrap_or_else(|| Arc::new(Wanted::new(planned, owner, gateways)));
        Arc::clone(self.wanted.insert(wanted))
    }

    /// Whether a route of this name belonged to somebody else when it was looked for.
    #[must_use]
    pub fn was_foreign_route(&self, key: &Key) -> bool {
        let is_foreign = |failed: &Failed| failed.failure.cause == Cause::Foreign;
        Stage::of_write(key.kind) == Stage::Routes && self.failed.as_ref().is_some_and(is_foreign)
    }

    /// Records a failed request.
    pub fn fail(&mut self, failure: Failure, hash: Option<Arc<str>>, now: Instant) -> Instant {
        let count = self.failed.as_ref().map_or(0, |failed| failed.count).saturating_add(1);
        let until = now.checked_add(failure.delay(count)).unwrap_or(now);
        self.failed = Some(Failed {
            failure,
            hash,
            count,
            until,
        });
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_writers_slow_down() {
        let mut edits = Edits::default();
        assert_eq!(edits.next(), None, "the first edit is put back at once");
        let mut waits = Vec::new();
        let mut now = Instant::now();
        for _ in 0..12 {
            edits.add(now);
            let next = edits.next().unwrap();
            waits.push(next.saturating_duration_since(now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        edits.add(now + QUIET + Duration::from_secs(1));
        assert_eq!(edits.count, 1);
    }
}
