//! `--dry-run`: what a write would change, as a unified diff.

use mooring_generator::output::{holds_key, yaml_of};
use serde_json::Value;
use similar::TextDiff;

/// The name of a missing object in a diff.
const MISSING: &str = "/dev/null";

/// Fields of the metadata that change with every write.
const VOLATILE: [&str; 5] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
];

/// The difference between an object as it is and as it would be. None: it does not exist, or would no longer. Empty: they are equal.
#[must_use]
pub fn diff(name: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    let (old, new) = (old.map(text), new.map(text));
    if old == new {
        return String::new();
    }
    let name_of = |text: &Option<String>| if text.is_some() { name } else { MISSING };
    let (old_name, new_name) = (name_of(&old), name_of(&new));
    if [&old, &new].into_iter().flatten().any(|text| holds_key(text)) {
        return format!("--- {old_name}\n+++ {new_name}\n(not shown: it contains a private key)\n");
    }
    let (old_text, new_text) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
    let diff = TextDiff::from_lines(old_text, new_text);
    diff.unified_diff().header(old_name, new_name).to_string()
}

/// An object as YAML, without its status and without what changes with every write.
fn text(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in VOLATILE {
            metadata.shift_remove(field);
        }
    }
    object.sort_all_objects();
    yaml_of(&object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_diff_has_only_what_a_write_changes() {
        let object = |priority: u8, version: u8| {
            json!({ "metadata": { "name": "mooring-web", "resourceVersion": version, "managedFields": [version] },
                    "spec": { "priority": priority }, "status": version })
        };
        assert_eq!(diff("x", Some(&object(1, 1)), Some(&object(1, 2))), "");
        let changed = diff("EnvoyFilter a/mooring-web", Some(&object(1, 1)), Some(&object(2, 2)));
        assert!(
            changed.starts_with("--- EnvoyFilter a/mooring-web\n+++ EnvoyFilter a/mooring-web\n"),
            "{changed}"
        );
        assert!(changed.contains("\n-  priority: 1\n+  priority: 2\n"), "{changed}");
        let created = diff("x", None, Some(&object(1, 1)));
        assert!(created.starts_with("--- /dev/null\n+++ x\n"), "{created}");
    }

    #[test]
    fn a_private_key_is_not_shown() {
        let object = json!({ "spec": { "private_key": "secret" } });
        let text = diff("x", None, Some(&object));
        assert!(text.contains("not shown") && !text.contains("secret"), "{text}");
    }
}
