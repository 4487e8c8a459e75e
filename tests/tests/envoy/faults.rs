//! What goes wrong on a bad day, with visitors on open connections all the while. Each test prints what they saw.

use mooring_tests::{Crowd, Envoy, Seen, Traffic};

use crate::shop::COOKIE;

mod backends;
mod clocks;
mod failover;
mod gateways;
mod traps;
mod updates;
mod versions;

/// How many visitors there are, each with a session and open connections.
pub(crate) const VISITORS: usize = 50;

/// Sends the visitors to these gateways.
pub(crate) async fn visitors(gateways: &[&Envoy]) -> Traffic {
    let addresses: Vec<_> = gateways.iter().map(|gateway| gateway.address()).collect();
    Traffic::start(&addresses, Crowd::lively(VISITORS), COOKIE).await
}

/// How many visitors are at pods of this name.
fn at(seen: &[Seen], name: &str) -> u64 {
    let pods = seen.iter().filter_map(|seen| seen.pod.as_deref());
    u64::try_from(pods.filter(|pod| pod.starts_with(name)).count()).unwrap()
}
