//! The loops of the controller: changes become plans, plans are applied, and what became of them is reported.
//!
//! Each loop takes the newest result of the one before it. So a slow API server delays what is written, but not what is known, and
//! nothing piles up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mooring_generator::status::{ObjectName, Outcome};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, block_in_place},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::debug;

use crate::{
    apply::{self, Applied, KubeServer, State, Writer},
    health::Pulse,
    key::Key,
    keys::{self, Keeper, LiveKeys},
    lease::Permit,
    live::Live,
    metrics::{Metrics, Stage},
    plan::{Plan, Planner},
    planned_policy::PlannedPolicy,
    status::{self, StatusWriter},
    transport::Transport,
    watch::{Change, WatchStates},
};

/// A plan is made when there was no change for this long.
const QUIET: Duration = Duration::from_millis(200);

/// A plan is made this long after the first change at the latest.
const LATEST: Duration = Duration::from_millis(500);

/// How long to wait for the first lists before looking again.
const LISTING: Duration = Duration::from_millis(100);

/// How long the writer waits for a plan if nothing is to be retried.
const IDLE: Duration = Duration::from_secs(3_600);

/// How long one plan may take.
const PLAN_STALLS: Duration = Duration::from_secs(300);

/// How often the status of policies is compared with what it should be, if nothing changes.
const LOOK: Duration = Duration::from_secs(10);

/// Makes a plan from each batch of changes, until the watches end.
pub async fn plan(
    mut changes: mpsc::Receiver<Change>,
    states: WatchStates,
    live: Live,
    mut planner: Planner,
    plans: watch::Sender<Option<Plan>>,
    pulse: Pulse,
    metrics: Metrics,
) {
    let mut weights = Arc::default();
    while let Some(change) = pulse.idle(changes.recv()).await {
        let latest = after(LATEST);
        note(&change, &live, &mut planner);
        loop {
            pulse.beat();
            let until = latest.min(after(QUIET));
            match timeout_at(until, changes.recv()).await {
                Ok(Some(change)) => note(&change, &live, &mut planner),
                Ok(None) => return,
                Err(_) if states.unlisted().is_empty() => break,
                // Nothing is planned before all kinds are known, even if there is no change meanwhile.
                Err(_) => sleep(LISTING).await,
            }
        }
        let began = Instant::now();
        // The other loops and the Lease go on meanwhile.
        let mut plan = block_in_place(|| planner.plan(began.into_std()));
        metrics.planned(began.elapsed());
        plan.allows_removal &= states.outdated().is_empty();
        debug!(objects = plan.objects.len(), "planned");
        if !Arc::ptr_eq(&weights, &plan.weights) {
            weights = Arc::clone(&plan.weights);
            metrics.weights(&weights);
        }
        plans.send_replace(Some(plan));
    }
}

fn note(change: &Change, live: &Live, planner: &mut Planner) {
    if let Change::Object { key, object } = change {
        live.lock().set(key, object.as_ref());
        planner.set(key, object.as_deref());
    }
}

/// Applies each plan while this replica leads, and retries what failed.
pub async fn apply(
    mut plans: watch::Receiver<Option<Plan>>,
    mut writer: Writer,
    applied: watch::Sender<Option<(Plan, Applied)>>,
    mut permit: Permit,
    pulse: Pulse,
    metrics: Metrics,
) {
    pulse.idle(permit.granted()).await;
    let mut retry = None;
    loop {
        let due = retry.unwrap_or_else(|| after(IDLE));
        let work = async {
            tokio::select! {
                changed = plans.changed() => changed.is_ok(),
                () = sleep_until(due) => true,
            }
        };
        if !pulse.idle(work).await {
            return;
        }
        let plan = plans.borrow_and_update().clone();
        let Some(plan) = plan else { continue };
        let outcome = writer.apply(&plan).await;
        retry = outcome.retry.map(after);
        measure(&metrics, &plan, &outcome);
        applied.send_replace(Some((plan, outcome)));
    }
}

/// Shows how far the cluster is what the plan wants.
fn measure(metrics: &Metrics, plan: &Plan, applied: &Applied) {
    let objects = count(plan.objects.keys().map(|key| key.kind.name));
    metrics.objects(&objects, applied.differing.len());
    let is_under_way = |state: &State| matches!(state, State::Pending { .. } | State::Failed { .. });
    if !applied.differing.values().any(is_under_way) {
        metrics.settled();
    }
    metrics.policies(&count(
        plan.policies
            .iter()
            .filter_map(|(key, policy)| Some((key.kind.name, state_of(policy, applied)?))),
    ));
    metrics.foreign_edits(&applied.restored);
    metrics.reconciled();
}

fn count<T: Ord>(all: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        let count: &mut usize = counts.entry(one).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// The state of a policy where it is best. None: the policy does not concern Mooring.
fn state_of(policy: &PlannedPolicy, applied: &Applied) -> Option<&'static str> {
    let best = policy.state.ancestors.values().min_by_key(|state| state.outcome)?;
    Some(match best.outcome {
        Outcome::Applies => {
            let differs = |key: &Key| {
                let names = |object: &ObjectName| {
                    object.kind == key.kind.name
                        && object.id.name == key.name()
                        && Some(object.id.namespace.as_str()) == key.namespace()
                };
                best.objects.iter().any(names)
            };
            if applied.differing.keys().any(differs) {
                "out-of-date"
            } else {
                "programmed"
            }
        }
        Outcome::Invalid => "invalid",
        Outcome::TargetNotFound => "target-not-found",
        Outcome::Conflicted => "conflicted",
        Outcome::Overridden => "overridden",
        Outcome::NoEffect => "no-effect",
    })
}

/// Reports what became of each plan. Looks again from time to time, because others may change what it wrote.
pub async fn report(mut applied: watch::Receiver<Option<(Plan, Applied)>>, mut status: StatusWriter, pulse: Pulse) {
    let mut again = None;
    loop {
        let due = after(again.unwrap_or(LOOK));
        let work = async {
            tokio::select! {
                changed = applied.changed() => changed.is_ok(),
                () = sleep_until(due) => true,
            }
        };
        if !pulse.idle(work).await {
            return;
        }
        let newest = applied.borrow_and_update().clone();
        if let Some((plan, outcome)) = newest {
            again = status.write(&plan, &outcome).await;
        }
    }
}

/// The instant after a pause.
fn after(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

/// Starts all loops.
#[must_use]
pub fn start(
    transport: &Transport,
    namespaces: &[String],
    planner: Planner,
    options: apply::Options,
    keys: &keys::Options,
    reports: &status::Options,
) -> (WatchStates, JoinSet<()>) {
    let live = Live::default();
    let metrics = transport.metrics();
    let (changes, states) = crate::watch::start(transport, namespaces);
    let (plan_sender, plan_receiver) = watch::channel(None);
    let (applied_sender, applied_receiver) = watch::channel(None);
    let mut tasks = JoinSet::new();
    let pulse = transport.health().part("loop of plan", PLAN_STALLS);
    tasks.spawn(plan(
        changes,
        states.clone(),
        live.clone(),
        planner,
        plan_sender,
        pulse,
        metrics.clone(),
    ));
    let (client, pulse) = transport.writer(Stage::Apply);
    tasks.spawn(apply(
        plan_receiver,
        Writer::new(KubeServer::new(client), live.clone(), options),
        applied_sender,
        transport.permit().clone(),
        pulse,
        metrics.clone(),
    ));
    let checked = keys
        .check_keys
        .then(|| -> Arc<dyn status::Keys> { Arc::new(LiveKeys::new(&live)) });
    let (client, pulse) = transport.writer(Stage::Status);
    tasks.spawn(report(
        applied_receiver,
        StatusWriter::new(client, live.clone(), reports, checked),
        pulse,
    ));
    let (client, pulse) = transport.writer(Stage::Keys);
    let keeper = Keeper::new(client, live, states.clone(), keys.clone());
    tasks.spawn(keeper.run(transport.permit().clone(), pulse));
    (states, tasks)
}
