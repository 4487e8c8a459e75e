//! Simulates requests: which route Envoy selects, what the module decides, and what the client gets.
//!
//! Nothing here decides. The routes and their order are those of `--target envoy` (`crate::emit::envoy::route_table`), the decisions are those
//! of `mooring_policy`, and [`RouteMatch`] compares as Envoy does. Envoy's own filters are simulated only as far as sessions need
//! them: the header sanitizer, the second route lookup and the `stateful_session` filter.

use std::collections::BTreeMap;

use mooring_policy::{config::Config, keys::KeyRing, routes::InvalidConfig};

use crate::{
    document::RawObjects,
    emit::envoy::clusters,
    ir::{Ir, ProxyGroup},
    resources::Resources,
};

mod circumstances;
mod exchange;
mod proxy;
mod request;
mod route;
mod route_match;

pub use circumstances::{Circumstances, DRAWS};
pub use exchange::{Exchange, HeaderChange, Uninvolved};
pub use proxy::{Proxy, VirtualHost};
pub use request::{InvalidUrl, Request};
pub use route::{Action, Answer, Route, Target};
pub use route_match::{Condition, RouteMatch};

/// The proxies of the input. `config` gives the configuration of the module of a group, and `keys` its key ring.
pub fn proxies<'a>(
    ir: &'a Ir<'a>,
    resources: &'a Resources,
    raw: &RawObjects,
    config: impl Fn(&'a ProxyGroup<'a>) -> Config,
    keys: impl Fn() -> Option<KeyRing>,
) -> Result<Vec<Proxy<'a>>, InvalidConfig> {
    let proxy = |group| Proxy::new(group, resources, raw, &config(group), keys());
    ir.proxies.iter().map(proxy).collect()
}

/// The hosts of the backends of all rules, by the keys of backends, for [`Circumstances::hosts`]. They are those of the
/// `EndpointSlice`s; a backend without any has no entry.
#[must_use]
pub fn hosts(ir: &Ir, resources: &Resources) -> BTreeMap<String, Vec<String>> {
    clusters::hosts(ir.rules.iter().flat_map(|rule| &rule.backends), resources)
}
