//! The loop that creates Secrets with session keys, and rotates them when a user asks for it.
//!
//! It reads a Secret only to rotate it, and only those with the configured name that the pods of a gateway name. Roles can therefore name
//! them. A Secret is created without being read: if it exists, the API server refuses it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use mooring_generator::{
    cluster::chain,
    key_ring::{new_entry, secret},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::{
    lifetime::longest_lifetime,
    options::Options,
    rotation::{Next, Progress, State, Step, next},
    secret::KeySecret,
};
use crate::{
    health::Pulse,
    key::Key,
    lease::Permit,
    live::{Live, LivePods},
    pods::{KeySource, Pods, RING_ANNOTATION},
    watch::WatchStates,
};

/// How often the Secret of a namespace is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often it is while a rotation takes steps.
const INTERVAL_OF_STEPS: Duration = Duration::from_secs(1);

/// How long a Secret that exists is not created again. Somebody may have deleted it.
const CREATED: Duration = Duration::from_secs(300);

/// Creates and rotates Secrets.
pub struct Keeper {
    client: Client,
    live: Live,
    pods: LivePods,
    states: WatchStates,
    options: Options,
    recorder: Recorder,
    created: BTreeMap<String, Instant>,
    /// When the Secret of a namespace is looked at again.
    due: BTreeMap<String, Instant>,
    /// What was logged last about each Secret.
    told: BTreeMap<String, String>,
}

/// Why a step is not taken.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error(transparent)]
    Request(#[from] kube::Error),
    #[error("the Secret is not usable: {0}")]
    Secret(String),
}

impl Keeper {
    /// A keeper that has done nothing.
    #[must_use]
    pub fn new(client: Client, live: Live, states: WatchStates, options: Options) -> Self {
        let reporter = Reporter {
            controller: "mooring.dev/controller".to_owned(),
            instance: None,
        };
        let pods = live.lock().pods.clone();
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            pods,
            live,
            states,
            options,
            created: BTreeMap::new(),
            due: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Works while this replica leads.
    pub async fn run(mut self, mut permit: Permit, pulse: Pulse) {
        if !self.options.create_keys && !self.options.rotate_keys {
            return pulse.idle(std::future::pending()).await;
        }
        pulse.idle(permit.granted()).await;
        loop {
            pulse.idle(sleep(INTERVAL_OF_STEPS)).await;
            // Pods that are not known must not lose their sessions.
            let unknown = [self.states.unlisted(), self.states.outdated()].concat();
            if !unknown.is_empty() {
                debug!(?unknown, "does not look at the Secrets with session keys");
                continue;
            }
            for namespace in self.namespaces_due() {
                debug!(namespace, "looks at the Secret with session keys");
                let pause = match self.keep(&namespace).await {
                    Ok(true) => INTERVAL_OF_STEPS,
                    Ok(false) => INTERVAL,
                    Err(obstacle) => {
                        self.tell(&namespace, &obstacle.to_string());
                        INTERVAL
                    }
                };
                if let Some(due) = Instant::now().checked_add(pause) {
                    self.due.insert(namespace, due);
                }
            }
        }
    }

    /// The namespaces whose Secret is to be looked at now.
    fn namespaces_due(&mut self) -> BTreeSet<String> {
        let mut namespaces = self.namespaces();
        let now = Instant::now();
        self.due
            .retain(|namespace, due| namespaces.contains(namespace) && *due > now);
        namespaces.retain(|namespace| !self.due.contains_key(namespace));
        namespaces
    }

    /// The namespaces with pods that name the Secret.
    fn namespaces(&self) -> BTreeSet<String> {
        let live = self.pods.lock();
        let named = live.iter().filter(|(_, pods)| self.is_used_by(pods));
        named
            .filter_map(|(key, _)| key.namespace().map(str::to_owned))
            .collect()
    }

    fn is_used_by(&self, pods: &Pods) -> bool {
        matches!(&pods.keys, KeySource::Secret(name) if *name == self.options.keys_secret)
    }

    /// The pods of a namespace that name the Secret.
    fn pods(&self, namespace: &str) -> Vec<(Key, Pods)> {
        let live = self.pods.lock();
        let named = live
            .iter()
            .filter(|(key, pods)| key.namespace() == Some(namespace) && self.is_used_by(pods));
        named.map(|(key, pods)| (key.clone(), (**pods).clone())).collect()
    }

    /// Whether a rotation takes steps.
    async fn keep(&mut self, namespace: &str) -> Result<bool, Obstacle> {
        if self.options.create_keys {
            self.create(namespace).await?;
        }
        if self.options.rotate_keys {
            return self.rotate(namespace).await;
        }
        Ok(false)
    }

    async fn create(&mut self, namespace: &str) -> Result<(), Obstacle> {
        let now = Instant::now();
        let recently = |at: &Instant| now.saturating_duration_since(*at) < CREATED;
        if self.created.get(namespace).is_some_and(recently) {
            return Ok(());
        }
        let entry = new_entry(Some(1), &[]).map_err(|error| Obstacle::Secret(error.to_string()))?;
        let manifest = secret(namespace, &self.options.keys_secret, &entry.reveal()).value;
        let object = serde_json::from_value(manifest).map_err(kube::Error::SerdeError)?;
        match self.secrets(namespace).create(&PostParams::default(), &object).await {
            Ok(_) => info!(
                namespace,
                secret = self.options.keys_secret,
                "created a Secret with session keys"
            ),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
        self.created.insert(namespace.to_owned(), now);
        Ok(())
    }

    fn secrets(&self, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Takes the next step of a rotation, if one is asked for. Returns whether another one can follow soon.
    async fn rotate(&mut self, namespace: &str) -> Result<bool, Obstacle> {
        let Some(object) = self.secrets(namespace).get_opt(&self.options.keys_secret).await? else {
            return Ok(false);
        };
        let key_secret = KeySecret::new(&object).map_err(Obstacle::Secret)?;
        let pods = self.pods(namespace);
        let progress = key_secret.progress();
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let ids = key_secret.ids();
        let state = State {
            request: key_secret.request(),
            progress: progress.as_ref(),
            at_once: key_secret.at_once(),
            ring: &ids,
            pods: &pods,
            lifetime: longest_lifetime(namespace, &self.live.lock()),
            now,
        };
        let step = next(state);
        let goes_on = !matches!(step, Next::Nothing | Next::AwaitExpiry(_));
        self.take(namespace, step, key_secret, progress, &ids, now, &object.metadata)
            .await?;
        Ok(goes_on)
    }

    #[expect(clippy::too_many_arguments, reason = "what is known about one Secret")]
    async fn take(
        &mut self,
        namespace: &str,
        step: Next,
        mut secret: KeySecret,
        progress: Option<Progress>,
        ids: &str,
        now: u64,
        metadata: &ObjectMeta,
    ) -> Result<(), Obstacle> {
        let progress = match (step, progress) {
            (Next::Append, _) => {
                let request = secret.request().unwrap_or_default().to_owned();
                secret.append(&request).map_err(Obstacle::Secret)?
            }
            (Next::Promote, Some(progress)) => {
                secret.promote(&progress).map_err(Obstacle::Secret)?;
                Progress {
                    step: Step::Promoted,
                    ..progress
                }
            }
            (Next::Expire, Some(progress)) => Progress {
                step: Step::Expiring,
                since: Some(now),
                ..progress
            },
            (Next::Remove, Some(progress)) => {
                secret.remove_others(&progress).map_err(Obstacle::Secret)?;
                Progress {
                    step: Step::Removed,
                    ..progress
                }
            }
            (Next::Finish, Some(progress)) => Progress {
                step: Step::Done,
                ..progress
            },
            (Next::RollOut(outdated), _) => return self.roll_out(&outdated, ids).await,
            (Next::AwaitRollout(rolling), _) => {
                let names: Vec<String> = rolling.iter().map(ToString::to_string).collect();
                self.tell(namespace, &format!("waits for the rollout of {}", names.join(", ")));
                return Ok(());
            }
            (Next::AwaitExpiry(None), _) => {
                self.tell(
                    namespace,
                    "sessions without a timeout keep their tokens: the old keys stay until a user removes them",
                );
                return Ok(());
            }
            _ => return Ok(()),
        };
        let name = self.options.keys_secret.clone();
        let object = secret.changed(&progress).map_err(Obstacle::Secret)?;
        let params = PostParams {
            field_manager: Some("mooring".to_owned()),
            ..PostParams::default()
        };
        self.secrets(namespace).replace(&name, &params, &object).await?;
        let note = format!("key {}: {}", progress.key, progress.step);
        self.tell(namespace, &note);
        self.publish(metadata, note).await;
        Ok(())
    }

    /// Gives pods an annotation with the IDs of the ring, which replaces them as `kubectl rollout restart` does.
    async fn roll_out(&self, outdated: &[Key], ids: &str) -> Result<(), Obstacle> {
        let patch: Value =
            json!({ "spec": { "template": { "metadata": { "annotations": { RING_ANNOTATION: ids } } } } });
        let params = PatchParams {
            field_manager: Some("mooring-keys".to_owned()),
            ..PatchParams::default()
        };
        for key in outdated {
            let kind = GroupVersionKind::gvk(key.kind.group, "v1", key.kind.name);
            let resource = ApiResource::from_gvk(&kind);
            let namespace = key.namespace().unwrap_or_default();
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            api.patch(key.name(), &params, &Patch::Merge(&patch)).await?;
            info!(object = %key, ring = ids, "its pods are replaced, so that they get the ring");
        }
        Ok(())
    }

    /// Logs news about a Secret.
    fn tell(&mut self, namespace: &str, text: &str) {
        let told = self.told.insert(namespace.to_owned(), text.to_owned());
        if told.as_deref() != Some(text) {
            warn!(namespace, secret = self.options.keys_secret, "session keys: {text}");
        }
    }

    /// Tells about a step in an event of the Secret. A failure costs the event only.
    async fn publish(&self, metadata: &ObjectMeta, note: String) {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Secret".to_owned()),
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: EventType::Normal,
            reason: "KeyRotation".to_owned(),
            note: Some(note),
            action: "Rotate".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &about).await {
            warn!(error = chain(&error), "cannot write an event about session keys");
        }
    }
}
