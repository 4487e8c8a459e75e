//! The metrics of the controller, which docs/metrics.md documents.
//!
//! Values of labels are kinds, outcomes, rules and backends: their number follows the objects of the cluster, never the number of
//! requests or errors.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use mooring_generator::incremental::Weights;
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Metric, Registry},
};

// The names as Prometheus shows them.
const BUILD_INFO: &str = "mooring_controller_build_info";
const LEADER: &str = "mooring_controller_leader";
const RECONCILES: &str = "mooring_controller_reconciles_total";
const ERRORS: &str = "mooring_controller_errors_total";
const PLAN: &str = "mooring_controller_plan_duration_seconds";
const LAST_APPLY: &str = "mooring_controller_last_apply_timestamp_seconds";
const OBJECTS: &str = "mooring_controller_objects";
const OUT_OF_DATE: &str = "mooring_controller_objects_out_of_date";
const WRITES: &str = "mooring_controller_writes_total";
const FOREIGN_EDITS: &str = "mooring_controller_foreign_edits_total";
const WEIGHT: &str = "mooring_controller_backend_weight";
const POLICIES: &str = "mooring_controller_policies";
const WATCH_RESTARTS: &str = "mooring_controller_watch_restarts_total";

type Labels<const N: usize> = [(&'static str, String); N];

/// Which part of the controller had an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Watching a kind.
    Watch,
    /// Planning: the plan of the parts was not that of the whole.
    Plan,
    /// Writing or deleting a generated object.
    Apply,
    /// Writing the status of a policy, or an event.
    Status,
    /// The key ring and its rotation.
    Keys,
    /// Reading or renewing the Lease.
    Lease,
}

impl Stage {
    const ALL: [Self; 6] = [
        Self::Watch,
        Self::Plan,
        Self::Apply,
        Self::Status,
        Self::Keys,
        Self::Lease,
    ];

    /// The value of the label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Status => "status",
            Self::Keys => "keys",
            Self::Lease => "lease",
        }
    }
}

/// What a write does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Write {
    /// Creates or changes an object.
    Apply,
    /// Deletes an object.
    Delete,
    /// Changes the status of a policy.
    Status,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The API server has accepted it.
    Written,
    /// Another writer has changed the object, or owns it.
    Conflict,
    /// The API server or a webhook refuses it.
    Refused,
    /// It failed, and is tried again.
    Failed,
}

/// All metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

struct Shared {
    registry: Registry,
    leader: Gauge,
    reconciles: Counter,
    errors: Family<Labels<1>, Counter>,
    plan: Histogram,
    last_apply: Gauge,
    objects: Series<1>,
    out_of_date: Gauge,
    writes: Family<Labels<3>, Counter>,
    foreign_edits: Family<Labels<1>, Counter>,
    weights: Series<2>,
    policies: Series<2>,
    watch_restarts: Family<Labels<1>, Counter>,
}

/// Gauges whose labels come and go with objects.
#[derive(Default)]
struct Series<const N: usize> {
    family: Family<Labels<N>, Gauge>,
    present: Mutex<BTreeSet<Labels<N>>>,
}

impl<const N: usize> Series<N> {
    /// These gauges and no others.
    fn set(&self, values: impl IntoIterator<Item = (Labels<N>, i64)>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = std::mem::take(&mut *present);
        for (labels, value) in values {
            self.family.get_or_create(&labels).set(value);
            gone.remove(&labels);
            present.insert(labels);
        }
        for labels in gone {
            self.family.remove(&labels);
        }
    }
}

/// Registers a metric under a name of this page. The encoder itself adds `_total` to counters.
fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name.trim_end_matches("_total"), help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics of a controller that has done nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let mut all = Registry::default();
        let build = Family::<Labels<1>, Gauge>::default();
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())])
            .set(1);
        register(&mut all, BUILD_INFO, "The version of the controller", build);
        // From 1 ms to 65 s.
        let plan = Histogram::new(exponential_buckets(0.001, 4.0, 9));
        let (objects, weights, policies) = (Series::default(), Series::default(), Series::default());
        register(&mut all, OBJECTS, "Generated objects by kind", objects.family.clone());
        register(
            &mut all,
            WEIGHT,
            "The weight of a backend in its route",
            weights.family.clone(),
        );
        register(&mut all, POLICIES, "Policies by state", policies.family.clone());
        let shared = Shared {
            leader: register(&mut all, LEADER, "1 while this replica writes", Gauge::default()),
            reconciles: register(
                &mut all,
                RECONCILES,
                "Rounds of planning and writing",
                Counter::default(),
            ),
            errors: register(&mut all, ERRORS, "Errors by where they happened", Family::default()),
            plan: register(&mut all, PLAN, "The duration of plans", plan),
            last_apply: register(
                &mut all,
                LAST_APPLY,
                "When all objects were up to date last, in seconds since 1970",
                Gauge::default(),
            ),
            objects,
            out_of_date: register(
                &mut all,
                OUT_OF_DATE,
                "Objects that differ from the plan",
                Gauge::default(),
            ),
            writes: register(&mut all, WRITES, "Writes by resource and result", Family::default()),
            foreign_edits: register(
                &mut all,
                FOREIGN_EDITS,
                "Changes of generated objects by other writers that were put back",
                Family::default(),
            ),
            weights,
            policies,
            watch_restarts: register(
                &mut all,
                WATCH_RESTARTS,
                "Watches that began again with a list",
                Family::default(),
            ),
            registry: all,
        };
        for stage in Stage::ALL {
            drop(shared.errors.get_or_create(&[("stage", stage.name().to_owned())]));
        }
        Self(Arc::new(shared))
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.0.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }

    /// Whether this replica writes.
    pub fn leader(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }

    /// A round of planning and writing has ended.
    pub fn reconciled(&self) {
        self.0.reconciles.inc();
    }

    /// An error, which the log describes.
    pub fn error(&self, stage: Stage) {
        self.0.errors.get_or_create(&[("stage", stage.name().to_owned())]).inc();
    }

    /// A plan took this long.
    pub fn planned(&self, duration: Duration) {
        self.0.plan.observe(duration.as_secs_f64());
    }

    /// The number of objects of the plan by kind, and how many of them, or of those to delete, are not as the plan wants them.
    pub fn objects(&self, by_kind: &BTreeMap<&str, usize>, out_of_date: usize) {
        let values = by_kind
            .iter()
            .map(|(kind, count)| ([("kind", (*kind).to_owned())], gauge_value(*count)));
        self.0.objects.set(values);
        self.0.out_of_date.set(gauge_value(out_of_date));
    }

    /// Nothing is left to do but what is refused or belongs to another writer.
    pub fn settled(&self) {
        self.0.last_apply.set(Timestamp::now().as_second());
    }

    /// An object was written, or could not be.
    pub fn wrote(&self, resource: &str, write: Write, outcome: Outcome) {
        let write = match write {
            Write::Apply => "apply",
            Write::Delete => "delete",
            Write::Status => "status",
        };
        let result = match outcome {
            Outcome::Written => "written",
            Outcome::Conflict => "conflict",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        };
        let labels = [
            ("resource", resource.to_owned()),
            ("write", write.to_owned()),
            ("result", result.to_owned()),
        ];
        self.0.writes.get_or_create(&labels).inc();
    }

    /// How many changes by other writers were put back since the start, by kind.
    pub fn foreign_edits(&self, totals: &BTreeMap<String, u64>) {
        for (kind, total) in totals {
            let counter = self.0.foreign_edits.get_or_create_owned(&[("kind", kind.clone())]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    /// The weights of all rules that Mooring manages, by the identity of the rule and the name of the backend.
    pub fn weights(&self, weights: &Weights) {
        let values = weights.iter().map(|((rule, backend), weight)| {
            let labels = [("mooring_route", rule.clone()), ("mooring_backend", backend.clone())];
            (labels, i64::from(*weight))
        });
        self.0.weights.set(values);
    }

    /// The number of policies by kind and state.
    pub fn policies(&self, by_state: &BTreeMap<(&str, &str), usize>) {
        let values = by_state.iter().map(|((kind, state), count)| {
            (
                [("kind", (*kind).to_owned()), ("state", (*state).to_owned())],
                gauge_value(*count),
            )
        });
        self.0.policies.set(values);
    }

    /// A watch of this kind began again with a list.
    pub fn watch_restarted(&self, kind: &str) {
        self.0.watch_restarts.get_or_create(&[("kind", kind.to_owned())]).inc();
    }
}

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_one_suffix_and_exist_from_the_start() {
        let metrics = Metrics::new();
        let text = metrics.text();
        assert!(text.contains(&format!("{ERRORS}{{stage=\"apply\"}} 0\n")), "{text}");
        metrics.error(Stage::Apply);
        let text = metrics.text();
        assert!(
            text.contains("mooring_controller_errors_total{stage=\"apply\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("mooring_controller_reconciles_total 0\n"), "{text}");
        assert!(!text.contains("_total_total"), "{text}");
    }

    #[test]
    fn a_backend_that_left_has_no_weight() {
        let metrics = Metrics::new();
        let weight = |backend: &str, weight| (("HTTPRoute/shop/cart/main".to_owned(), backend.to_owned()), weight);
        metrics.weights(&[weight("v1", 90), weight("v2", 10)].into());
        metrics.weights(&[weight("v1", 100)].into());
        let text = metrics.text();
        let series: Vec<&str> = text.lines().filter(|line| line.starts_with(WEIGHT)).collect();
        assert_eq!(
            series,
            [r#"mooring_controller_backend_weight{mooring_route="HTTPRoute/shop/cart/main",mooring_backend="v1"} 100"#]
        );
    }

    #[test]
    fn edits_of_others_are_counted_from_their_total() {
        let metrics = Metrics::new();
        for total in [1, 3, 3] {
            metrics.foreign_edits(&BTreeMap::from([("WasmPlugin".to_owned(), total)]));
        }
        let line = format!("{FOREIGN_EDITS}{{kind=\"WasmPlugin\"}} 3\n");
        assert!(metrics.text().contains(&line), "{}", metrics.text());
    }
}
