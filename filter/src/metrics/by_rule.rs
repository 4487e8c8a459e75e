//! Counters and gauges with the id of a rule as a label.
//!
//! A counter is defined in Envoy when it is first used: otherwise a gateway with a thousand rules would define thousands of unused
//! counters.

use std::cell::{Cell, OnceCell, RefCell};

use mooring_policy::{
    backend::Backend,
    canary::RuleCanary,
    decision::{Decision, Event, Reason},
    metric::{self, Numbers, WeightGauges},
    routes::RouteTable,
    rule::Rule,
};
use proxy_wasm::{hostcalls, types::MetricType};

/// The metrics with labels that this VM has defined.
#[derive(Default)]
struct Defined {
    /// Their ids by name. Envoy makes a new id each time a metric is defined and keeps it, so a VM defines each metric once, and
    /// not once for each configuration.
    ids: Numbers,
    weights: WeightGauges,
}

thread_local! {
    /// The metrics belong to the VM, which has one thread, and not to a configuration.
    static DEFINED: RefCell<Defined> = RefCell::default();
}

impl Defined {
    fn id(&mut self, metric_type: MetricType, name: String) -> Option<u32> {
        if let Some(id) = self.ids.get(&name) {
            return Some(id);
        }
        let id = hostcalls::define_metric(metric_type, &name).ok()?;
        self.ids.set(name, id);
        Some(id)
    }
}

/// A counter, which is defined in Envoy when it is first used.
#[derive(Default)]
struct Counter(Cell<Option<u32>>);

impl Counter {
    /// Adds one. An error is ignored: it must not affect the request.
    fn count(&self, name: impl FnOnce() -> String) {
        if self.0.get().is_none() {
            self.0
                .set(DEFINED.with_borrow_mut(|defined| defined.id(MetricType::Counter, name())));
        }
        if let Some(id) = self.0.get() {
            let _ = hostcalls::increment_metric(id, 1);
        }
    }
}

/// Sets the gauges for the weights of a plugin's backends, and those of backends that are gone to 0.
pub(crate) fn set_weights(plugin: &str, routes: &RouteTable) {
    DEFINED.with_borrow_mut(|defined| {
        for (name, weight) in defined.weights.replace(plugin, metric::weights(routes)) {
            if let Some(id) = defined.id(MetricType::Gauge, name) {
                let _ = hostcalls::record_metric(id, weight.into());
            }
        }
    });
}

/// The counters of each rule of a configuration.
#[derive(Default)]
pub(crate) struct RuleMetrics {
    rules: Box<[RuleCounters]>,
}

#[derive(Default)]
struct RuleCounters {
    /// By backend and reason.
    requests: OnceCell<Box<[ReasonCounters]>>,
    /// By event, as far as they have happened.
    events: RefCell<Vec<(Event, Counter)>>,
}

/// The counters of one backend.
struct ReasonCounters {
    session: Counter,
    split: Counter,
    hash: Counter,
    failover: Counter,
    single: Counter,
    /// By match rule.
    canary: Box<[Counter]>,
}

impl ReasonCounters {
    fn new(rule: &Rule) -> Self {
        let match_rules = rule.canary().map_or(0, RuleCanary::rule_count);
        Self {
            session: Counter::default(),
            split: Counter::default(),
            hash: Counter::default(),
            failover: Counter::default(),
            single: Counter::default(),
            canary: (0..match_rules).map(|_| Counter::default()).collect(),
        }
    }

    fn of_reason(&self, reason: Reason) -> Option<&Counter> {
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

impl RuleMetrics {
    /// Room for this many rules.
    pub(crate) fn new(rules: usize) -> Self {
        Self {
            rules: (0..rules).map(|_| RuleCounters::default()).collect(),
        }
    }

    /// Counts a request to the backend at `position` of its rule.
    pub(super) fn count_request(&self, decision: &Decision, position: usize) {
        let (rule, reason) = (decision.rule(), decision.reason());
        let Some(RuleCounters { requests, .. }) = self.rules.get(rule.position()) else {
            return;
        };
        let backends = requests.get_or_init(|| rule.backends().iter().map(|_| ReasonCounters::new(rule)).collect());
        let counter = backends.get(position).and_then(|metrics| metrics.of_reason(reason));
        if let Some(counter) = counter {
            counter.count(|| {
                let key = rule.backends().get(position).map_or("", Backend::key);
                metric::backend_requests(rule.id(), key, &reason.label(rule))
            });
        }
    }

    /// Counts an event of a rule.
    pub(super) fn count_event(&self, rule: &Rule, event: Event) {
        let Some(RuleCounters { events, .. }) = self.rules.get(rule.position()) else {
            return;
        };
        let mut events = events.borrow_mut();
        let known = events.iter().position(|(other, _)| *other == event);
        let position = known.unwrap_or_else(|| {
            events.push((event, Counter::default()));
            events.len().saturating_sub(1)
        });
        if let Some((_, counter)) = events.get(position) {
            counter.count(|| metric::rule_events(rule.id(), event.label()));
        }
    }
}
