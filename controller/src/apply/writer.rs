//! Brings the cluster to what is planned, one pass after the other.
//!
//! A pass decides about every object from the newest plan and the newest state of the cluster, so there is no queue that could grow.
//! It sends a bounded number of requests at a time. A slow request does not hold up the loop: its answer is collected by a later pass.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mooring_generator::cluster::{FILTERS, PLUGINS};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout_at},
};
use tracing::{info, warn};

use super::{
    agenda::{Agenda, Task, act},
    decide::{Decision, Live as Known, Reason, decide},
    failure::{Cause, Failure, doubled},
    job::{Done, Job},
    ledger::Ledger,
    memory::Written,
    options::Options,
    order::Stage,
    server::{KubeServer, Server, Target},
    state::{Applied, State},
    wanted::Wanted,
};
use crate::{
    key::Key,
    live::Live,
    owner::owners,
    plan::{Plan, Planned},
};

/// How many requests are sent at a time.
const PARALLEL: usize = 16;

/// How long a pass takes at most. Then the loop of the controller goes on, and what is left over is for the next pass.
const PASS: Duration = Duration::from_secs(2);

/// The wait before the next pass while something is left over.
const SOON: Duration = Duration::from_millis(200);

/// The waits while the API server cannot be reached.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Writes planned objects.
#[derive(Debug)]
pub struct Writer<S = KubeServer> {
    server: S,
    live: Live,
    options: Options,
    ledger: Ledger,
    requests: JoinSet<(Job, Done)>,
    sent: HashMap<Id, Sent>,
    restored: BTreeMap<String, u64>,
    unreachable: u32,
    paused: Option<Instant>,
    /// When an object is to be looked at again that the watch does not show, or that changed on its way.
    look_again: Option<Instant>,
    /// Whether an object was written or removed in this pass.
    has_done: bool,
}

/// A request on its way.
#[derive(Debug)]
struct Sent {
    target: Target,
    stage: Stage,
    /// Whether later stages wait for it. They do not wait for a request that is repeated.
    is_first: bool,
}

impl<S: Server> Writer<S> {
    /// A writer that has not written anything.
    #[must_use]
    pub fn new(server: S, live: Live, options: Options) -> Self {
        Self {
            server,
            live,
            options,
            ledger: Ledger::default(),
            requests: JoinSet::new(),
            sent: HashMap::new(),
            restored: BTreeMap::new(),
            unreachable: 0,
            paused: None,
            look_again: None,
            has_done: false,
        }
    }

    /// Writes what differs from the plan, and removes what it does not want.
    pub async fn apply(&mut self, plan: &Plan) -> Applied {
        let deadline = after(PASS);
        while let Some(joined) = self.requests.try_join_next_with_id() {
            self.collect(joined, plan);
        }
        self.has_done = false;
        let now = Instant::now();
        let mut agenda = Agenda::new(plan, &self.live.lock(), &mut self.ledger, self.options, now);
        loop {
            self.start(&mut agenda, plan);
            if self.requests.is_empty() {
                break;
            }
            match timeout_at(deadline, self.requests.join_next_with_id()).await {
                Ok(Some(joined)) => {
                    if let Some(task) = self.collect(joined, plan) {
                        agenda.tasks.push_front(task);
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
        self.finish(agenda)
    }

    fn finish(&mut self, mut agenda: Agenda) -> Applied {
        // What a task waited for may have been done after it was its turn.
        if !agenda.tasks.is_empty() || !self.requests.is_empty() || agenda.holds && self.has_done {
            agenda.wake(Some(after(SOON)));
        }
        // What is due already waits for something else, such as an answer of the API server.
        let now = Instant::now();
        agenda.wake(self.look_again.take());
        let failed = self.ledger.memories().filter_map(|(_, memory)| memory.failed.as_ref());
        agenda.wake(failed.map(|failed| failed.until).filter(|until| *until > now).min());
        Applied {
            differing: Arc::new(self.ledger.differing().clone()),
            restored: self.restored.clone(),
            retry: agenda.wait(now),
        }
    }

    /// Sends as many requests as may be sent now.
    fn start(&mut self, agenda: &mut Agenda, plan: &Plan) {
        if let Some(paused) = self.paused.filter(|paused| *paused > Instant::now()) {
            agenda.tasks.clear();
            agenda.wake(Some(paused));
        }
        while self.requests.len() < PARALLEL {
            let Some(task) = agenda.tasks.front() else { return };
            let earlier = |sent: &Sent| sent.is_first && sent.stage < task.stage;
            if self.sent.values().any(earlier) {
                return;
            }
            let Some(task) = agenda.tasks.pop_front() else { return };
            match self.obstacle(&task, plan) {
                // What it waits for is repeated, and then a pass decides again.
                Some(why) => {
                    self.ledger.differ(&task.target.key, State::Pending { why });
                    agenda.holds = true;
                }
                None => self.send(task),
            }
        }
    }

    fn send(&mut self, task: Task) {
        let Task { stage, target, job } = task;
        let memory = self.ledger.memory(&target.key);
        memory.in_flight = true;
        let is_first = memory.failed.is_none();
        let (server, to) = (self.server.clone(), target.clone());
        let request = async move {
            let done = job.clone().run(server, to).await;
            (job, done)
        };
        let id = self.requests.spawn(request).id();
        self.sent.insert(
            id,
            Sent {
                target,
                stage,
                is_first,
            },
        );
    }

    /// Why an object must not be written or removed yet: what protects it is not there, or what uses it still is.
    fn obstacle(&self, task: &Task, plan: &Plan) -> Option<String> {
        let key = &task.target.key;
        match (task.stage, &task.job) {
            // It may pass patches to the new one: `mooring_generator::emit::istio::envoy_filters`.
            (
                Stage::Filters,
                Job::Apply {
                    reason: Reason::Changed,
                    ..
                },
            ) => {
                let this = plan.objects.get(key)?;
                let live = self.live.lock();
                let filter = self.outdated_filters(plan).find(|(filter, planned)| {
                    !live.generated.contains_key(*filter) && share_proxies((*filter, *planned), (key, this))
                });
                filter.map(|(filter, _)| format!("it waits for {filter}"))
            }
            (
                Stage::Plugins,
                Job::Apply {
                    reason: Reason::Missing,
                    ..
                },
            ) => {
                let plugin = plan.objects.get(key)?;
                let mut filters = self.outdated_filters(plan);
                let filter = filters.find(|filter| share_proxies(*filter, (key, plugin)));
                filter.map(|(filter, _)| format!("it waits for {filter}"))
            }
            // The watch does not show it, so it is new.
            (
                Stage::Routes,
                Job::Look
                | Job::Apply {
                    reason: Reason::Missing,
                    ..
                },
            ) if !self.options.dry_run => {
                let route = plan.objects.get(key)?;
                let filter = self.outdated_filters(plan).find(|filter| {
                    let mut plugins = plan.of_kind(&PLUGINS);
                    plugins.any(|plugin| share_proxies(*filter, plugin) && plugin.1.has_rule_of(route))
                });
                filter.map(|(filter, _)| format!("it waits for {filter}"))
            }
            (Stage::RemoveFilters, _) => {
                let mut removals = self.ledger.memories().filter(|(other, memory)| {
                    let uses = match Stage::of_write(other.kind) {
                        Stage::Plugins => other.namespace() == key.namespace(),
                        // It may be on a Gateway of any namespace.
                        stage => stage == Stage::Routes,
                    };
                    uses && memory.unwanted.is_some()
                });
                removals
                    .next()
                    .map(|(other, _)| format!("it waits until {other} is removed"))
            }
            _ => None,
        }
    }

    /// The planned `EnvoyFilter`s that are not in the cluster as planned.
    fn outdated_filters<'p>(&'p self, plan: &'p Plan) -> impl Iterator<Item = (&'p Key, &'p Planned)> {
        plan.of_kind(&FILTERS)
            .filter(|(filter, _)| self.ledger.differing().contains_key(*filter))
    }

    /// Records the result of a request. Returns the request that it leads to.
    fn collect(&mut self, joined: Result<(Id, (Job, Done)), JoinError>, plan: &Plan) -> Option<Task> {
        let (id, result) = match joined {
            Ok((id, result)) => (id, Some(result)),
            Err(error) => (error.id(), None),
        };
        let Sent { target, .. } = self.sent.remove(&id)?;
        let key = &target.key;
        self.ledger.memory(key).in_flight = false;
        let (job, done) = result?;
        let now = Instant::now();
        match done {
            Done::Failed(failure) => {
                self.pause(&failure, now);
                self.ledger.fail(key, failure, job.hash(), now);
                return None;
            }
            Done::Looked(found) => {
                self.answered();
                let wanted = plan.objects.get(key).and(self.ledger.memory(key).wanted.clone())?;
                return self.looked(key, &wanted, found.as_deref(), now);
            }
            Done::Written(metadata) => {
                self.has_done = true;
                self.written(key, &job, &metadata, plan, now);
            }
            Done::Removed => {
                self.has_done = true;
                info!(object = %key, "removed");
                self.ledger.remove(key);
                self.look_again = plan.objects.get(key).map(|_| now).or(self.look_again);
            }
            Done::Previewed(diff) => {
                self.ledger.memory(key).previewed = job.hash();
                if !diff.is_empty() {
                    info!(object = %key, "dry run: would be written:\n{diff}");
                }
            }
        }
        self.answered();
        None
    }

    /// Decides about an object that the watch does not show.
    fn looked(&mut self, key: &Key, wanted: &Arc<Wanted>, found: Option<&ObjectMeta>, now: Instant) -> Option<Task> {
        let known = found.map_or(Known::Absent, Known::There);
        let decision = decide(wanted, known, self.ledger.memory(key), self.options.adopts, now);
        if let Decision::Wait(state, None) = decision {
            // The watch will not show a change of it, so it is looked for again.
            let (cause, message) = match state {
                State::Foreign { by } => (Cause::Foreign, by),
                other => (Cause::Conflict, other.to_string()),
            };
            self.ledger.fail(key, Failure { cause, message }, None, now);
            return None;
        }
        let (task, next) = act(key, wanted, decision, &mut self.ledger, self.options);
        self.look_again = [self.look_again, next].into_iter().flatten().min();
        task
    }

    fn written(&mut self, key: &Key, job: &Job, metadata: &ObjectMeta, plan: &Plan, now: Instant) {
        let Job::Apply { wanted, reason } = job else { return };
        let memory = self.ledger.memory(key);
        let before = memory.written.replace(Written::new(metadata, wanted, now));
        match reason {
            Reason::Missing => {
                if before.is_some() {
                    memory.edits.add(now);
                }
                info!(object = %key, "created");
            }
            Reason::Changed => info!(object = %key, "updated"),
            Reason::Adopted => info!(object = %key, "taken over"),
            Reason::Edited { by } => {
                memory.edits.add(now);
                let restored = self.restored.entry(key.kind.name.to_owned()).or_default();
                *restored = restored.saturating_add(1);
                let by = by.as_deref().unwrap_or("somebody");
                warn!(object = %key, by, "changed by another writer, and put back");
            }
        }
        let planned = plan.objects.get(key);
        if planned.is_some_and(|planned| Arc::ptr_eq(planned, &wanted.planned)) {
            self.ledger.settle(key);
        } else {
            // The plan has changed while the request was on its way, so the next pass decides.
            self.look_again = Some(now);
        }
    }

    /// The API server has answered.
    fn answered(&mut self) {
        self.unreachable = 0;
        self.paused = None;
    }

    /// Waits with all requests if the API server cannot be reached.
    fn pause(&mut self, failure: &Failure, now: Instant) {
        if failure.cause != Cause::Unreachable {
            return self.answered();
        }
        // The requests that were on their way together count once.
        if self.paused.is_none_or(|paused| paused <= now) {
            let pause = doubled(FIRST_PAUSE, self.unreachable, LONGEST_PAUSE);
            self.unreachable = self.unreachable.saturating_add(1);
            self.paused = now.checked_add(pause);
        }
    }
}

/// Whether two generated objects are for the same proxies: those of the same Gateways, or else of callers or of a selector.
fn share_proxies(one: (&Key, &Planned), other: (&Key, &Planned)) -> bool {
    let namespace = one.0.namespace();
    let proxies = |planned: &Planned| owners(namespace.unwrap_or_default(), &planned.output.value);
    namespace == other.0.namespace() && proxies(one.1) == proxies(other.1)
}

/// The instant after a time.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

#[cfg(test)]
mod tests;
