//! Generated objects in a cluster that a run no longer generates.

use std::collections::BTreeSet;

use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use crate::{document::WASM_PLUGIN, emit::Output, kind::KnownKind};

/// The kinds of generated objects, in the order in which they are to be deleted: the module uses the session routes, and without the
/// `EnvoyFilter` a client could address one.
pub(super) const GENERATED_KINDS: [KnownKind; 4] = [
    kind(WASM_PLUGIN, "extensions.istio.io", &["v1alpha1"]),
    kind("HTTPRoute", "gateway.networking.k8s.io", &["v1"]),
    kind("GRPCRoute", "gateway.networking.k8s.io", &["v1"]),
    kind("EnvoyFilter", "networking.istio.io", &["v1alpha3"]),
];

const fn kind(name: &'static str, group: &'static str, versions: &'static [&'static str]) -> KnownKind {
    KnownKind { name, group, versions }
}

/// The names of generated objects begin with this. What has the label only, a user may have copied.
const PREFIX: &str = "mooring-";

/// The identity of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

impl Reference {
    /// The identity of an object with the label of generated objects. None: it has another name.
    pub(super) fn of_generated(resource: &ApiResource, object: DynamicObject) -> Option<Self> {
        let reference = Self {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
            namespace: object.metadata.namespace?,
            name: object.metadata.name?,
        };
        reference.name.starts_with(PREFIX).then_some(reference)
    }

    fn of_output(output: &Output) -> Option<(&str, &str, &str)> {
        let text = |pointer: &str| output.value.pointer(pointer).and_then(Value::as_str);
        Some((text("/kind")?, text("/metadata/namespace")?, text("/metadata/name")?))
    }
}

/// A `List` of the objects of earlier runs that are not among those of this run, for `kubectl delete`.
#[must_use]
pub fn deletion_list(earlier: &[Reference], outputs: &[Output]) -> String {
    let current: BTreeSet<_> = outputs.iter().filter_map(Reference::of_output).collect();
    let stale = earlier
        .iter()
        .filter(|one| !current.contains(&(one.kind.as_str(), one.namespace.as_str(), one.name.as_str())));
    let items: Vec<Value> = stale
        .map(|one| {
            json!({
                "apiVersion": one.api_version,
                "kind": one.kind,
                "metadata": { "namespace": one.namespace, "name": one.name },
            })
        })
        .collect();
    format!("{:#}\n", json!({ "apiVersion": "v1", "kind": "List", "items": items }))
}
