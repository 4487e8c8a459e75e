//! Failures and updates under load: clients with sessions send requests on open connections throughout, and each test prints
//! what they saw.

use mooring_tests::{Clients, Envoy, Seen, Stats, Traffic};

use crate::shop::COOKIE;

mod backends;
mod clocks;
mod failover;
mod gateways;
mod traps;
mod updates;
mod versions;

/// The number of clients, each with a session and open connections.
pub(crate) const CLIENTS: usize = 50;

/// Starts the clients on these gateways.
pub(crate) async fn many_clients(gateways: &[&Envoy]) -> Traffic {
    let addresses: Vec<_> = gateways.iter().map(|gateway| gateway.address()).collect();
    Traffic::start(&addresses, Clients::steady(CLIENTS), COOKIE).await
}

/// No token was rejected, of any kind.
#[track_caller]
fn no_token_rejected(stats: &Stats) {
    assert_eq!(
        stats.sum("wasmcustom.mooring_token_rejected"),
        0,
        "{:?}",
        stats.of_mooring()
    );
}

/// How many clients are on pods whose names begin with this.
pub(crate) fn at(seen: &[Seen], name: &str) -> u64 {
    let pods = seen.iter().filter_map(|seen| seen.pod.as_deref());
    u64::try_from(pods.filter(|pod| pod.starts_with(name)).count()).unwrap()
}
