//! The tables, as Markdown.

use std::fmt::Write as _;

use crate::{
    figures::{Measured, median, quartiles},
    functions::Function,
    generator::Generated,
    goals::goals,
    instructions::Counted,
    results::Results,
    scale::Size,
    update::Updates,
    variant::Variant,
};

use Variant::{Empty, Mooring, MooringSplit, NoFilter, Pieces};

const MIB: f64 = 1024.0 * 1024.0;

/// All of it.
pub(crate) fn report(results: &Results) -> String {
    let mut text = format!("{}\n{}", noise(results), goal_table(results));
    text += &added(results);
    text += &instructions(&results.instructions);
    for measured in &results.situations {
        text += &situation(results, measured);
    }
    text += &functions(&results.functions);
    text += &scale(&results.scale);
    text += &updates(results.updates.as_ref());
    text += &generator(&results.generator);
    text
}

/// On what it was measured, and how steady it was.
fn noise(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "Measured on {} with {} processors, {}, Envoy {}. Load of the machine before the start (processes that wanted a \
         processor, mean of a minute): {:.1}.",
        machine.processor, machine.processors, machine.kernel, machine.envoy, machine.load
    );
    if let Some(series) = results.series("live", NoFilter.title()) {
        let (low, middle, high) = quartiles(series.runs.iter().map(|run| run.cpu));
        let _ = write!(
            text,
            " Noise: in {} rounds the processor time of *no filter* had its middle half within {:.1} % of the median.",
            series.runs.len(),
            (high - middle).max(middle - low) / middle * 100.0
        );
    }
    text + "\n"
}

/// Each goal beside its figure.
fn goal_table(results: &Results) -> String {
    let mut text = "| figure | goal: at most | median | quartiles | |\n|---|---|---|---|---|\n".to_owned();
    for goal in goals(results) {
        let _ = writeln!(text, "{goal}");
    }
    text + "\n"
}

/// What each part of a live session costs.
fn added(results: &Results) -> String {
    let steps = [
        ("a module at all: the empty one, over no filter", Empty, NoFilter),
        ("the pieces beside the module, over no filter", Pieces, NoFilter),
        ("the module, over the pieces", Mooring, Pieces),
        ("a second backend", MooringSplit, Mooring),
        ("all of it, one backend, over no filter", Mooring, NoFilter),
    ];
    let rows: String = steps
        .into_iter()
        .filter_map(|(what, one, other)| {
            let (low, middle, high) = quartiles(results.cpu("live", one, other, |one, other| one - other)?);
            Some(format!("| {what} | {middle:.1} | {low:.1} to {high:.1} |\n"))
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### Where the time goes\n\nA live session, HTTP/1.1:\n\n| | CPU µs a request | quartiles |\n|---|---|---|\n{rows}\n"
    )
}

/// Instructions for one request.
fn instructions(counted: &[Counted]) -> String {
    let thousands = |count: u64| count as f64 / 1000.0;
    let row = |one: &Counted| {
        let ratio = |base: Variant| {
            let is_base = |other: &&Counted| other.label == base.title() && other.routes == one.routes;
            let base = counted.iter().find(is_base);
            base.map_or_else(String::new, |base| {
                format!("{:.3}", one.live.all as f64 / base.live.all as f64)
            })
        };
        format!(
            "| {} | {} | {:.1} | {:.1} | {} | {} | {:.1} | {:.1} | {:.1} |\n",
            one.label,
            one.routes,
            thousands(one.live.all),
            thousands(one.live.module),
            ratio(NoFilter),
            ratio(Variant::Native),
            thousands(one.new.all),
            thousands(one.unmatched.all),
            thousands(one.elsewhere.all),
        )
    };
    let rows: String = counted.iter().map(row).collect();
    section(
        "Instructions",
        "In thousands for one request over HTTP/1.1, those of the kernel not counted.\n\n\
         | gateway | rules | live session | of these the module's own | against no filter | against native | new session | on a route without a rule | in a virtual host without rules |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        &rows,
    )
}

/// One situation as a table.
pub(crate) fn situation(results: &Results, measured: &Measured) -> String {
    let mut text = format!("### {}\n\n", capitalised(&measured.title));
    if let Some(rate) = measured.target_rate {
        let _ = writeln!(text, "{rate:.0} requests a second in the median round.\n");
    }
    text.push_str(
        "| gateway | CPU µs a request | quartiles | least | against no filter | against native | requests/s | p50 µs | p99 µs | resident MiB |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    let first = measured
        .series
        .first()
        .map(|one| one.label.as_str())
        .unwrap_or_default();
    for one in &measured.series {
        let (low, middle, high) = quartiles(one.runs.iter().map(|run| run.cpu));
        let least = one.runs.iter().map(|run| run.cpu).fold(f64::INFINITY, f64::min);
        let ratio = |base: &str| {
            let ratios = results.ratio(&measured.name, &one.label, base, |run| run.cpu);
            ratios.map_or_else(String::new, |ratios| format!("{:.3}", median(ratios)))
        };
        let _ = writeln!(
            text,
            "| {} | {middle:.2} | {low:.2} to {high:.2} | {least:.2} | {} | {} | {:.0} | {:.0} | {:.0} | {:.1} |",
            one.label,
            ratio(first),
            ratio(Variant::Native.title()),
            median(one.runs.iter().map(|run| run.rate)),
            median(one.runs.iter().map(|run| run.p50)),
            median(one.runs.iter().map(|run| run.p99)),
            one.resident as f64 / MIB,
        );
    }
    text + "\n"
}

/// The functions of the policy, natively and inside Envoy.
pub(crate) fn functions(functions: &[Function]) -> String {
    let rows: String = functions
        .iter()
        .map(|one| {
            let (native, in_envoy) = (one.native as f64 / 1000.0, one.in_envoy as f64 / 1000.0);
            format!(
                "| {} | {native:.2} | {in_envoy:.2} | {:.1} |\n",
                one.name,
                in_envoy / native
            )
        })
        .collect();
    section(
        "Functions of the policy",
        "| | native µs | in Envoy's V8 µs | ratio |\n|---|---|---|---|\n",
        &rows,
    )
}

/// Configurations of many routes in Envoy.
pub(crate) fn scale(sizes: &[Size]) -> String {
    let rows: String = sizes
        .iter()
        .map(|size| {
            let (low, middle, high) = quartiles(size.accepted.iter().copied());
            format!(
                "| {} | {:.0} | {middle:.1} | {low:.1} to {high:.1} | {:.1} | {:.1} | {:.2} | {:.2} |\n",
                size.routes,
                size.configuration as f64 / 1000.0,
                size.resident.0 / MIB,
                size.resident.1 / MIB,
                size.per_worker.0 / MIB,
                size.per_worker.1 / MIB,
            )
        })
        .collect();
    section(
        "Configurations of many routes",
        "| routes | plugin configuration KB | accepted in ms | quartiles | resident MiB, empty module | Mooring | MiB for each worker, empty module | Mooring |\n\
         |---|---|---|---|---|---|---|---|\n",
        &rows,
    )
}

/// Updates under load.
pub(crate) fn updates(updates: Option<&Updates>) -> String {
    let Some(updates) = updates else {
        return String::new();
    };
    let (low, middle, high) = quartiles(updates.taken.iter().copied());
    format!(
        "### Updates under load\n\nThe configuration of {} routes was replaced {} times (by LDS) while clients with sessions sent {} \
         requests: {} were cut off, {} were answered wrongly. Each took {middle:.0} ms ({low:.0} to {high:.0}) until Envoy worked with it and the old listener was gone.\n\n",
        updates.routes,
        updates.taken.len(),
        updates.requests,
        updates.cut,
        updates.wrong,
    )
}

/// The generator's growth.
pub(crate) fn generator(sizes: &[Generated]) -> String {
    let rows: String = sizes
        .iter()
        .map(|one| {
            let exponent = one
                .exponent
                .map_or_else(String::new, |exponent| format!("{exponent:.2}"));
            format!(
                "| {} | {:.3} | {:.0} | {exponent} |\n",
                one.routes, one.seconds, one.peak_mib
            )
        })
        .collect();
    section(
        "The generator",
        "| HTTPRoutes | seconds | peak MiB | exponent |\n|---|---|---|---|\n",
        &rows,
    )
}

fn section(title: &str, head: &str, rows: &str) -> String {
    if rows.is_empty() {
        String::new()
    } else {
        format!("### {title}\n\n{head}{rows}\n")
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
