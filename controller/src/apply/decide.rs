//! What to do about an object, from what is planned, what is in the cluster, and what was done before.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use super::{
    failure::Cause,
    marks::APPLIED_ANNOTATION,
    memory::{Memory, Written},
    ownership::{Ownership, annotation, has_metadata, intruder, lacks_fields, ownership},
    state::State,
    wanted::Wanted,
};

/// How long a watch may lag behind a write. An object that it does not show after that time is looked for.
const LAG: Duration = Duration::from_secs(5);

/// How long an object stays that the plan does not want. The watches of two kinds are not in step: an object that a user replaces by
/// deleting and creating it would otherwise take its sessions away for a moment.
pub const GRACE: Duration = Duration::from_secs(1);

/// What to do about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is as planned. It is to be looked at again at this time, if there is one.
    InPlace(Option<Instant>),
    /// Nothing now.
    Wait(State, Option<Instant>),
    /// Nobody knows whether it exists: ask.
    Look,
    /// Write it.
    Apply(Reason),
    /// Delete it, if it still has this unique id and resource version.
    Remove {
        /// The unique id.
        uid: String,
        /// The resource version.
        version: String,
    },
}

/// Why an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not exist.
    Missing,
    /// It is not what is planned.
    Changed,
    /// Somebody has changed it.
    Edited {
        /// The field manager, if it is known.
        by: Option<String>,
    },
    /// Somebody else applied it, and the user wants the controller to take it over.
    Adopted,
}

impl Reason {
    /// Whether the write overrides other field managers.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        *self != Self::Missing
    }
}

/// What is known about an object in the cluster.
#[derive(Clone, Copy, Debug)]
pub enum Live<'l> {
    /// The watch does not show it: it may not exist, or lack the label, or be too young.
    Unseen,
    /// The API server says that it does not exist.
    Absent,
    /// It exists.
    There(&'l ObjectMeta),
}

/// What to do about a wanted object.
#[must_use]
pub fn decide(wanted: &Wanted, live: Live, memory: &Memory, adopts: bool, now: Instant) -> Decision {
    if let Some(wait) = backoff(&wanted.hash, live, memory, now) {
        return wait;
    }
    match live {
        Live::Absent => absent(memory, now),
        Live::Unseen => unseen(&wanted.hash, memory.written.as_ref(), now),
        Live::There(metadata) => there(wanted, metadata, memory, adopts, now),
    }
}

/// Whether the last failure forbids another request now.
fn backoff(hash: &str, live: Live, memory: &Memory, now: Instant) -> Option<Decision> {
    let failed = memory.failed.as_ref().filter(|failed| failed.until > now)?;
    let is_other = failed.hash.as_deref().is_some_and(|failed| failed != hash);
    let holds = match failed.failure.cause {
        // Another object may be acceptable.
        Cause::Refused => !is_other,
        // The watch shows an object that has the label, so what it shows decides.
        Cause::Foreign => !matches!(live, Live::There(_)),
        _ => true,
    };
    holds.then(|| Decision::Wait(failed.failure.state(), Some(failed.until)))
}

fn unseen(hash: &str, written: Option<&Written>, now: Instant) -> Decision {
    let Some(written) = written.filter(|written| !written.seen) else {
        return Decision::Look;
    };
    let until = written.at.checked_add(LAG).unwrap_or(now);
    if until <= now {
        Decision::Look
    } else if *written.hash == *hash {
        Decision::InPlace(Some(until))
    } else {
        Decision::Apply(Reason::Changed)
    }
}

/// An object that is deleted again and again is created like one that is changed again and again.
fn absent(memory: &Memory, now: Instant) -> Decision {
    match memory.edits.next().filter(|next| *next > now) {
        Some(next) => {
            let why = "another writer deletes the object again and again".to_owned();
            Decision::Wait(State::Pending { why }, Some(next))
        }
        None => Decision::Apply(Reason::Missing),
    }
}

fn there(wanted: &Wanted, live: &ObjectMeta, memory: &Memory, adopts: bool, now: Instant) -> Decision {
    if live.deletion_timestamp.is_some() {
        let why = "the object is being deleted".to_owned();
        return Decision::Wait(State::Pending { why }, None);
    }
    let written = memory.written.as_ref().filter(|written| written.is_same_object(live));
    if let Some(written) = written.filter(|written| written.is_newer_than(live)) {
        return if written.hash == wanted.hash {
            Decision::InPlace(None)
        } else {
            Decision::Apply(Reason::Changed)
        };
    }
    match ownership(live) {
        Ownership::Own => own(wanted, live, written, memory, now),
        Ownership::Generated { .. } if adopts => Decision::Apply(Reason::Adopted),
        Ownership::Generated { by } | Ownership::Other { by } => Decision::Wait(State::Foreign { by }, None),
    }
}

fn own(wanted: &Wanted, live: &ObjectMeta, written: Option<&Written>, memory: &Memory, now: Instant) -> Decision {
    let applied = written.map_or_else(|| annotation(live, APPLIED_ANNOTATION), |written| Some(&written.hash));
    if applied != Some(&*wanted.hash) {
        return Decision::Apply(Reason::Changed);
    }
    let edited = match written {
        // The answer to the write is the reference: what a webhook changes in every write is no edit.
        Some(written) => {
            live.generation.unwrap_or_default() != written.generation
                || written.has_metadata && !has_metadata(live, wanted)
        }
        None => !has_metadata(live, wanted) || intruder(live).is_some() || lacks_fields(live, wanted),
    };
    if !edited {
        return Decision::InPlace(None);
    }
    match memory.edits.next().filter(|next| *next > now) {
        Some(next) => {
            let why = "somebody changes the object again and again".to_owned();
            Decision::Wait(State::Pending { why }, Some(next))
        }
        None => Decision::Apply(Reason::Edited { by: intruder(live) }),
    }
}

/// What to do about an object in the cluster that the plan does not want. None: it is none of the controller's, or being deleted.
#[must_use]
pub fn decide_removal(live: &ObjectMeta, memory: &Memory, now: Instant) -> Option<Decision> {
    let unwanted = memory.unwanted.filter(|_| live.deletion_timestamp.is_none())?;
    if let Some(failed) = memory.failed.as_ref().filter(|failed| failed.until > now) {
        return Some(Decision::Wait(failed.failure.state(), Some(failed.until)));
    }
    let due = unwanted.checked_add(GRACE).unwrap_or(now);
    if due > now {
        let why = "it is no longer needed and will be removed".to_owned();
        return Some(Decision::Wait(State::Pending { why }, Some(due)));
    }
    Some(Decision::Remove {
        uid: live.uid.clone()?,
        version: live.resource_version.clone()?,
    })
}

#[cfg(test)]
mod tests;
