//! Writes what differs from the cluster, a bounded number of requests at a time.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, core::DynamicObject};
use mooring_generator::cluster::chain;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    entry::{Entry, Keys, entries, has_summary},
    memory::Memory,
    merge::{Author, merged, without_room},
    notice::{Due, Told, seen_again},
    options::Options,
    request::{self, Outcome},
};
use crate::{
    apply::{Applied, State},
    key::Key,
    live::{Live, Objects},
    owner::owners,
    plan::Plan,
    planned_policy::PlannedPolicy,
    transport::TransportError,
};

/// How many requests are in flight at most.
const CONCURRENCY: usize = 8;

/// How many statuses are written before the time is looked at.
const BATCH: usize = 64;

/// How long a pass writes statuses. The next pass continues, with the newest plan.
const PASS: Duration = Duration::from_secs(1);

/// How many events a pass writes.
const MAX_EVENTS: usize = 50;

/// How often a write that met a change of others is tried again in a pass.
const ATTEMPTS: usize = 3;

/// How long to wait before the next pass if something failed.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the status of policies, and events.
pub struct StatusWriter {
    client: Client,
    live: Live,
    controller: String,
    instance: String,
    keys: Option<Arc<dyn Keys>>,
    memory: Memory,
    told: Told,
}

/// A status to write.
struct Draft {
    policy: Key,
    planned: Arc<PlannedPolicy>,
    /// The object as the watch has it.
    watched: Arc<DynamicObject>,
    /// The object with its newest known status.
    object: Arc<DynamicObject>,
    entries: Vec<Entry>,
}

impl StatusWriter {
    /// A writer that has not written anything yet.
    #[must_use]
    pub fn new(client: Client, live: Live, options: &Options, keys: Option<Arc<dyn Keys>>) -> Self {
        let pod = ["POD_NAME", "HOSTNAME"]
            .iter()
            .find_map(|name| std::env::var(name).ok());
        let instance = pod.unwrap_or_else(|| options.controller_name.clone());
        Self {
            client,
            live,
            controller: options.controller_name.clone(),
            instance,
            keys,
            memory: Memory::default(),
            told: Told::default(),
        }
    }

    /// Writes what differs from the cluster. Returns how long to wait before the next pass if nothing changes until then. `None`:
    /// everything is written.
    pub async fn write(&mut self, plan: &Plan, applied: &Applied) -> Option<Duration> {
        let mut retry = self.write_status(plan, applied).await;
        let due = self.due(plan, applied);
        let more = self.write_events(&due).await;
        if more {
            retry = Some(retry.map_or(PASS, |pause| pause.min(PASS)));
        }
        retry
    }

    async fn write_status(&mut self, plan: &Plan, applied: &Applied) -> Option<Duration> {
        let began = Instant::now();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (drafts, mut retry) = self.drafts(plan, applied, began, &now);
        let mut failure: Option<(usize, kube::Error)> = None;
        for batch in drafts.chunks(BATCH) {
            if began.elapsed() > PASS {
                retry = Some(Duration::ZERO);
                break;
            }
            let (client, controller, now) = (&self.client, &self.controller, &now);
            let mut requests = Vec::new();
            for draft in batch {
                requests.push(async move { (draft, draft.write(client, controller, now).await) });
            }
            let outcomes: Vec<(&Draft, Outcome)> = stream::iter(requests).buffer_unordered(CONCURRENCY).collect().await;
            for (draft, outcome) in outcomes {
                if let Some(error) = self.note(draft, outcome) {
                    retry = Some(RETRY);
                    failure = Some(match failure {
                        Some((count, first)) => (count.saturating_add(1), first),
                        None => (1, error),
                    });
                }
            }
        }
        match failure {
            Some((policies, error)) if is_not_leading(&error) => debug!(policies, "the status is not written: {error}"),
            Some((policies, error)) => warn!(policies, error = chain(&error), "cannot write the status of policies"),
            None => {}
        }
        retry
    }

    /// The statuses that differ from the cluster, and how long to wait for those that are left alone.
    fn drafts(&mut self, plan: &Plan, applied: &Applied, now: Instant, text: &str) -> (Vec<Draft>, Option<Duration>) {
        let live = self.live.clone();
        let live = live.lock();
        self.memory.retain(|policy| live.policies.contains_key(policy));
        let keys = self.keys.as_deref();
        // Otherwise the same plan and object may need another status.
        let settles = applied.differing.is_empty() && keys.is_none();
        let mut drafts = Vec::new();
        let mut retry = None;
        for (policy, watched) in &live.policies {
            let Some(planned) = plan.policies.get(policy) else {
                continue;
            };
            let object = self.memory.newest(policy, watched);
            if settles && self.memory.is_settled(policy, planned, &object) {
                continue;
            }
            // The watch has a change that is not planned yet.
            let metadata = &watched.metadata;
            if metadata.generation != planned.generation || metadata.uid != planned.uid {
                continue;
            }
            if self.memory.is_paused(policy, now) {
                retry = Some(RETRY);
                continue;
            }
            let value = serde_json::to_value(&*object).unwrap_or_default();
            let draft = Draft {
                policy: policy.clone(),
                planned: planned.clone(),
                watched: watched.clone(),
                entries: entries(&planned.state, &value, applied, keys),
                object,
            };
            if draft.status(&draft.object, &self.controller, text).is_some() {
                drafts.push(draft);
            } else if settles {
                self.memory.settle(policy, planned, &draft.object);
            }
        }
        (drafts, retry)
    }

    /// Notes what became of a status. Returns an error that is worth a line in the log.
    fn note(&mut self, draft: &Draft, outcome: Outcome) -> Option<kube::Error> {
        let policy = &draft.policy;
        match outcome {
            Outcome::Written(object) => {
                self.memory.has_status(policy);
                self.memory.write(policy, &draft.watched, *object);
                let lacking = without_room(draft.object.data.get("status"), &draft.entries, &self.controller);
                if lacking > 0 {
                    warn!(%policy, lacking, "the status has no room for all Gateways of the policy");
                }
            }
            // The watch will say so.
            Outcome::Gone | Outcome::Conflict => self.memory.pause(policy, Instant::now()),
            Outcome::NoStatus => {
                if self.memory.pause_kind(policy, Instant::now()) {
                    warn!(
                        kind = policy.kind.name,
                        "the definition of this kind has no status subresource, so the state of its policies is only in events; \
                         for CanaryPolicy, apply the definition again: mooring crds | kubectl apply --server-side -f -"
                    );
                }
            }
            Outcome::Failed(error) => {
                self.memory.pause(policy, Instant::now());
                return Some(error);
            }
        }
        None
    }

    /// All events that are due: findings about objects, and generated objects that cannot be applied.
    fn due(&self, plan: &Plan, applied: &Applied) -> Vec<Due> {
        let live = self.live.lock();
        let findings = plan.notices.iter().flat_map(|(object, notices)| {
            let subject = subject(object, &live);
            let notices = notices.iter();
            notices.filter_map(move |notice| Some(subject.clone()?.due(notice.code.name(), notice.text.clone())))
        });
        let objects = applied.differing.iter().filter_map(|(object, state)| {
            let reason = match state {
                State::Foreign { .. } => "Foreign",
                State::Refused { .. } => "Refused",
                State::Applied | State::Pending { .. } | State::Failed { .. } => return None,
            };
            let owner = owners(object.namespace()?, &plan.objects.get(object)?.output.value)
                .into_iter()
                .next()?;
            Some(subject(&owner, &live)?.due(reason, format!("{object}: {state}")))
        });
        findings.chain(objects).collect()
    }

    /// Writes events. Returns whether there are more.
    async fn write_events(&mut self, due: &[Due]) -> bool {
        let news = self.told.news(due);
        let more = news.len() > MAX_EVENTS;
        let now = Timestamp::now();
        let (client, controller, instance) = (&self.client, &self.controller, &self.instance);
        let mut requests = Vec::new();
        for one in news.into_iter().take(MAX_EVENTS) {
            requests.push(async move {
                let event = one.event(controller, instance, now);
                (one, request::tell(client, &event, &seen_again(now)).await)
            });
        }
        let told: Vec<(&Due, Result<(), kube::Error>)> =
            stream::iter(requests).buffer_unordered(CONCURRENCY).collect().await;
        for (one, result) in told {
            match result {
                Ok(()) => self.told.add(one),
                // An answer will be the same next time: the namespace ends, or events are forbidden.
                Err(kube::Error::Api(error)) => {
                    debug!(object = %one.object, %error, "cannot write an event");
                    self.told.add(one);
                }
                Err(error) => debug!(object = %one.object, %error, "cannot write an event"),
            }
        }
        more
    }
}

impl Draft {
    /// What to write into the status of an object.
    fn status(&self, object: &DynamicObject, controller: &str, now: &str) -> Option<Value> {
        let author = Author {
            controller,
            generation: self.planned.generation,
            now,
        };
        let summary = has_summary(self.policy.kind);
        merged(object.data.get("status"), &self.entries, author, summary)
    }

    /// Writes the status. If others have changed the status meanwhile, tries again with theirs.
    async fn write(&self, client: &Client, controller: &str, now: &str) -> Outcome {
        let mut object = self.object.clone();
        for _ in 0..ATTEMPTS {
            let Some(status) = self.status(&object, controller, now) else {
                return Outcome::Written(Box::new((*object).clone()));
            };
            match request::write(client, &self.policy, &object, &status).await {
                Outcome::Conflict => {}
                outcome => return outcome,
            }
            object = match request::api(client, &self.policy, &self.object)
                .get_opt(self.policy.name())
                .await
            {
                Ok(Some(current)) => Arc::new(current),
                Ok(None) => return Outcome::Gone,
                Err(error) => return Outcome::Failed(error),
            };
            if (&object.metadata.uid, object.metadata.generation) != (&self.planned.uid, self.planned.generation) {
                break;
            }
        }
        Outcome::Conflict
    }
}

/// An object that an event is about.
#[derive(Clone)]
struct Subject {
    object: Key,
    api_version: String,
    uid: String,
    generation: Option<i64>,
}

impl Subject {
    fn due(self, reason: &'static str, note: String) -> Due {
        let Self {
            object,
            api_version,
            uid,
            generation,
        } = self;
        Due {
            object,
            api_version,
            uid,
            generation,
            reason,
            note,
        }
    }
}

fn subject(object: &Key, live: &Objects) -> Option<Subject> {
    let of_policy = || {
        let policy = live.policies.get(object)?;
        Some(Subject {
            object: object.clone(),
            api_version: policy.types.as_ref()?.api_version.clone(),
            uid: policy.metadata.uid.clone()?,
            generation: policy.metadata.generation,
        })
    };
    let of_target = || {
        let target = live.targets.get(object)?;
        Some(Subject {
            object: object.clone(),
            api_version: target.api_version.clone(),
            uid: target.uid.clone(),
            generation: target.generation,
        })
    };
    of_policy().or_else(of_target)
}

fn is_not_leading(error: &kube::Error) -> bool {
    let kube::Error::Service(cause) = error else {
        return false;
    };
    matches!(cause.downcast_ref::<TransportError>(), Some(TransportError::NotLeading))
}
