//! Whether the crowd visits, and whom the gateway sent where.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use super::visit::Answer;

/// How many answers the shares are made of.
const LAST: usize = 60;

/// Whom the gateway sent where.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Whether the crowd visits.
    pub on: bool,
    /// The last answers to those who came without a session, by version.
    pub new: Shares,
    /// The last answers to those who came with a session, by version.
    pub regular: Shares,
    /// How many requests failed.
    pub failed: u32,
}

/// The number of answers of each version among the last ones.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shares {
    v1: usize,
    v2: usize,
    #[serde(skip)]
    last: VecDeque<bool>,
}

impl Shares {
    fn add(&mut self, second: bool) {
        self.last.push_back(second);
        if self.last.len() > LAST {
            self.last.pop_front();
        }
        self.v2 = self.last.iter().filter(|second| **second).count();
        self.v1 = self.last.len().saturating_sub(self.v2);
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Tally {
    /// Begins to count new sessions again, because the weights have changed.
    pub fn weights_changed(&mut self) {
        self.new.clear();
    }

    /// Counts an answer.
    pub fn add(&mut self, answer: &Answer, regular: bool) {
        let shares = if regular { &mut self.regular } else { &mut self.new };
        match &answer.pod {
            Some(pod) if answer.status == 200 => shares.add(pod.contains("-v2-")),
            _ => self.failed = self.failed.saturating_add(1),
        }
    }
}

/// Whether the crowd visits.
pub struct Switch(AtomicBool);

impl Switch {
    /// On or off.
    pub fn new(on: bool) -> Self {
        Self(AtomicBool::new(on))
    }

    /// Lets the crowd come, or not.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    /// Whether the crowd visits.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
