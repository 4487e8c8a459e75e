//! The objects in the cluster that are not only input: what the controller applied, and what it reports about.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::core::DynamicObject;
use mooring_generator::{cluster::PLUGINS, labels::MANAGED_BY};
use serde_json::Value;

use crate::{key::Key, pods::Pods};

/// The last known state of objects in the cluster, as the watches report it.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<Objects>>);

/// Pods, with a lock of their own.
#[derive(Clone, Debug, Default)]
pub struct LivePods(Arc<Mutex<BTreeMap<Key, Arc<Pods>>>>);

impl LivePods {
    /// The pods. Do not lock the other objects while this guard is held.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Pods>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Objects of the cluster.
#[derive(Debug, Default)]
pub struct Objects {
    /// The objects with Mooring's label, whoever wrote them. All but `WasmPlugin`s without anything but their metadata.
    pub generated: BTreeMap<Key, Arc<DynamicObject>>,
    /// The policies, with their status.
    pub policies: BTreeMap<Key, Arc<DynamicObject>>,
    /// The identities of routes and gateways, which own generated objects and which events are about.
    pub targets: BTreeMap<Key, Identity>,
    /// The pods of Deployments, `DaemonSet`s and `StatefulSet`s, which can be read while the other objects are locked.
    pub pods: LivePods,
}

/// What a reference to an object needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The version in which it is watched.
    pub api_version: String,
    /// Its unique id.
    pub uid: String,
    /// Its generation.
    pub generation: Option<i64>,
}

/// The kinds of policies.
const POLICIES: [&str; 3] = ["BackendLBPolicy", "XBackendTrafficPolicy", "CanaryPolicy"];

/// The kinds that own generated objects.
const TARGETS: [&str; 4] = ["Gateway", "HTTPRoute", "GRPCRoute", "VirtualService"];

impl Live {
    /// The objects. Do not hold the guard across an `await`.
    pub fn lock(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    /// Notes that an object was added or changed. None: it was deleted.
    pub fn set(&mut self, key: &Key, object: Option<&Arc<DynamicObject>>) {
        let kept = |keep: bool| object.filter(|_| keep);
        let ours = object.is_some_and(|object| is_generated(object));
        put(&mut self.generated, key, kept(ours).map(|object| lean(key, object)));
        put(
            &mut self.policies,
            key,
            kept(POLICIES.contains(&key.kind.name)).cloned(),
        );
        let target = kept(TARGETS.contains(&key.kind.name) && !ours);
        put(&mut self.targets, key, target.map(|object| Identity::of(object)));
        let pods = kept(key.kind.group == "apps").map(|object| Arc::new(Pods::new(object)));
        put(&mut self.pods.lock(), key, pods);
    }
}

impl Identity {
    fn of(object: &DynamicObject) -> Self {
        Self {
            api_version: object
                .types
                .as_ref()
                .map_or_else(String::new, |types| types.api_version.clone()),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            generation: object.metadata.generation,
        }
    }
}

/// Whether an object has Mooring's label.
#[must_use]
pub fn is_generated(object: &DynamicObject) -> bool {
    let (label, value) = MANAGED_BY;
    let labels = object.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(label)).map(String::as_str) == Some(value)
}

/// What is read of a generated object: its metadata, and how long the tokens of a plugin live.
fn lean(key: &Key, object: &Arc<DynamicObject>) -> Arc<DynamicObject> {
    if key.kind.name == PLUGINS.name {
        return Arc::clone(object);
    }
    Arc::new(DynamicObject {
        types: object.types.clone(),
        metadata: object.metadata.clone(),
        data: Value::Null,
    })
}

fn put<T>(map: &mut BTreeMap<Key, T>, key: &Key, value: Option<T>) {
    match value {
        Some(value) => {
            map.insert(key.clone(), value);
        }
        None => {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::key::KindName;

    #[test]
    fn of_generated_objects_only_plugins_keep_more_than_their_metadata() {
        let mut live = Objects::default();
        for (group, kind, keeps) in [
            ("networking.istio.io", "EnvoyFilter", false),
            ("extensions.istio.io", "WasmPlugin", true),
        ] {
            let (label, value) = MANAGED_BY;
            let object: DynamicObject = serde_json::from_value(json!({
                "apiVersion": format!("{group}/v1alpha1"), "kind": kind, "spec": { "priority": 1 },
                "metadata": { "namespace": "edge", "name": "mooring-web", "labels": { label: value } },
            }))
            .unwrap();
            let key = Key::new(KindName::find(group, kind).unwrap(), Some("edge"), "mooring-web");
            live.set(&key, Some(&Arc::new(object.clone())));
            let kept = &live.generated[&key];
            assert_eq!(
                (&kept.metadata, kept.data.is_null()),
                (&object.metadata, !keeps),
                "{kind}"
            );
        }
    }
}
