//! What the page shows, as the JSON that its script reads.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::{decisions::Line, tally::Tally, visit::Visit};

/// How many of the gateway's decisions the page gets: about the crowd, and about everyone else.
const DECISIONS: usize = 30;

/// Everything on the page.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Board {
    /// Envoy's version.
    pub envoy: String,
    /// Where the gateway listens.
    pub gateway: String,
    /// The time, in seconds since the Unix epoch: the times of tokens are compared with it.
    pub now: f64,
    /// The weights of v1 and v2.
    pub weights: [u32; 2],
    /// How many configurations Envoy has taken.
    pub configurations: u32,
    /// Whether Envoy is taking a new configuration.
    pub busy: bool,
    /// The timeouts of the policy, in seconds.
    pub timeouts: Timeouts,
    /// The visitors whose buttons are on the page.
    pub visitors: Vec<Visit>,
    /// All pods, by version.
    pub pods: Vec<PodTile>,
    /// The background visitors.
    pub crowd: Tally,
    /// What the gateway counted.
    pub counters: Counters,
    /// What the gateway decided, the newest last.
    pub decisions: VecDeque<Line>,
    /// The last decision about each visitor.
    pub latest: BTreeMap<String, Line>,
    /// The route and the policy in force, as YAML.
    pub manifests: String,
}

/// The timeouts of the policy, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timeouts {
    pub idle: u64,
    pub absolute: u64,
}

/// A pod.
#[derive(Clone, Debug, Serialize)]
pub struct PodTile {
    pub name: String,
    pub version: String,
    /// Its address and port, as Envoy has it.
    pub address: String,
    pub running: bool,
    /// How many requests it got.
    pub requests: usize,
}

/// Envoy's counters of sessions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    pub new: u64,
    pub resumed: u64,
    pub refreshed: u64,
    pub moved: u64,
    pub expired_idle: u64,
    pub expired_absolute: u64,
}

impl Board {
    /// Adds what the gateway decided since the last time.
    pub fn decided(&mut self, lines: Vec<Line>) {
        for line in &lines {
            if let Some(who) = &line.who
                && self.visitors.iter().any(|visit| visit.id == who)
            {
                self.latest.insert(who.clone(), line.clone());
            }
        }
        self.decisions.extend(lines);
        for of_crowd in [true, false] {
            let mut excess = self.of_crowd(of_crowd).saturating_sub(DECISIONS);
            self.decisions.retain(|line| {
                let old = line.is_of_crowd() == of_crowd && excess > 0;
                excess = excess.saturating_sub(usize::from(old));
                !old
            });
        }
    }

    fn of_crowd(&self, of_crowd: bool) -> usize {
        let lines = self.decisions.iter();
        lines.filter(|line| line.is_of_crowd() == of_crowd).count()
    }

    /// The name of the pod with this address.
    pub fn pod_at(&self, address: &str) -> Option<&str> {
        let pod = self.pods.iter().find(|pod| pod.address == address)?;
        Some(&pod.name)
    }
}
