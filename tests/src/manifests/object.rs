//! What all objects of a scenario share: their namespace, their metadata, and how they become YAML.

use serde_json::{Map, Value, json};

/// The namespace of all objects of a scenario.
pub const NAMESPACE: &str = "shop";

/// An object in the scenario's namespace. `fields` holds what is beside its metadata, such as `spec`.
pub(super) fn object(api_version: &str, kind: &str, name: &str, fields: Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
    });
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    object
}

/// Adds labels or annotations to an object, unless there are none.
pub(super) fn annotate(object: &mut Value, field: &str, entries: &[(String, String)]) {
    let entries: Map<String, Value> = entries
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata.filter(|_| !entries.is_empty()) {
        metadata.insert(field.to_owned(), Value::Object(entries));
    }
}

/// An object as a YAML document.
pub(super) fn yaml(object: &Value) -> String {
    let text = serde_saphyr::to_string(object).expect("JSON becomes YAML");
    format!("{}\n", text.trim_end())
}
