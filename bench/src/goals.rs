//! What a session may cost, and what it was found to cost.

use std::fmt;

use crate::{
    figures::{Series, median, quartiles, rules_label},
    gateway::Run,
    instructions::Counted,
    results::Results,
    variant::Variant,
};

use Variant::{Empty, Mooring, MooringSplit, Native, NoFilter, Pieces};

const MIB: f64 = 1024.0 * 1024.0;

/// One goal beside its figure.
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) at_most: f64,
    pub(crate) unit: Unit,
    /// In the rounds of this run; empty when it was not measured.
    pub(crate) found: Vec<f64>,
}

/// What a figure is counted in.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Ratio,
    Microseconds,
    Milliseconds,
    Seconds,
    Kilobytes,
    Mebibytes,
    None,
}

impl Goal {
    /// The figure: the middle of the rounds.
    pub(crate) fn figure(&self) -> Option<f64> {
        (!self.found.is_empty()).then(|| median(self.found.iter().copied()))
    }

    /// Whether it is met, if it was measured.
    pub(crate) fn met(&self) -> Option<bool> {
        self.figure().map(|figure| figure <= self.at_most)
    }

    /// A figure with its unit.
    pub(crate) fn show(&self, figure: f64) -> String {
        match self.unit {
            Unit::Ratio | Unit::None => format!("{figure:.2}"),
            Unit::Microseconds => format!("{figure:.1} µs"),
            Unit::Milliseconds => format!("{figure:.1} ms"),
            Unit::Seconds => format!("{figure:.2} s"),
            Unit::Kilobytes => format!("{figure:.0} KB"),
            Unit::Mebibytes => format!("{figure:.1} MiB"),
        }
    }
}

impl fmt::Display for Goal {
    /// As a row of the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = self
            .figure()
            .map_or_else(|| "not measured".to_owned(), |figure| self.show(figure));
        let spread = if self.found.len() > 1 {
            let (low, _, high) = quartiles(self.found.iter().copied());
            format!("{} to {}", self.show(low), self.show(high))
        } else {
            String::new()
        };
        let met = self.met().map_or("", |met| if met { "met" } else { "**not met**" });
        write!(
            f,
            "| {} | {} | {figure} | {spread} | {met} |",
            self.what,
            self.show(self.at_most)
        )
    }
}

/// All goals, with what these results say of them.
pub(crate) fn goals(results: &Results) -> Vec<Goal> {
    let mut goals = of_requests(results);
    goals.extend(of_configurations(results));
    goals
}

fn goal(what: &'static str, at_most: f64, unit: Unit, found: Option<Vec<f64>>) -> Goal {
    Goal {
        what,
        at_most,
        unit,
        found: found.unwrap_or_default(),
    }
}

fn of_requests(results: &Results) -> Vec<Goal> {
    let cpu = |situation, one, other| results.cpu(situation, one, other, |one, other| one / other);
    let instructions = |one, other, of: fn(&Counted) -> u64| {
        let (one, other) = (results.counted(one)?, results.counted(other)?);
        Some(vec![of(one) as f64 / of(other) as f64])
    };
    vec![
        goal(
            "CPU a request, live session, against the native cookie",
            1.10,
            Unit::Ratio,
            cpu("live", Mooring, Native),
        ),
        goal(
            "the same, the rule splits between two backends",
            1.10,
            Unit::Ratio,
            cpu("live", MooringSplit, Native),
        ),
        goal(
            "instructions a request, live session, against the native cookie",
            1.10,
            Unit::Ratio,
            instructions(Mooring, Native, |one| one.live.all),
        ),
        goal(
            "the same, the rule splits between two backends",
            1.10,
            Unit::Ratio,
            instructions(MooringSplit, Native, |one| one.live.all),
        ),
        goal(
            "what the module adds, against what an empty module adds",
            2.0,
            Unit::Ratio,
            module_alone(results),
        ),
        goal(
            "1,000 rules in the plugin configuration against 1, one route in Envoy",
            1.03,
            Unit::Ratio,
            results.ratio("rules", &rules_label(1_000), &rules_label(1), |run| run.cpu),
        ),
        goal(
            "the last of 1,000 rules in one virtual host: added to no filter",
            8.0,
            Unit::Microseconds,
            results.cpu("routes-1000", Mooring, NoFilter, |one, other| one - other),
        ),
        goal(
            "CPU a request on a route without a rule, against no filter",
            1.05,
            Unit::Ratio,
            cpu("unmatched", Mooring, NoFilter),
        ),
        goal(
            "instructions a request on a route without a rule, against no filter",
            1.05,
            Unit::Ratio,
            instructions(Mooring, NoFilter, |one| one.unmatched.all),
        ),
        goal(
            "the same in a virtual host without rules",
            1.05,
            Unit::Ratio,
            instructions(Mooring, NoFilter, |one| one.elsewhere.all)
                .filter(|ratios| ratios.iter().all(|ratio| ratio.is_finite())),
        ),
        goal(
            "p99 against the native cookie, both at 70 % of the rate that saturates the slowest",
            1.10,
            Unit::Ratio,
            results.ratio("paced", Mooring.title(), Native.title(), |run| run.p99),
        ),
    ]
}

fn of_configurations(results: &Results) -> Vec<Goal> {
    let generated = |figure: fn(&crate::generator::Generated) -> Option<f64>| {
        let largest = results.generator.iter().find(|one| one.routes == 10_000)?;
        Some(vec![figure(largest)?])
    };
    let thousand = results.scale.iter().find(|size| size.routes == 1_000);
    vec![
        goal(
            "module",
            200.0,
            Unit::Kilobytes,
            Some(vec![results.module.0 as f64 / 1000.0]),
        ),
        goal(
            "module after gzip",
            70.0,
            Unit::Kilobytes,
            Some(vec![results.module.1 as f64 / 1000.0]),
        ),
        goal(
            "memory for each worker at 1,000 routes, over the empty module",
            4.0,
            Unit::Mebibytes,
            thousand.map(|size| vec![(size.per_worker.1 - size.per_worker.0) / MIB]),
        ),
        goal(
            "a configuration of 1,000 routes is accepted in",
            50.0,
            Unit::Milliseconds,
            thousand.map(|size| size.accepted.clone()),
        ),
        goal(
            "10,000 HTTPRoutes through the generator",
            1.0,
            Unit::Seconds,
            generated(|one| Some(one.seconds)),
        ),
        goal(
            "exponent of the generator's growth",
            1.1,
            Unit::None,
            generated(|one| one.exponent),
        ),
        goal(
            "memory of the generator for 10,000 HTTPRoutes",
            300.0,
            Unit::Mebibytes,
            generated(|one| Some(one.peak_mib)),
        ),
    ]
}

/// What the module adds to the pieces beside it, in units of what an empty module adds to no filter.
fn module_alone(results: &Results) -> Option<Vec<f64>> {
    let of = |variant: Variant| {
        results
            .series("live", variant.title())
            .map(|series: &Series| &series.runs)
    };
    let (mooring, pieces, empty, none) = (of(Mooring)?, of(Pieces)?, of(Empty)?, of(NoFilter)?);
    // The floor is small and its difference of two noisy figures: only the middle of all rounds is steady.
    let differences =
        |one: &[Run], other: &[Run]| median(one.iter().zip(other).map(|(one, other)| one.cpu - other.cpu));
    let floor = differences(empty, none);
    // Where noise hides the floor there is no figure.
    (floor > 0.0).then(|| {
        mooring
            .iter()
            .zip(pieces)
            .map(|(one, other)| (one.cpu - other.cpu) / floor)
            .collect()
    })
}
