//! The requests of a pass, in their order.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;
use tracing::info;

use super::{
    decide::{Decision, Live as Known, decide, decide_removal},
    job::Job,
    ledger::Ledger,
    options::Options,
    order::Stage,
    ownership::is_removable,
    server::Target,
    wanted::{Wanted, owner},
};
use crate::{
    key::Key,
    live::Objects,
    plan::{Plan, Planned},
};

/// A request that is to be sent.
#[derive(Debug)]
pub struct Task {
    /// Its place in the order.
    pub stage: Stage,
    /// The object.
    pub target: Target,
    /// The request.
    pub job: Job,
}

/// The requests of a pass, and when the next pass is due.
#[derive(Debug, Default)]
pub struct Agenda {
    /// The requests in their order.
    pub tasks: VecDeque<Task>,
    /// Whether a request waits for another object.
    pub holds: bool,
    next: Option<Instant>,
}

impl Agenda {
    /// Decides about all objects.
    pub fn new(plan: &Plan, live: &Objects, ledger: &mut Ledger, options: Options, now: Instant) -> Self {
        let mut agenda = Self::default();
        for planned in &plan.objects {
            agenda.want(planned, plan, live, ledger, options, now);
        }
        for (key, object) in live
            .generated
            .iter()
            .filter(|(key, _)| !plan.objects.contains_key(*key))
        {
            if plan.may_remove(key) {
                let api_version = object.types.as_ref().map(|types| types.api_version.clone());
                let target = Target {
                    key: key.clone(),
                    api_version: api_version.unwrap_or_default(),
                };
                let is_own = is_removable(&object.metadata, plan.gateways.as_deref());
                agenda.remove(target, &object.metadata, is_own, ledger, options, now);
            } else {
                ledger.memory(key).unwanted = None;
            }
        }
        ledger.forget(|key| !plan.objects.contains_key(key) && !live.generated.contains_key(key));
        let tasks = agenda.tasks.make_contiguous();
        tasks.sort_by(|one, other| (one.stage, &one.target.key).cmp(&(other.stage, &other.target.key)));
        agenda
    }

    /// Makes the next pass begin at this time at the latest.
    pub fn wake(&mut self, at: Option<Instant>) {
        self.next = [self.next, at].into_iter().flatten().min();
    }

    /// How long to wait before the next pass. None: until something changes.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.next.map(|next| next.saturating_duration_since(now))
    }

    fn want(
        &mut self,
        (key, planned): (&Key, &Arc<Planned>),
        plan: &Plan,
        live: &Objects,
        ledger: &mut Ledger,
        options: Options,
        now: Instant,
    ) {
        let memory = ledger.memory(key);
        memory.unwanted = None;
        if memory.in_flight {
            return;
        }
        let wanted = memory.want(planned, owner(key, &planned.output, live), plan.gateways.as_ref());
        if options.dry_run && memory.previewed.as_ref() == Some(&wanted.hash) {
            return;
        }
        let there = live.generated.get(key).map(|object| &object.metadata);
        if there.is_none() && memory.was_foreign_route(key) && !live.targets.contains_key(key) {
            // The watch shows the routes of all, and this one is gone.
            memory.failed = None;
        }
        if let (Some(there), Some(written)) = (there, memory.written.as_mut()) {
            written.seen |= written.is_same_object(there);
        }
        let known = there.map_or(Known::Unseen, Known::There);
        let decision = decide(&wanted, known, memory, options.adopts, now);
        let (task, next) = act(key, &wanted, decision, ledger, options);
        self.tasks.extend(task);
        self.wake(next);
    }

    fn remove(
        &mut self,
        target: Target,
        metadata: &ObjectMeta,
        is_own: bool,
        ledger: &mut Ledger,
        options: Options,
        now: Instant,
    ) {
        let memory = ledger.memory(&target.key);
        if memory.in_flight {
            return;
        }
        memory.unwanted = is_own.then(|| memory.unwanted.unwrap_or(now));
        match decide_removal(metadata, memory, now) {
            Some(Decision::Remove { .. }) if options.dry_run => {
                let hash: Arc<str> = "".into();
                if memory.previewed.replace(Arc::clone(&hash)) != Some(hash) {
                    info!(object = %target.key, "dry run: would be deleted");
                }
            }
            Some(Decision::Remove { uid, version }) => {
                ledger.expect(&target.key, "it is being removed");
                self.tasks.push_back(Task {
                    stage: Stage::of_removal(target.key.kind),
                    target,
                    job: Job::Remove { uid, version },
                });
            }
            Some(Decision::Wait(state, next)) => {
                ledger.differ(&target.key, state);
                self.wake(next);
            }
            _ => {}
        }
    }
}

/// The request that a decision about a wanted object leads to, and when the object is to be looked at again.
pub fn act(
    key: &Key,
    wanted: &Arc<Wanted>,
    decision: Decision,
    ledger: &mut Ledger,
    options: Options,
) -> (Option<Task>, Option<Instant>) {
    let task = |job| Task {
        stage: Stage::of_write(key.kind),
        target: Target {
            key: key.clone(),
            api_version: wanted.api_version().to_owned(),
        },
        job,
    };
    match decision {
        Decision::InPlace(next) => {
            ledger.settle(key);
            (None, next)
        }
        Decision::Wait(state, next) => {
            ledger.differ(key, state);
            (None, next)
        }
        Decision::Look => {
            ledger.expect(key, "it is being looked for");
            (Some(task(Job::Look)), None)
        }
        Decision::Apply(_) if options.dry_run => {
            ledger.expect(key, "dry run");
            let wanted = Arc::clone(wanted);
            (Some(task(Job::Preview { wanted })), None)
        }
        Decision::Apply(reason) => {
            ledger.expect(key, "it is being written");
            let wanted = Arc::clone(wanted);
            (Some(task(Job::Apply { wanted, reason })), None)
        }
        Decision::Remove { .. } => (None, None),
    }
}
