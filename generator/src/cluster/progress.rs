//! How far the reading of a cluster is, for a line on a terminal.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// What is being read.
#[derive(Debug, Default)]
pub struct Progress {
    kind: Mutex<&'static str>,
    objects: AtomicUsize,
}

impl Progress {
    /// Objects of this kind are read now.
    pub fn begin(&self, kind: &'static str) {
        if let Ok(mut current) = self.kind.lock() {
            *current = kind;
        }
    }

    /// So many more objects were read.
    pub fn add(&self, objects: usize) {
        self.objects.fetch_add(objects, Ordering::Relaxed);
    }

    /// The kind that is read now, and how many objects of all kinds were read.
    #[must_use]
    pub fn now(&self) -> (&'static str, usize) {
        let kind = self.kind.lock().map_or("", |kind| *kind);
        (kind, self.objects.load(Ordering::Relaxed))
    }
}
