//! Counters and gauges. Envoy shows them as `wasmcustom.<name>` on its admin port and as `<name>` to Prometheus.
//!
//! Labels are part of a name: see `mooring_policy::metric`.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell},
};

use mooring_policy::{
    backend::Backend,
    canary::RuleCanary,
    decision::{Decision, IssueReason, Reason, Response, SessionOutcome},
    gateway::RuleLookup,
    metric,
    rule::Rule,
    token::Rejection,
};
use proxy_wasm::{hostcalls, types::MetricType};

/// A counter or gauge, which is defined in Envoy when it is first used.
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

    const fn counter() -> Self {
        Self::new(MetricType::Counter)
    }

    fn id(&self, name: impl FnOnce() -> String) -> Option<u32> {
        if self.id.get().is_none() {
            self.id.set(hostcalls::define_metric(self.metric_type, &name()).ok());
        }
        self.id.get()
    }

    /// Adds one. An error is ignored: it must not affect the request.
    fn count(&self, name: impl FnOnce() -> String) {
        if let Some(id) = self.id(name) {
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
                $(self.$field.id(|| $name.to_owned());)+
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
pub(crate) fn count_passed_through(lookup: &RuleLookup) {
    METRICS.with(|metrics| {
        if matches!(lookup, RuleLookup::SessionRoute) {
            metrics.client_keys.count_defined();
            return;
        }
        metrics.passed_through.count_defined();
        metrics
            .unknown_backend
            .count_if(matches!(lookup, RuleLookup::OtherBackend));
    });
}

/// Counts the decision about a request.
pub(crate) fn count_decision(decision: &Decision) {
    METRICS.with(|metrics| {
        if let Some(counter) = metrics.of_outcome(decision.session_outcome()) {
            counter.count_defined();
        }
        metrics.over_budget.count_if(decision.over_budget());
    });
}

/// Counts the decision about a response.
pub(crate) fn count_response(response: &Response) {
    METRICS.with(|metrics| {
        metrics.missed_session_route.count_if(response.missed_session_route);
        metrics.unknown_backend.count_if(response.unknown_backend);
        metrics.unreachable.count_if(response.unreachable.is_some());
        metrics.failed_over.count_if(response.failed_over);
        metrics.released.count_if(response.released);
        if let Some(reason) = response.issued {
            metrics.of_issue(reason).count_defined();
        }
    });
}

/// Counts a request that passed without its session because of an error.
pub(crate) fn count_error() {
    METRICS.with(|metrics| metrics.error.count_defined());
}

impl Metric {
    /// Adds one to a metric that is already defined.
    fn count_defined(&self) {
        self.count(String::new);
    }

    fn count_if(&self, condition: bool) {
        if condition {
            self.count_defined();
        }
    }
}

impl Metrics {
    fn of_outcome(&self, outcome: SessionOutcome) -> Option<&Metric> {
        match outcome {
            SessionOutcome::Stateless | SessionOutcome::New => None,
            SessionOutcome::Resumed
            | SessionOutcome::NeedsRefresh
            | SessionOutcome::BackendRemoved
            | SessionOutcome::BackendUnreachable
            | SessionOutcome::Released => Some(&self.resumed),
            SessionOutcome::ExpiredIdle => Some(&self.expired_idle),
            SessionOutcome::ExpiredAbsolute => Some(&self.expired_absolute),
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

    fn of_issue(&self, reason: IssueReason) -> &Metric {
        match reason {
            IssueReason::New => &self.new,
            IssueReason::Moved => &self.moved,
            IssueReason::Refreshed => &self.refreshed,
            IssueReason::Ended => &self.lost,
        }
    }
}

/// Counts the requests of each rule by backend and reason. A counter is defined in Envoy when it is first used: otherwise a
/// gateway with a thousand rules would define thousands of unused counters.
#[derive(Default)]
pub(crate) struct BackendMetrics {
    rules: Box<[OnceCell<Box<[ReasonMetrics]>>]>,
}

/// The counters of one backend.
struct ReasonMetrics {
    session: Metric,
    split: Metric,
    hash: Metric,
    failover: Metric,
    single: Metric,
    /// By match rule.
    canary: Box<[Metric]>,
}

impl ReasonMetrics {
    fn new(rule: &Rule) -> Self {
        let match_rules = rule.canary().map_or(0, RuleCanary::rule_count);
        Self {
            session: Metric::counter(),
            split: Metric::counter(),
            hash: Metric::counter(),
            failover: Metric::counter(),
            single: Metric::counter(),
            canary: (0..match_rules).map(|_| Metric::counter()).collect(),
        }
    }

    fn of_reason(&self, reason: Reason) -> Option<&Metric> {
        match reason {
            Reason::Session => Some(&self.session),
            Reason::Split => Some(&self.split),
            Reason::Hash => Some(&self.hash),
            Reason::Failover => Some(&self.failover),
            Reason::Single => Some(&self.single),
            Reason::CanaryRule(position) => self.canary.get(position),
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

    /// Counts a request to the backend at `position` of its rule.
    pub(crate) fn count(&self, decision: &Decision, position: usize) {
        let (rule, reason) = (decision.rule(), decision.reason());
        let Some(backends) = self.rules.get(rule.position()) else {
            return;
        };
        let backends = backends.get_or_init(|| rule.backends().iter().map(|_| ReasonMetrics::new(rule)).collect());
        let counter = backends.get(position).and_then(|metrics| metrics.of_reason(reason));
        if let Some(counter) = counter {
            counter.count(|| {
                let key = rule.backends().get(position).map_or("", Backend::key);
                metric::backend_requests(rule.id(), key, &label(rule, reason))
            });
        }
    }
}

/// The label for a reason.
fn label(rule: &Rule, reason: Reason) -> Cow<'static, str> {
    match reason {
        Reason::Session => "session".into(),
        Reason::Split => "split".into(),
        Reason::Hash => "hash".into(),
        Reason::Failover => "failover".into(),
        Reason::Single => "single".into(),
        Reason::CanaryRule(position) => {
            let name = rule.canary().and_then(|canary| canary.rule_name(position));
            Cow::from(["canary:", name.unwrap_or_default()].concat())
        }
    }
}
