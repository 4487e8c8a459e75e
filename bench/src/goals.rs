//! What a session may cost, in instructions, and what it was found to cost.

use crate::{
    counts::{Count, Counted},
    variant::{Proxy, Setup, Variant},
};

use Variant::{Empty, Filters, Mooring, MooringSplit, Native, NoFilter};

/// How large the module may be, in bytes.
const MODULE: f64 = 300_000.0;

/// Each goal beside its figure, as Markdown. `module` is the size of the module, and its size after gzip, in bytes.
pub(crate) fn table(counted: &[Counted], module: (u64, u64)) -> String {
    let of_proxy = |proxy: Proxy, variant: Variant, figure: fn(&Counted) -> Count| {
        let wanted = |setup: Setup| setup.proxy == proxy && setup.variant == variant && setup.routes == 1;
        let one = counted.iter().find(|one| wanted(one.setup));
        one.map_or(f64::NAN, |one| figure(one).all as f64)
    };
    let of = |variant, figure| of_proxy(Proxy::Gateway, variant, figure);
    let ratio = |one, other, figure| of(one, figure) / of(other, figure);
    let in_sidecar =
        |variant, figure| of_proxy(Proxy::Sidecar, variant, figure) / of_proxy(Proxy::Sidecar, NoFilter, figure);
    let mut text = "| figure | goal: at most | counted | |\n|---|---|---|---|\n".to_owned();
    for (what, goal, found) in [
        (
            "a live session, against the native cookie",
            Some(1.43),
            ratio(Mooring, Native, |one| one.live),
        ),
        (
            "the same, with two backends",
            None,
            ratio(MooringSplit, Native, |one| one.live),
        ),
        (
            "a new session, against the native cookie",
            Some(1.60),
            ratio(Mooring, Native, |one| one.new),
        ),
        (
            "a route without a rule, in a virtual host with rules, against no filter",
            Some(1.28),
            ratio(Mooring, NoFilter, |one| one.unmatched),
        ),
        (
            "the same in a virtual host without rules",
            Some(1.02),
            ratio(Mooring, NoFilter, |one| one.elsewhere),
        ),
        (
            "a live session in a sidecar, against one without Mooring",
            None,
            in_sidecar(Mooring, |one| one.live),
        ),
        (
            "a new session in a sidecar, against one without Mooring",
            None,
            in_sidecar(Mooring, |one| one.new),
        ),
        (
            "what the module adds to a live session, in units of what an empty module adds",
            None,
            (of(Mooring, |one| one.live) - of(Filters, |one| one.live))
                / (of(Empty, |one| one.live) - of(NoFilter, |one| one.live)),
        ),
    ] {
        text += &row(what, goal, found, |figure| format!("{figure:.2}"));
    }
    let kilobytes = |bytes: f64| format!("{:.0} KB", bytes / 1000.0);
    text += &row("the module", Some(MODULE), module.0 as f64, kilobytes);
    text += &row("the same after gzip", None, module.1 as f64, kilobytes);
    text
}

fn row(what: &str, goal: Option<f64>, found: f64, show: impl Fn(f64) -> String) -> String {
    let met = goal.map_or("", |goal| if found <= goal { "met" } else { "**not met**" });
    let goal = goal.map_or_else(String::new, &show);
    format!("| {what} | {goal} | {} | {met} |\n", show(found))
}
