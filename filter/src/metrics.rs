//! Counters and gauges. Envoy shows them as `wasmcustom.<name>` on its admin port and as `<name>` to Prometheus.
//!
//! Those with labels are in `by_rule`.

use std::cell::Cell;

use mooring_policy::{
    decision::{Decision, Event, IssueReason, Response, SessionOutcome},
    gateway::RuleLookup,
    token::Rejection,
};
use proxy_wasm::{hostcalls, types::MetricType};

mod by_rule;

pub(crate) use self::by_rule::{RuleMetrics, set_weights};

/// A counter or gauge of every gateway.
pub(crate) struct Metric {
    metric_type: MetricType,
    id: Cell<Option<u32>>,
}

impl Metric {
    const fn new(metric_type: MetricType) -> Self {
        Self {
            metric_type,
            id: Cell::new(None),
        }
    }

    /// Defines it in Envoy, unless it is defined already.
    fn define(&self, name: &str) {
        if self.id.get().is_none() {
            self.id.set(hostcalls::define_metric(self.metric_type, name).ok());
        }
    }

    /// Adds one. An error is ignored: it must not affect the request.
    fn count(&self) {
        if let Some(id) = self.id.get() {
            let _ = hostcalls::increment_metric(id, 1);
        }
    }
}

macro_rules! metrics {
    ($($field:ident: $metric_type:ident = $name:literal, $help:literal;)+) => {
        /// The metrics of every gateway.
        pub(crate) struct Metrics { $(#[doc = $help] $field: Metric,)+ }

        impl Metrics {
            const fn new() -> Self {
                Self { $($field: Metric::new(MetricType::$metric_type),)+ }
            }

            /// Defines all of them in Envoy, so that they exist before the first request.
            fn define(&self) {
                $(self.$field.define($name);)+
            }
        }
    };
}

metrics! {
    sessions_off: Gauge = "mooring_sessions_off", "1 while there is no valid key.";
    keys_rejected: Gauge = "mooring_keys_rejected", "Invalid entries of the key ring.";
    config_refused: Gauge = "mooring_config_refused", "1 if the first configuration was invalid.";
    new: Counter = "mooring_session_new_total", "New sessions.";
    resumed: Counter = "mooring_session_resumed_total", "Requests of live sessions.";
    refreshed: Counter = "mooring_session_refreshed_total", "Renewals of the last-seen time.";
    moved: Counter = "mooring_session_moved_total", "Sessions moved to another host or backend.";
    failed_over: Counter = "mooring_session_failed_over_total", "Sessions moved to another backend because theirs is unreachable.";
    released: Counter = "mooring_session_released_total", "Sessions moved to another backend because the weight of theirs is 0.";
    followed: Counter = "mooring_session_followed_total", "Sessions moved to another backend because it has their version.";
    version_removed: Counter = "mooring_session_version_removed_total", "Sessions moved to another backend because no backend has their version.";
    rebalanced: Counter = "mooring_session_rebalanced_total", "Sessions moved to another backend because the share of theirs has fallen.";
    unreachable: Counter = "mooring_backend_unreachable_total", "Requests that failed because the backend of their session route is unreachable.";
    lost: Counter = "mooring_session_lost_total", "Strict sessions ended because their host is gone.";
    expired_idle: Counter = "mooring_session_expired_idle_total", "Requests of sessions that exceeded the idle timeout.";
    expired_absolute: Counter = "mooring_session_expired_absolute_total", "Requests of sessions that reached the absolute timeout.";
    malformed: Counter = "mooring_token_rejected_malformed_total", "Values that are not tokens.";
    version: Counter = "mooring_token_rejected_version_total", "Tokens of another format version.";
    unknown_key: Counter = "mooring_token_rejected_unknown_key_total", "Tokens whose key is not in the ring.";
    foreign: Counter = "mooring_token_rejected_foreign_total", "Tokens of another rule or session name.";
    tampered: Counter = "mooring_token_rejected_tampered_total", "Tokens with a wrong authentication tag.";
    future: Counter = "mooring_token_rejected_future_total", "Tokens issued in the future.";
    missed_session_route: Counter = "mooring_session_route_missed_total", "Requests that asked for a session route and did not reach its backend.";
    unknown_backend: Counter = "mooring_unknown_backend_total", "Requests and responses of a cluster that is not a backend of the rule.";
    client_keys: Counter = "mooring_session_route_refused_total", "Requests that a client's own header led to a session route.";
    over_budget: Counter = "mooring_canary_budget_exceeded_total", "Requests whose canary conditions exceeded the budget.";
    passed_through: Counter = "mooring_passed_through_total", "Requests on routes without a rule, in virtual hosts that have rules.";
    error: Counter = "mooring_error_total", "Requests that passed without their session because of an error.";
}

thread_local! {
    /// The metrics belong to the VM, which has one thread, and not to a configuration.
    static METRICS: Metrics = const { Metrics::new() };
}

/// Defines the metrics of every gateway in Envoy.
pub(crate) fn define() {
    METRICS.with(Metrics::define);
}

/// Sets the gauges after a configuration was loaded.
pub(crate) fn set_gauges(sessions_off: bool, config_refused: bool, keys_rejected: usize) {
    METRICS.with(|metrics| {
        for (gauge, value) in [
            (&metrics.sessions_off, u64::from(sessions_off)),
            (&metrics.keys_rejected, u64::try_from(keys_rejected).unwrap_or(u64::MAX)),
            (&metrics.config_refused, u64::from(config_refused)),
        ] {
            if let Some(id) = gauge.id.get() {
                let _ = hostcalls::record_metric(id, value);
            }
        }
    });
}

/// Counts a request that passes because it has no rule.
pub(crate) fn count_passed_through(lookup: &RuleLookup, by_rule: &RuleMetrics) {
    METRICS.with(|metrics| {
        if matches!(lookup, RuleLookup::SessionRoute) {
            metrics.client_keys.count();
            return;
        }
        metrics.passed_through.count();
    });
    if let RuleLookup::OtherBackend(rule) = lookup {
        count_event(Event::UnknownBackend);
        by_rule.count_event(rule, Event::UnknownBackend);
    }
}

/// Counts the decision about a request.
pub(crate) fn count_decision(decision: &Decision, by_rule: &RuleMetrics) {
    METRICS.with(|metrics| {
        if let Some(counter) = metrics.of_outcome(decision.session_outcome()) {
            counter.count();
        }
    });
    for event in decision.events() {
        count_event(event);
        by_rule.count_event(decision.rule(), event);
    }
    if let Some(backend) = decision.backend() {
        by_rule.count_request(decision, backend);
    }
}

/// Counts the decision about the response to a request.
pub(crate) fn count_response(decision: &Decision, response: &Response, by_rule: &RuleMetrics) {
    if response.issued == Some(IssueReason::Refreshed) {
        METRICS.with(|metrics| metrics.refreshed.count());
    }
    for event in response.events() {
        count_event(event);
        by_rule.count_event(decision.rule(), event);
    }
    if let Some(backend) = response.routed {
        by_rule.count_request(decision, backend);
    }
}

/// Counts an event in the counter without labels.
fn count_event(event: Event) {
    METRICS.with(|metrics| metrics.of_event(event).count());
}

/// Counts a request that passed without its session because of an error.
pub(crate) fn count_error() {
    METRICS.with(|metrics| metrics.error.count());
}

impl Metrics {
    fn of_outcome(&self, outcome: SessionOutcome) -> Option<&Metric> {
        match outcome {
            // Expired sessions are events.
            SessionOutcome::Stateless
            | SessionOutcome::New
            | SessionOutcome::ExpiredIdle
            | SessionOutcome::ExpiredAbsolute => None,
            SessionOutcome::Resumed
            | SessionOutcome::NeedsRefresh
            | SessionOutcome::BackendRemoved
            | SessionOutcome::BackendUnreachable
            | SessionOutcome::Released
            | SessionOutcome::Followed
            | SessionOutcome::VersionRemoved
            | SessionOutcome::Rebalanced => Some(&self.resumed),
            SessionOutcome::Rejected(rejection) => Some(match rejection {
                Rejection::Malformed => &self.malformed,
                Rejection::Version => &self.version,
                Rejection::UnknownKey => &self.unknown_key,
                Rejection::Foreign => &self.foreign,
                Rejection::Tampered => &self.tampered,
                Rejection::Future => &self.future,
            }),
        }
    }

    fn of_event(&self, event: Event) -> &Metric {
        match event {
            Event::New => &self.new,
            Event::Moved => &self.moved,
            Event::FailedOver => &self.failed_over,
            Event::Released => &self.released,
            Event::Followed => &self.followed,
            Event::VersionRemoved => &self.version_removed,
            Event::Rebalanced => &self.rebalanced,
            Event::Lost => &self.lost,
            Event::ExpiredIdle => &self.expired_idle,
            Event::ExpiredAbsolute => &self.expired_absolute,
            Event::BackendUnreachable => &self.unreachable,
            Event::SessionRouteMissed => &self.missed_session_route,
            Event::UnknownBackend => &self.unknown_backend,
            Event::CanaryBudgetExceeded => &self.over_budget,
        }
    }
}
