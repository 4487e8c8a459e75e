//! Watches every kind that the generator reads, and the controller's own objects.
//!
//! A kind is watched in the first of its versions that the server has. A kind that the server does not have is looked for again
//! until it is there. The objects of a list replace the known ones only when the list is complete, so a list that fails, or an API
//! server that is away, removes nothing.

use std::{collections::BTreeSet, convert::Infallible, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta},
    discovery::pinned_kind,
    runtime::watcher,
};
use mooring_generator::{
    cluster::{FILTERS, PLUGINS, chain},
    kind::{Kind, KnownKind},
    labels::MANAGED_BY,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::{debug, info, warn};

use crate::{
    key::{Key, KindName, watched_kinds},
    live::is_generated,
    transport::Transport,
};

mod state;
#[cfg(test)]
mod tests;

pub use state::{KindState, WatchStates};

/// How long a kind that the server does not have is not looked for.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(5);

/// How long a watch that failed waits before it lists again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Watches that end sooner than this, one after the other, wait longer and longer: each one lists everything.
const STEADY: Duration = Duration::from_secs(5);

/// How many changes wait for the planner at most. Then the watches wait.
const QUEUE: usize = 1_024;

/// A change of what is known about the cluster.
#[derive(Debug)]
pub enum Change {
    /// An object was added, changed or deleted.
    Object {
        /// The object.
        key: Key,
        /// Its new state. None: it was deleted.
        object: Option<Arc<DynamicObject>>,
    },
    /// A list is complete, so its kind is current, even if no object has changed.
    Listed,
}

/// Starts a watch of each kind, in these namespaces. Empty: in all.
#[must_use]
pub fn start(transport: &Transport, namespaces: &[String]) -> (mpsc::Receiver<Change>, WatchStates) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let states = WatchStates::default();
    for (name, kind) in watched_kinds() {
        for namespace in scopes(&kind, namespaces) {
            let watch = Watch {
                client: transport.watch(kind.name, namespace.as_deref()),
                name,
                kind,
                namespace,
                sender: sender.clone(),
                states: states.clone(),
                known: BTreeSet::new(),
            };
            watch.states.add(watch.name, watch.namespace.as_deref());
            tokio::spawn(watch.run());
        }
    }
    (receiver, states)
}

/// Where a kind is watched, which is where `mooring generate --from-cluster` reads it. None: in the whole cluster.
fn scopes(kind: &KnownKind, namespaces: &[String]) -> Vec<Option<String>> {
    let known = kind.kind();
    if namespaces.is_empty() || known == Some(Kind::GatewayClass) {
        return vec![None];
    }
    if known.is_some_and(Kind::is_cluster_wide) {
        return Vec::new();
    }
    namespaces.iter().cloned().map(Some).collect()
}

/// The watch of a kind.
struct Watch {
    client: Client,
    name: KindName,
    kind: KnownKind,
    namespace: Option<String>,
    sender: mpsc::Sender<Change>,
    states: WatchStates,
    /// The objects that the receiver knows.
    known: BTreeSet<Key>,
}

/// The receiver is gone: the controller ends.
struct Ended;

impl Watch {
    async fn run(mut self) {
        let Err(Ended) = self.watch().await;
        debug!(kind = self.kind.name, "the watch ended");
    }

    /// Lists and watches. After an error it lists again, because only a complete list shows that the known objects are current.
    async fn watch(&mut self) -> Result<Infallible, Ended> {
        let mut pause = FIRST_PAUSE;
        let mut was_short = false;
        loop {
            let resource = self.discover().await?;
            let began = Instant::now();
            let (error, listed) = self.follow(&resource).await?;
            if is_not_found(&error) {
                self.missing();
                info!(kind = self.kind.name, "the API server no longer has this kind");
            } else {
                self.fail(status_code(&error) == Some(403), &chain(&error));
            }
            let is_short = listed && began.elapsed() < STEADY;
            pause = if listed && !(is_short && was_short) {
                FIRST_PAUSE
            } else {
                pause.saturating_mul(2).min(LONGEST_PAUSE)
            };
            was_short = is_short;
            sleep(pause).await;
        }
    }

    /// The resource of the kind, in the first of its versions that the server has. Waits until it has one.
    async fn discover(&self) -> Result<ApiResource, Ended> {
        loop {
            match self.resource().await {
                Ok(Some(resource)) => return Ok(resource),
                Ok(None) => self.missing(),
                Err(error) => self.fail(false, &chain(&error)),
            }
            sleep(DISCOVERY_INTERVAL).await;
            if self.sender.is_closed() {
                return Err(Ended);
            }
        }
    }

    async fn resource(&self) -> Result<Option<ApiResource>, kube::Error> {
        for version in self.kind.versions {
            let kind = GroupVersionKind::gvk(self.kind.group, version, self.kind.name);
            match pinned_kind(&self.client, &kind).await {
                Ok((resource, _)) => return Ok(Some(resource)),
                Err(kube::Error::Discovery(_)) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reports changes until there is an error. Returns it, and whether the list was complete before.
    async fn follow(&mut self, resource: &ApiResource) -> Result<(watcher::Error, bool), Ended> {
        let client = self.client.clone();
        let api: Api<DynamicObject> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, resource),
            None => Api::all_with(client, resource),
        };
        let mut config = watcher::Config::default();
        if [PLUGINS.name, FILTERS.name].contains(&self.kind.name) {
            let (label, value) = MANAGED_BY;
            config = config.labels(&format!("{label}={value}"));
        }
        let mut events = pin!(watcher(api, config));
        let mut listed = BTreeSet::new();
        let mut complete = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    let key = self.changed(resource, object).await?;
                    listed.insert(key);
                }
                Ok(watcher::Event::InitDone) => {
                    let gone: Vec<Key> = self.known.difference(&listed).cloned().collect();
                    for key in gone {
                        self.deleted(key).await?;
                    }
                    complete = true;
                    self.set(KindState::Current);
                    self.send(Change::Listed).await?;
                }
                Ok(watcher::Event::Apply(object)) => {
                    self.changed(resource, object).await?;
                }
                Ok(watcher::Event::Delete(object)) => self.deleted(self.key(&object)).await?,
                // The server no longer has the changes since the last one: the watch lists again by itself. It does not if a watch
                // cannot even start.
                Err(watcher::Error::WatchError(status)) if complete && status.code == 410 => {}
                Err(error) => return Ok((error, complete)),
            }
        }
        Err(Ended)
    }

    fn key(&self, object: &DynamicObject) -> Key {
        let metadata = &object.metadata;
        Key::new(
            self.name,
            metadata.namespace.as_deref(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }

    async fn changed(&mut self, resource: &ApiResource, mut object: DynamicObject) -> Result<Key, Ended> {
        // In a list of a built-in kind the items have no type.
        object.types.get_or_insert_with(|| TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
        // Only of generated objects it matters who wrote them. They are half of a small object.
        if !is_generated(&object) {
            object.metadata.managed_fields = None;
        }
        let key = self.key(&object);
        self.known.insert(key.clone());
        let object = Some(Arc::new(object));
        self.send(Change::Object {
            key: key.clone(),
            object,
        })
        .await?;
        Ok(key)
    }

    async fn deleted(&mut self, key: Key) -> Result<(), Ended> {
        self.known.remove(&key);
        self.send(Change::Object { key, object: None }).await
    }

    async fn send(&self, change: Change) -> Result<(), Ended> {
        self.sender.send(change).await.map_err(|_| Ended)
    }

    fn set(&self, state: KindState) {
        self.states.set(self.name, self.namespace.as_deref(), state);
    }

    /// The server does not have the kind. It deletes the objects of a kind before the kind itself, and says so.
    fn missing(&self) {
        self.set(if self.known.is_empty() {
            KindState::Missing
        } else {
            KindState::Removed
        });
    }

    fn fail(&self, forbidden: bool, error: &str) {
        if self.states.fail(self.name, self.namespace.as_deref(), forbidden, error) {
            warn!(
                kind = self.kind.name,
                error, "cannot watch this kind; its last known objects stay in force"
            );
        }
    }
}

fn status_code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

fn is_not_found(error: &watcher::Error) -> bool {
    status_code(error) == Some(404)
}
