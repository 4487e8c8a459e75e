//! A loaded configuration, which the streams that began under it share.

use std::cell::Cell;

use mooring_policy::{gateway::Gateway, host::Host as _};

use crate::{
    host::{self, Envoy, HostError},
    metrics::{self, RuleMetrics},
};

/// At most one line about failed requests is logged in this many seconds.
const LOG_INTERVAL: u64 = 10;

/// A loaded configuration. By default it has no rules, so that all requests pass unchanged.
#[derive(Default)]
pub(crate) struct Plugin {
    pub(crate) gateway: Gateway,
    pub(crate) rule_metrics: RuleMetrics,
    last_logged: Cell<u64>,
}

impl Plugin {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self {
            rule_metrics: RuleMetrics::new(gateway.routes.len()),
            gateway,
            last_logged: Cell::default(),
        }
    }

    /// Counts a request that passed without its session because of an error, and logs the error unless another one was logged
    /// recently.
    pub(crate) fn report(&self, error: HostError) {
        metrics::count_error();
        let now = Envoy.now().unwrap_or_default();
        if now.saturating_sub(self.last_logged.get()) >= LOG_INTERVAL {
            self.last_logged.set(now);
            host::log_error(&format!("mooring: a request passed without its session: {error}"));
        }
    }
}
