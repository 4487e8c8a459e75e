//! The tables, as Markdown.

use std::fmt::Write as _;

use crate::{
    figures::{Measured, Series, median, quartiles},
    gateway::Run,
    variant::Variant,
};

/// The ratio or difference of two series, round by round.
pub(crate) fn paired(
    one: &Series,
    other: &Series,
    figure: impl Fn(&Run) -> f64,
    of: impl Fn(f64, f64) -> f64,
) -> Vec<f64> {
    let pairs = one.runs.iter().zip(&other.runs);
    pairs.map(|(one, other)| of(figure(one), figure(other))).collect()
}

/// One situation as a table.
pub(crate) fn situation(measured: &Measured) -> String {
    let mut text = format!("### {}\n\n", capitalised(measured.title));
    if let Some(rate) = measured.target_rate {
        let _ = writeln!(text, "{rate:.0} requests a second.\n");
    }
    text.push_str(
        "| gateway | CPU µs a request | (quartiles) | against no filter | against native | requests/s | p50 µs | p99 µs | resident MiB |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let find = |variant: Variant| measured.series.iter().find(|one| one.label == variant.title());
    let first = measured.series.first();
    for one in &measured.series {
        let (low, middle, high) = quartiles(one.runs.iter().map(|run| run.cpu));
        let ratio = |base: Option<&Series>| {
            base.map_or_else(String::new, |base| {
                format!(
                    "{:.3}",
                    median(paired(one, base, |run| run.cpu, |one, base| one / base))
                )
            })
        };
        let none = find(Variant::NoFilter).or(first);
        let _ = writeln!(
            text,
            "| {} | {middle:.2} | {low:.2} to {high:.2} | {} | {} | {:.0} | {:.0} | {:.0} | {:.1} |",
            one.label,
            ratio(none),
            ratio(find(Variant::Native)),
            median(one.runs.iter().map(|run| run.rate)),
            median(one.runs.iter().map(|run| run.p50)),
            median(one.runs.iter().map(|run| run.p99)),
            one.resident as f64 / 1024.0 / 1024.0,
        );
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
