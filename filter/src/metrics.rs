//! Counters and gauges. Envoy shows them as `wasmcustom.<name>` on its admin port and as `<name>` to Prometheus.
//!
//! Labels are part of a name: see `mooring_policy::metric`.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell},
};

use mooring_policy::{
    canary::Canary,
    decision::{Issue, Outcome, Reason},
    metric,
    rule::{Backend, Rule},
    token::Rejection,
};

use proxy_wasm::{hostcalls, types::MetricType};

/// A counter or gauge that Envoy is told of when it is first used.
pub(crate) struct Metric {
    kind: MetricType,
    id: Cell<Option<u32>>,
}

impl Metric {
    const fn new(kind: MetricType) -> Self {
        Self {
            kind,
            id: Cell::new(None),
        }
    }

    fn id(&self, name: impl FnOnce() -> String) -> Option<u32> {
        if self.id.get().is_none() {
            self.id.set(hostcalls::define_metric(self.kind, &name()).ok());
        }
        self.id.get()
    }

    /// Adds one. A metric that Envoy refuses is not worth a request.
    fn count(&self, name: impl FnOnce() -> String) {
        if let Some(id) = self.id(name) {
            let _ = hostcalls::increment_metric(id, 1);
        }
    }
}

macro_rules! metrics {
    ($($field:ident: $kind:ident = $name:literal, $meaning:literal;)+) => {
        /// The metrics that every gateway has.
        pub(crate) struct Metrics { $(#[doc = $meaning] $field: Metric,)+ }

        impl Metrics {
            const fn new() -> Self {
                Self { $($field: Metric::new(MetricType::$kind),)+ }
            }

            /// Tells Envoy of all of them, so that they are there before the first request.
            fn define(&self) {
                $(self.$field.id(|| $name.to_owned());)+
            }
        }
    };
}

metrics! {
    sessions_off: Gauge = "mooring_sessions_off", "1 while there is no usable key.";
    keys_rejected: Gauge = "mooring_keys_rejected", "Entries of the key ring that do not count.";
    config_refused: Gauge = "mooring_config_refused", "1 while the first configuration was unreadable.";
    new: Counter = "mooring_session_new_total", "Sessions begun.";
    resumed: Counter = "mooring_session_resumed_total", "Requests of live sessions.";
    refreshed: Counter = "mooring_session_refreshed_total", "Last-seen times renewed.";
    repinned: Counter = "mooring_session_repinned_total", "Sessions moved to another host or backend.";
    failed_over: Counter = "mooring_session_failed_over_total", "Sessions moved to another backend because theirs could not be reached.";
    released: Counter = "mooring_session_released_total", "Sessions moved to another backend because the weight of theirs is 0.";
    unreachable: Counter = "mooring_backend_unreachable_total", "Requests that failed because the backend of their session route could not be reached.";
    lost: Counter = "mooring_session_lost_total", "Strict sessions ended because their host is gone.";
    expired_idle: Counter = "mooring_session_expired_idle_total", "Sessions ended by silence.";
    expired_absolute: Counter = "mooring_session_expired_absolute_total", "Sessions ended by age.";
    malformed: Counter = "mooring_token_rejected_malformed_total", "Values that are no token.";
    version: Counter = "mooring_token_rejected_version_total", "Tokens of another format version.";
    unknown_key: Counter = "mooring_token_rejected_unknown_key_total", "Tokens whose key is not in the ring.";
    foreign: Counter = "mooring_token_rejected_foreign_total", "Tokens of another rule or session name.";
    tampered: Counter = "mooring_token_rejected_tampered_total", "Tokens with a broken seal.";
    future: Counter = "mooring_token_rejected_future_total", "Tokens issued in the future.";
    missed: Counter = "mooring_session_route_missed_total", "Requests that asked for a session route and did not reach its backend.";
    unknown_backend: Counter = "mooring_unknown_backend_total", "Responses of a cluster that is not a backend of the rule.";
    over_budget: Counter = "mooring_canary_budget_exceeded_total", "Requests whose canary conditions would have taken too long.";
    passed_through: Counter = "mooring_passed_through_total", "Requests on routes without a rule, in virtual hosts that have rules.";
    error: Counter = "mooring_error_total", "Requests that passed because something went wrong.";
}

thread_local! {
    /// A module has one thread; metrics belong to it and not to a configuration.
    static METRICS: Metrics = const { Metrics::new() };
}

/// Tells Envoy of the metrics that every gateway has.
pub(crate) fn define() {
    METRICS.with(Metrics::define);
}

/// Sets the gauges after a configuration.
pub(crate) fn gauges(sessions_off: bool, config_refused: bool, keys_rejected: usize) {
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

fn count(choose: impl FnOnce(&Metrics) -> Option<&Metric>) {
    METRICS.with(|metrics| {
        if let Some(metric) = choose(metrics) {
            metric.count(String::new);
        }
    });
}

/// Counts what the tokens of a request came to.
pub(crate) fn count_outcome(outcome: Outcome) {
    count(|metrics| match outcome {
        Outcome::Stateless | Outcome::New => None,
        Outcome::Resumed | Outcome::RefreshDue | Outcome::BackendGone | Outcome::BackendDown | Outcome::Released => {
            Some(&metrics.resumed)
        }
        Outcome::ExpiredIdle => Some(&metrics.expired_idle),
        Outcome::ExpiredAbsolute => Some(&metrics.expired_absolute),
        Outcome::Rejected(rejection) => Some(match rejection {
            Rejection::Malformed => &metrics.malformed,
            Rejection::Version => &metrics.version,
            Rejection::UnknownKey => &metrics.unknown_key,
            Rejection::Foreign => &metrics.foreign,
            Rejection::Tampered => &metrics.tampered,
            Rejection::Future => &metrics.future,
        }),
    });
}

/// Counts a token that was sent.
pub(crate) fn count_issue(issue: Issue) {
    count(|metrics| {
        Some(match issue {
            Issue::New => &metrics.new,
            Issue::Repinned => &metrics.repinned,
            Issue::Refreshed => &metrics.refreshed,
            Issue::Ended => &metrics.lost,
        })
    });
}

/// Counts a request whose canary conditions would have taken too long.
pub(crate) fn count_over_budget() {
    count(|metrics| Some(&metrics.over_budget));
}

/// Counts a request that asked for a session route and did not reach its backend.
pub(crate) fn count_missed_session_route() {
    count(|metrics| Some(&metrics.missed));
}

/// Counts a session that moved to another backend because its own could not be reached.
pub(crate) fn count_failed_over() {
    count(|metrics| Some(&metrics.failed_over));
}

/// Counts a session that moved to another backend because the sessions on its own are released.
pub(crate) fn count_released() {
    count(|metrics| Some(&metrics.released));
}

/// Counts a request that failed because the backend of its session route could not be reached.
pub(crate) fn count_unreachable() {
    count(|metrics| Some(&metrics.unreachable));
}

/// Counts a response of a cluster that is not a backend of the rule.
pub(crate) fn count_unknown_backend() {
    count(|metrics| Some(&metrics.unknown_backend));
}

/// Counts a request on a route without a rule.
pub(crate) fn count_passed_through() {
    count(|metrics| Some(&metrics.passed_through));
}

/// Counts a request that passed because something went wrong.
pub(crate) fn count_error() {
    count(|metrics| Some(&metrics.error));
}

/// The requests of each rule, by backend and reason. Envoy is told of a counter when it is first used: a gateway with a
/// thousand rules would otherwise define thousands that nobody sees.
#[derive(Default)]
pub(crate) struct BackendMetrics {
    rules: Box<[OnceCell<Box<[ByReason]>>]>,
}

/// The counters of one backend.
struct ByReason {
    session: Metric,
    split: Metric,
    hash: Metric,
    failover: Metric,
    single: Metric,
    /// By forcing rule.
    forced: Box<[Metric]>,
}

impl ByReason {
    fn new(rule: &Rule) -> Self {
        let forcing_rules = rule.canary().map_or(0, Canary::rule_count);
        Self {
            session: Metric::new(MetricType::Counter),
            split: Metric::new(MetricType::Counter),
            hash: Metric::new(MetricType::Counter),
            failover: Metric::new(MetricType::Counter),
            single: Metric::new(MetricType::Counter),
            forced: (0..forcing_rules).map(|_| Metric::new(MetricType::Counter)).collect(),
        }
    }
}

impl BackendMetrics {
    /// Room for this many rules.
    pub(crate) fn new(rules: usize) -> Self {
        Self {
            rules: (0..rules).map(|_| OnceCell::new()).collect(),
        }
    }

    /// Counts a request to the backend at `position` of the rule.
    pub(crate) fn count(&self, rule: &Rule, position: usize, reason: Reason) {
        let Some(backends) = self.rules.get(rule.position()) else {
            return;
        };
        let backends = backends.get_or_init(|| rule.backends().iter().map(|_| ByReason::new(rule)).collect());
        let Some(counters) = backends.get(position) else {
            return;
        };
        let counter = match reason {
            Reason::Session => Some(&counters.session),
            Reason::Split => Some(&counters.split),
            Reason::Hash => Some(&counters.hash),
            Reason::Failover => Some(&counters.failover),
            Reason::Single => Some(&counters.single),
            Reason::Forced(forcing) => counters.forced.get(forcing),
        };
        let Some(counter) = counter else {
            return;
        };
        counter.count(|| {
            let key = rule.backends().get(position).map_or("", Backend::key);
            let reason = match reason {
                Reason::Session => "session".into(),
                Reason::Split => "split".into(),
                Reason::Hash => "hash".into(),
                Reason::Failover => "failover".into(),
                Reason::Single => "single".into(),
                Reason::Forced(forcing) => {
                    let name = rule.canary().and_then(|canary| canary.rule_name(forcing));
                    Cow::from(["forced:", name.unwrap_or_default()].concat())
                }
            };
            metric::backend_requests(rule.id(), key, &reason)
        });
    }
}
