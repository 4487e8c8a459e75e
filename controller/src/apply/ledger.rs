//! What is known about all objects between two passes.

use std::collections::BTreeMap;

use tokio::time::Instant;
use tracing::warn;

use super::{failure::Failure, memory::Memory, state::State};
use crate::key::Key;

/// What is known about all objects.
#[derive(Debug, Default)]
pub struct Ledger {
    memory: BTreeMap<Key, Memory>,
    differing: BTreeMap<Key, State>,
}

impl Ledger {
    /// What is remembered about an object.
    pub fn memory(&mut self, key: &Key) -> &mut Memory {
        self.memory.entry(key.clone()).or_default()
    }

    /// What is remembered about all objects.
    pub fn memories(&self) -> impl Iterator<Item = (&Key, &Memory)> {
        self.memory.iter()
    }

    /// The objects that are not as planned.
    #[must_use]
    pub fn differing(&self) -> &BTreeMap<Key, State> {
        &self.differing
    }

    /// Records that an object is as planned.
    pub fn settle(&mut self, key: &Key) {
        self.differing.remove(key);
        self.memory(key).failed = None;
    }

    /// Records that an object differs from the plan. A new reason is logged.
    pub fn differ(&mut self, key: &Key, state: State) {
        let is_news = self.differing.get(key) != Some(&state);
        if is_news && !matches!(state, State::Pending { .. }) {
            warn!(object = %key, "{state}");
        }
        self.differing.insert(key.clone(), state);
    }

    /// Records that a request is to be sent. Until it is answered, the former state remains.
    pub fn expect(&mut self, key: &Key, why: &str) {
        let pending = || State::Pending { why: why.to_owned() };
        self.differing.entry(key.clone()).or_insert_with(pending);
    }

    /// Records a failed request.
    pub fn fail(&mut self, key: &Key, failure: Failure, hash: Option<std::sync::Arc<str>>, now: Instant) {
        self.differ(key, failure.state());
        self.memory(key).fail(failure, hash, now);
    }

    /// Forgets an object that is gone.
    pub fn remove(&mut self, key: &Key) {
        self.memory.remove(key);
        self.differing.remove(key);
    }

    /// Forgets the objects that neither the plan nor the cluster has.
    pub fn forget(&mut self, is_gone: impl Fn(&Key) -> bool) {
        self.memory.retain(|key, memory| memory.in_flight || !is_gone(key));
        let memory = &self.memory;
        self.differing.retain(|key, _| memory.contains_key(key));
    }
}
