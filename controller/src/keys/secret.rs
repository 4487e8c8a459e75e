//! A Secret with session keys: what it says about a rotation, and the changes of a rotation. None of its text is logged.

use kube::core::DynamicObject;
use mooring_generator::key_ring::{self, Existing};
use mooring_policy::keys::{Entry, reveal};
use serde_json::{Value, json};

use super::rotation::{Progress, Step};

/// The annotation by which a user asks for a rotation: any text that it did not have before.
pub const REQUEST: &str = "mooring.dev/rotate";

/// The annotation by which a user asks for the removal of the old keys before their tokens have expired.
pub const AT_ONCE: &str = "mooring.dev/rotate-remove-old";

/// The annotation in which the controller keeps how far a rotation is.
pub const PROGRESS: &str = "mooring.dev/rotation";

/// A Secret with session keys.
pub struct KeySecret {
    object: Value,
    ring: Vec<Entry>,
}

impl KeySecret {
    /// Reads a Secret. The error contains nothing of it.
    pub fn new(object: &DynamicObject) -> Result<Self, String> {
        let text = serde_json::to_string(object).map_err(|_| "it cannot be read".to_owned())?;
        let existing = Existing::parse(&text)
            .and_then(Result::ok)
            .ok_or("it has no key ring")?;
        let ring = key_ring::parse(existing.ring()).map_err(|error| error.to_string())?;
        let object = serde_json::from_str(&text).map_err(|_| "it cannot be read".to_owned())?;
        Ok(Self { object, ring })
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.object.pointer("/metadata/annotations")?.get(name)?.as_str()
    }

    /// The text by which a user asks for a rotation.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.annotation(REQUEST)
    }

    /// Whether the old keys are to be removed at once.
    #[must_use]
    pub fn at_once(&self) -> bool {
        self.annotation(AT_ONCE)
            .is_some_and(|value| Some(value) == self.request())
    }

    /// How far the rotation is.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        serde_json::from_str(self.annotation(PROGRESS)?).ok()
    }

    /// The IDs of the keys, as the annotation of pods has them.
    #[must_use]
    pub fn ids(&self) -> String {
        let ids: Vec<String> = self.ring.iter().map(|entry| format!("{:02x}", entry.id())).collect();
        ids.join("-")
    }

    /// Appends a new key for this request. Returns the progress.
    pub fn append(&mut self, request: &str) -> Result<Progress, String> {
        key_ring::Step::Append(None)
            .apply(&mut self.ring)
            .map_err(|error| error.to_string())?;
        let key = self.ring.last().map_or(0, Entry::id);
        Ok(Progress {
            request: request.to_owned(),
            key: format!("{key:02x}"),
            step: Step::Appended,
            since: None,
        })
    }

    /// Moves the new key to the front.
    pub fn promote(&mut self, progress: &Progress) -> Result<(), String> {
        let step = key_ring::Step::Promote(id(progress)?);
        step.apply(&mut self.ring)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// Removes all keys but the new one.
    pub fn remove_others(&mut self, progress: &Progress) -> Result<(), String> {
        let id = id(progress)?;
        if self.ring.first().map(Entry::id) != Some(id) {
            return Err(format!("the key {} is not the first one", progress.key));
        }
        self.ring.truncate(1);
        Ok(())
    }

    /// The Secret with the changed ring and this progress. It keeps its resource version, so that the API server refuses it if somebody
    /// else has changed the Secret meanwhile.
    pub fn changed(self, progress: &Progress) -> Result<DynamicObject, String> {
        let unreadable = |_| "it cannot be written".to_owned();
        let text = self.object.to_string();
        let existing = Existing::parse(&text)
            .and_then(Result::ok)
            .ok_or("it has no key ring")?;
        let text = existing.with_ring(&reveal(&self.ring));
        let mut object: Value = serde_json::from_str(&text).map_err(unreadable)?;
        let progress = serde_json::to_string(progress).map_err(unreadable)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            if let Some(annotations) = annotations.as_object_mut() {
                annotations.insert(PROGRESS.to_owned(), progress.into());
            }
        }
        serde_json::from_value(object).map_err(unreadable)
    }
}

fn id(progress: &Progress) -> Result<u8, String> {
    u8::from_str_radix(&progress.key, 16).map_err(|_| format!("`{}` is not the ID of a key", progress.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(annotations: &Value) -> KeySecret {
        let entry = key_ring::new_entry(Some(1), &[]).unwrap().reveal();
        let mut object = key_ring::secret("edge", "mooring-keys", &entry).value;
        object["metadata"]["annotations"] = annotations.clone();
        object["metadata"]["resourceVersion"] = json!("7");
        KeySecret::new(&serde_json::from_value(object).unwrap()).unwrap()
    }

    fn reread(object: &DynamicObject) -> KeySecret {
        KeySecret::new(object).unwrap()
    }

    #[test]
    fn the_steps_replace_the_key_and_are_noted() {
        let mut first = secret(&json!({ REQUEST: "spring" }));
        assert_eq!(
            (first.request(), first.progress(), first.ids().as_str()),
            (Some("spring"), None, "01")
        );
        let mut progress = first.append("spring").unwrap();
        let object = first.changed(&progress).unwrap();
        assert_eq!(object.metadata.resource_version.as_deref(), Some("7"));

        let mut second = reread(&object);
        assert_eq!(second.progress().as_ref(), Some(&progress));
        assert_eq!(second.ids(), format!("01-{}", progress.key));
        assert!(
            second.remove_others(&progress).is_err(),
            "the new key must be the first one before"
        );
        second.promote(&progress).unwrap();
        progress.step = Step::Promoted;

        let mut third = reread(&second.changed(&progress).unwrap());
        assert_eq!(third.ids(), format!("{}-01", progress.key));
        third.remove_others(&progress).unwrap();
        assert_eq!(reread(&third.changed(&progress).unwrap()).ids(), progress.key);
    }

    #[test]
    fn old_keys_are_removed_at_once_for_the_same_request_only() {
        assert!(secret(&json!({ REQUEST: "a", AT_ONCE: "a" })).at_once());
        assert!(!secret(&json!({ REQUEST: "b", AT_ONCE: "a" })).at_once());
    }

    #[test]
    fn a_secret_without_a_ring_is_refused_without_its_text() {
        let object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": {}, "stringData": { "MOORING_KEYS": "hunter2" } });
        let error = KeySecret::new(&serde_json::from_value(object).unwrap()).err().unwrap();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
