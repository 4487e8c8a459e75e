//! The options of `--target envoy`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use crate::emit::FailStrategy;

/// The default address of the admin interface.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// The options of `--target envoy`.
#[derive(Debug)]
pub struct Options {
    /// The path of the module.
    pub wasm: String,
    /// What happens to requests when the module cannot run.
    pub fail_strategy: FailStrategy,
    /// Whether Envoy writes an access log with the decisions of the module to its standard output.
    pub access_log: bool,
    /// Whether the weights of the backends are gauges.
    pub weight_metric: bool,
    /// The address of the admin interface.
    pub admin: SocketAddr,
    /// The addresses on which Envoy listens for ports of Gateways, if they are not the default ones.
    pub listen: BTreeMap<u16, SocketAddr>,
}

/// The options if no flag is given. The module is missing.
impl Default for Options {
    fn default() -> Self {
        Self {
            wasm: String::new(),
            fail_strategy: FailStrategy::Reload,
            access_log: false,
            weight_metric: false,
            admin: ADMIN,
            listen: BTreeMap::new(),
        }
    }
}
