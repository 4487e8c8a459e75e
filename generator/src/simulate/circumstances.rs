//! What the outcome of a request depends on, besides the request itself and the configuration.

use std::collections::{BTreeMap, BTreeSet};

/// The draws are the whole numbers below this one.
pub const DRAWS: u8 = 100;

/// What the outcome of a request depends on, besides the request and the configuration.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// The wall clock, in seconds since the Unix epoch.
    pub now: u64,
    /// Which backend the weights select, from 0 to 99: the backends share this range by weight, in the order of the route.
    pub draw: u8,
    /// Other weights than those of the route, by the keys of backends.
    pub weights: BTreeMap<String, u32>,
    /// The keys of the backends without a healthy host.
    pub down: BTreeSet<String>,
    /// The addresses of hosts that are gone.
    pub gone: BTreeSet<String>,
    /// The hosts of backends by key, the preferred one first. A backend without an entry has hosts of a documentation network.
    pub hosts: BTreeMap<String, Vec<String>>,
}

impl Circumstances {
    /// The hosts of a backend. Without given ones, they are addresses for documentation (RFC 5737).
    pub(super) fn hosts_of(&self, key: &str, position: usize) -> Vec<String> {
        if let Some(hosts) = self.hosts.get(key) {
            return hosts.clone();
        }
        let first = position.saturating_mul(10).min(240);
        (1..=9_usize)
            .map(|host| format!("192.0.2.{}:8080", first.saturating_add(host)))
            .collect()
    }
}
