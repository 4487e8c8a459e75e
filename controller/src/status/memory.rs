//! What the writer knows about each policy from its last passes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::core::DynamicObject;
use tokio::time::Instant;

use crate::{key::Key, planned_policy::PlannedPolicy};

/// How long a policy whose status cannot be written is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a kind without a status subresource is left alone.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// What is known about the policies.
#[derive(Debug, Default)]
pub struct Memory {
    policies: BTreeMap<Key, Known>,
    /// The kinds whose definitions have no status subresource, and until when they are left alone.
    without_status: BTreeMap<&'static str, Instant>,
}

/// What is known about one policy.
#[derive(Debug, Default)]
struct Known {
    /// The state that the status of this version of the object has.
    settled: Option<(Arc<PlannedPolicy>, Option<String>)>,
    /// The version in the watch when the status was written, and the object after that.
    written: Option<(Option<String>, Arc<DynamicObject>)>,
    /// Until when it is left alone.
    paused: Option<Instant>,
}

impl Memory {
    /// Forgets the policies that are gone.
    pub fn retain(&mut self, exists: impl Fn(&Key) -> bool) {
        self.policies.retain(|policy, _| exists(policy));
    }

    /// The object with its newest known status: that of the watch, unless the watch has not yet seen the last write.
    #[must_use]
    pub fn newest(&mut self, policy: &Key, watched: &Arc<DynamicObject>) -> Arc<DynamicObject> {
        let known = self.policies.get_mut(policy);
        let written = known.and_then(|known| {
            known
                .written
                .take_if(|(before, _)| *before != watched.metadata.resource_version);
            known.written.as_ref()
        });
        written.map_or_else(|| watched.clone(), |(_, object)| object.clone())
    }

    /// Whether the status of this version of the object says this already.
    #[must_use]
    pub fn is_settled(&self, policy: &Key, planned: &Arc<PlannedPolicy>, object: &DynamicObject) -> bool {
        let settled = self.policies.get(policy).and_then(|known| known.settled.as_ref());
        settled
            .is_some_and(|(known, version)| Arc::ptr_eq(known, planned) && *version == object.metadata.resource_version)
    }

    /// Notes that the status of this version of the object says this.
    pub fn settle(&mut self, policy: &Key, planned: &Arc<PlannedPolicy>, object: &DynamicObject) {
        let version = object.metadata.resource_version.clone();
        self.known(policy).settled = Some((planned.clone(), version));
    }

    /// Notes that the status was written when the watch had this version of the object.
    pub fn write(&mut self, policy: &Key, watched: &DynamicObject, object: DynamicObject) {
        let version = watched.metadata.resource_version.clone();
        self.known(policy).written = Some((version, Arc::new(object)));
    }

    /// Whether a policy is left alone.
    #[must_use]
    pub fn is_paused(&self, policy: &Key, now: Instant) -> bool {
        let policy_pause = self.policies.get(policy).and_then(|known| known.paused);
        let kind_pause = self.without_status.get(policy.kind.name).copied();
        [policy_pause, kind_pause]
            .into_iter()
            .flatten()
            .any(|until| now < until)
    }

    /// Leaves a policy alone for a while.
    pub fn pause(&mut self, policy: &Key, now: Instant) {
        self.known(policy).paused = now.checked_add(PAUSE);
    }

    /// Leaves all policies of a kind alone for a while, because its definition has no status subresource. Returns whether that is
    /// news.
    pub fn pause_kind(&mut self, policy: &Key, now: Instant) -> bool {
        let until = now.checked_add(LONG_PAUSE).unwrap_or(now);
        self.without_status.insert(policy.kind.name, until).is_none()
    }

    /// Notes that the definition of a kind has a status subresource.
    pub fn has_status(&mut self, policy: &Key) {
        self.without_status.remove(policy.kind.name);
    }

    fn known(&mut self, policy: &Key) -> &mut Known {
        self.policies.entry(policy.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use mooring_generator::status::PolicyState;

    use crate::key::KindName;

    use super::*;

    fn key() -> Key {
        Key::new(
            KindName::find("mooring.dev", "CanaryPolicy").unwrap(),
            Some("shop"),
            "web",
        )
    }

    fn object(version: &str) -> Arc<DynamicObject> {
        let value = serde_json::json!({
            "apiVersion": "mooring.dev/v1alpha1",
            "kind": "CanaryPolicy",
            "metadata": { "name": "web", "namespace": "shop", "resourceVersion": version },
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn planned() -> Arc<PlannedPolicy> {
        Arc::new(PlannedPolicy {
            generation: Some(1),
            uid: None,
            state: PolicyState::default(),
        })
    }

    #[test]
    fn a_write_counts_until_the_watch_has_seen_it() {
        let mut memory = Memory::default();
        memory.write(&key(), &object("1"), DynamicObject::clone(&object("2")));
        let version = |object: Arc<DynamicObject>| object.metadata.resource_version.clone().unwrap();
        assert_eq!(version(memory.newest(&key(), &object("1"))), "2");
        assert_eq!(version(memory.newest(&key(), &object("2"))), "2");
        assert!(
            memory.known(&key()).written.is_none(),
            "each policy would be there twice"
        );
        assert_eq!(version(memory.newest(&key(), &object("3"))), "3");
    }

    #[test]
    fn a_policy_is_settled_until_its_state_or_object_changes() {
        let mut memory = Memory::default();
        let state = planned();
        memory.settle(&key(), &state, &object("1"));
        assert!(memory.is_settled(&key(), &state, &object("1")));
        assert!(!memory.is_settled(&key(), &planned(), &object("1")));
        assert!(!memory.is_settled(&key(), &state, &object("2")));
        memory.retain(|_| false);
        assert!(memory.policies.is_empty());
    }

    #[test]
    fn pauses_end() {
        let mut memory = Memory::default();
        let start = Instant::now();
        memory.pause(&key(), start);
        assert!(memory.is_paused(&key(), start) && !memory.is_paused(&key(), start + PAUSE));
        assert!(memory.pause_kind(&key(), start) && !memory.pause_kind(&key(), start));
        assert!(memory.is_paused(&key(), start + PAUSE) && !memory.is_paused(&key(), start + LONG_PAUSE));
        memory.has_status(&key());
        assert!(!memory.is_paused(&key(), start + PAUSE));
    }
}
