//! Objects of an API server as texts.
//!
//! The reader of files reads them too, so an error in one is reported with its line and column.

use serde_json::{Map, Value, json};

use crate::{
    document::{ENVOY_FILTER, WASM_PLUGIN},
    kind::KnownKind,
    source::{Home, Sources},
};

/// Adds an object as a text of its own, without the fields that are never read.
pub fn add(kind: &KnownKind, api_version: &str, object: Map<String, Value>, sources: &mut Sources) {
    let (name, text) = to_text(kind, api_version, object);
    if [WASM_PLUGIN, ENVOY_FILTER].contains(&kind.name) {
        sources.add_earlier(&name, text, Home::Cluster);
    } else {
        sources.add(&name, text);
    }
}

/// The name and the text of an object, without the fields that are never read.
#[must_use]
pub fn to_text(kind: &KnownKind, api_version: &str, mut object: Map<String, Value>) -> (String, String) {
    // In a list of a built-in kind the items have neither field.
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.name.into());
    let status = object.remove("status");
    if kind.name == "Gateway" {
        object.extend(
            status
                .and_then(attached_routes)
                .map(|status| ("status".to_owned(), status)),
        );
    }
    if kind.group == "apps" {
        keep_pod_template(&mut object);
    } else if kind.name == "Pod" {
        let spec = object.remove("spec").unwrap_or_default();
        object.insert(
            "spec".to_owned(),
            json!({ "containers": arguments(spec.get("containers")) }),
        );
    }
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let mut names = Vec::new();
    if let Some(metadata) = metadata {
        metadata.remove("managedFields");
        let name = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        names.extend(["namespace", "name"].into_iter().filter_map(name));
    }
    let name = format!("cluster: {} {}", kind.name, names.join("/"));
    (name, format!("{:#}\n", Value::Object(object)))
}

/// The part of a Gateway's status that counts its routes.
fn attached_routes(mut status: Value) -> Option<Value> {
    let listeners = status.get_mut("listeners").map(Value::take)?;
    let counted = listeners.as_array()?.iter().map(|listener| {
        let field = |name: &str| listener.get(name).cloned().unwrap_or_default();
        json!({ "name": field("name"), "attachedRoutes": field("attachedRoutes") })
    });
    Some(json!({ "listeners": counted.collect::<Vec<Value>>() }))
}

/// Removes everything from the spec of a `Deployment` or similar object except the labels and arguments of its pods.
fn keep_pod_template(object: &mut Map<String, Value>) {
    let spec = object.remove("spec").unwrap_or_default();
    let labels = spec.pointer("/template/metadata/labels");
    let template = json!({
        "metadata": { "labels": labels },
        "spec": { "containers": arguments(spec.pointer("/template/spec/containers")) },
    });
    object.insert("spec".to_owned(), json!({ "template": template }));
}

/// These containers, with nothing but their arguments.
fn arguments(containers: Option<&Value>) -> Vec<Value> {
    let containers = containers.and_then(Value::as_array).into_iter().flatten();
    containers.map(|one| json!({ "args": one.get("args") })).collect()
}
