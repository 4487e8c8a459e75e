//! Which objects several parts have.

use std::collections::BTreeMap;

use super::part::{ObjectName, Part};

/// How many parts have an object of a name.
#[derive(Debug, Default)]
pub struct Owners {
    counts: BTreeMap<ObjectName, usize>,
    shared: usize,
}

impl Owners {
    /// Counts the objects of a part.
    pub fn add(&mut self, part: &Part) {
        self.shared = self.shared.saturating_add(usize::from(part.has_namesakes));
        for name in part.outputs.keys() {
            let count = self.counts.entry(name.clone()).or_default();
            *count = count.saturating_add(1);
            self.shared = self.shared.saturating_add(usize::from(*count == 2));
        }
    }

    /// No longer counts the objects of a part.
    pub fn remove(&mut self, part: &Part) {
        self.shared = self.shared.saturating_sub(usize::from(part.has_namesakes));
        for name in part.outputs.keys() {
            let Some(count) = self.counts.get_mut(name) else {
                continue;
            };
            self.shared = self.shared.saturating_sub(usize::from(*count == 2));
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(name);
            }
        }
    }

    /// Whether two objects have the same name.
    pub fn any_shared(&self) -> bool {
        self.shared > 0
    }
}
