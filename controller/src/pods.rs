//! What the controller needs to know about a Deployment, `DaemonSet` or `StatefulSet`: the labels of its pods, where they get their session
//! keys, and whether their rollout is complete.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use mooring_policy::keys::ENVIRONMENT_VARIABLE;
use serde_json::Value;

/// The container that runs Envoy.
const CONTAINER: &str = "istio-proxy";

/// The annotation of pods with the IDs of the keys of the ring with which they started. A rotation changes it, which replaces the pods.
pub const RING_ANNOTATION: &str = "mooring.dev/keys";

/// Where pods get their session keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Nowhere.
    None,
    /// From the Secret of this name, in their namespace.
    Secret(String),
    /// From somewhere else: a value, or everything in a Secret or `ConfigMap`.
    Other,
}

/// The pods of a Deployment, `DaemonSet` or `StatefulSet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// Their labels.
    pub labels: BTreeMap<String, String>,
    /// Where they get their session keys.
    pub keys: KeySource,
    /// The annotation with the IDs of their ring.
    pub ring: Option<String>,
    /// Whether all pods are from the current template and available.
    pub is_rolled_out: bool,
}

impl Pods {
    /// The pods of an object.
    #[must_use]
    pub fn new(object: &DynamicObject) -> Self {
        let template = object.data.pointer("/spec/template").unwrap_or(&Value::Null);
        let labels = template.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        let ring = template
            .pointer("/metadata/annotations")
            .and_then(|annotations| annotations.get(RING_ANNOTATION));
        Self {
            labels: labels
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            keys: key_source(template),
            ring: ring.and_then(Value::as_str).map(str::to_owned),
            is_rolled_out: is_rolled_out(object),
        }
    }

    /// Whether they have all of these labels.
    #[must_use]
    pub fn have(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }
}

fn key_source(template: &Value) -> KeySource {
    let containers = ["/spec/containers", "/spec/initContainers"];
    let containers = containers
        .into_iter()
        .filter_map(|path| template.pointer(path)?.as_array())
        .flatten();
    let mut containers = containers.filter(|one| one.get("name").and_then(Value::as_str) == Some(CONTAINER));
    let Some(container) = containers.next() else {
        return KeySource::None;
    };
    let list = |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
    let variable = list("env").find(|one| one.get("name").and_then(Value::as_str) == Some(ENVIRONMENT_VARIABLE));
    let Some(variable) = variable else {
        // Whether the object has the variable is in the object, which the controller does not read.
        return if list("envFrom").next().is_some() {
            KeySource::Other
        } else {
            KeySource::None
        };
    };
    let secret = variable.pointer("/valueFrom/secretKeyRef");
    match secret.and_then(|secret| Some((secret.get("name")?.as_str()?, secret.get("key")?.as_str()?))) {
        Some((name, ENVIRONMENT_VARIABLE)) => KeySource::Secret(name.to_owned()),
        _ => KeySource::Other,
    }
}

/// As `kubectl rollout status` decides.
fn is_rolled_out(object: &DynamicObject) -> bool {
    let number = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_i64);
    let of_status = |field: &str| number(&format!("/status/{field}")).unwrap_or(0);
    if of_status("observedGeneration") < object.metadata.generation.unwrap_or_default() {
        return false;
    }
    let is_daemon_set = object.types.as_ref().is_some_and(|types| types.kind == "DaemonSet");
    if is_daemon_set {
        let wanted = of_status("desiredNumberScheduled");
        return of_status("updatedNumberScheduled") >= wanted && of_status("numberAvailable") >= wanted;
    }
    let wanted = number("/spec/replicas").unwrap_or(1);
    let all = of_status("replicas");
    of_status("updatedReplicas") >= wanted.max(all) && of_status("availableReplicas") >= wanted && all <= wanted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(container: &Value, status: &Value) -> Pods {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "generation": 3 },
            "spec": { "replicas": 2, "template": {
                "metadata": { "labels": { "app": "web" }, "annotations": { RING_ANNOTATION: "01" } },
                "spec": { "containers": [{ "name": "other", "envFrom": [{}] }, container] },
            } },
            "status": status,
        });
        Pods::new(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn keys_come_from_the_variable_of_the_proxy() {
        let keys = |container: Value| deployment(&container, &json!({})).keys;
        let proxy = |env: Value| json!({ "name": "istio-proxy", "env": [env] });
        let from = |key: &str| {
            proxy(json!({ "name": "MOORING_KEYS",
            "valueFrom": { "secretKeyRef": { "name": "mooring-keys", "key": key } } }))
        };
        assert_eq!(keys(from("MOORING_KEYS")), KeySource::Secret("mooring-keys".to_owned()));
        assert_eq!(keys(from("ring")), KeySource::Other);
        assert_eq!(
            keys(proxy(json!({ "name": "MOORING_KEYS", "value": "x" }))),
            KeySource::Other
        );
        assert_eq!(keys(proxy(json!({ "name": "OTHER", "value": "x" }))), KeySource::None);
        assert_eq!(
            keys(json!({ "name": "istio-proxy", "envFrom": [{ "secretRef": { "name": "x" } }] })),
            KeySource::Other
        );
        assert_eq!(
            keys(json!({ "name": "app", "env": [{ "name": "MOORING_KEYS" }] })),
            KeySource::None
        );
    }

    #[test]
    fn a_rollout_is_complete_when_only_new_pods_are_there_and_available() {
        let complete = |observed: u8, all: u8, updated: u8, available: u8| {
            let status = json!({ "observedGeneration": observed, "replicas": all, "updatedReplicas": updated, "availableReplicas": available });
            deployment(&json!({}), &status).is_rolled_out
        };
        assert!(complete(3, 2, 2, 2));
        assert!(!complete(2, 2, 2, 2), "the new template is not seen yet");
        assert!(!complete(3, 3, 2, 3), "an old pod is there");
        assert!(!complete(3, 2, 1, 2));
        assert!(!complete(3, 2, 2, 1));
    }
}
