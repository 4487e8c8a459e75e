//! The results as text, for people: a table, the failures as differences, and a summary.

use super::{
    Coverage, FileResult, RequestResult,
    expect::Mismatch,
    observed::{NONE, Observed},
    run::CaseResult,
};
use crate::table::{Table, row};

/// The text of an empty cell.
const NOTHING: &str = "-";

/// How many failures are printed in full.
const MAX_FAILURES: usize = 50;

/// Renders the results. With `only_failures`, the table has no cases that passed.
#[must_use]
pub fn text(files: &[FileResult], coverage: &Coverage, only_failures: bool) -> String {
    let mut parts: Vec<String> = files.iter().filter_map(|file| table(file, only_failures)).collect();
    let failed = files
        .iter()
        .flat_map(|file| file.requests().map(move |(case, request)| (file, case, request)));
    let failed: Vec<_> = failed.filter(|(_, _, request)| !request.passed()).collect();
    let shown = failed.iter().take(MAX_FAILURES);
    parts.extend(shown.map(|(file, case, request)| failure(file, case, request)));
    if let Some(more @ 1..) = failed.len().checked_sub(MAX_FAILURES) {
        parts.push(format!("and {more} more failures\n"));
    }
    parts.extend(missing(coverage));
    parts.push(format!("{}\n", summary(files, coverage)));
    parts.join("\n")
}

fn table(file: &FileResult, only_failures: bool) -> Option<String> {
    let mut table = Table::new(["CASE", "REQUEST", "RULE", "BACKEND", "REASON", "SESSION", "RESULT"]);
    let shown = file
        .requests()
        .filter(|(_, request)| !only_failures || !request.passed());
    table.rows = shown.map(|(case, request)| cells(case, request)).collect();
    Some(format!("{}\n{}", file.name, table.render()?))
}

fn cells(case: &CaseResult, request: &RequestResult) -> Vec<String> {
    let result = if request.passed() { "passed" } else { "FAILED" };
    let text = |value: Option<&str>| value.unwrap_or(NOTHING).to_owned();
    match &request.observed {
        Ok(observed) => row([
            &case.name,
            &request.request.title(),
            &text(observed.rule.as_deref()),
            &backend(observed),
            &text(observed.reason.as_deref()),
            if observed.session == NONE {
                NOTHING
            } else {
                observed.session
            },
            result,
        ]),
        Err(_) => row([
            &case.name,
            &request.request.title(),
            NOTHING,
            NOTHING,
            NOTHING,
            NOTHING,
            result,
        ]),
    }
}

fn backend(observed: &Observed) -> String {
    match &observed.backend {
        Some(backend) => backend.clone(),
        None => format!("{NOTHING} ({})", observed.status),
    }
}

/// A failure: where the case is, its request, and the differences.
fn failure(file: &FileResult, case: &CaseResult, request: &RequestResult) -> String {
    let mut lines = vec![
        format!("FAILED {}:{}: {}", file.name, case.location.line, case.name),
        format!("  {}", request.request.title()),
    ];
    if let Err(reason) = &request.observed {
        lines.push(format!("  {reason}"));
    }
    lines.extend(request.mismatches.iter().map(|mismatch| difference(file, mismatch)));
    format!("{}\n", lines.join("\n"))
}

fn difference(file: &FileResult, mismatch: &Mismatch) -> String {
    let Mismatch {
        field,
        location,
        expected,
        found,
        help,
    } = mismatch;
    let mut text = format!(
        "  {field} ({}:{})\n  - {expected}\n  + {found}",
        file.name, location.line
    );
    if let Some(help) = help {
        text.push_str("\n  = ");
        text.push_str(help);
    }
    text
}

fn missing(coverage: &Coverage) -> Option<String> {
    let lines = coverage.missing().map(|missing| {
        let branch = missing.item.branch.as_ref();
        let branch = branch.map_or_else(String::new, |branch| format!(": {branch}"));
        format!("  {}{branch} ({}:{})\n", missing.item.rule, missing.file, missing.line)
    });
    let lines: String = lines.collect();
    (!lines.is_empty()).then(|| format!("not covered:\n{lines}"))
}

/// One line with the numbers.
fn summary(files: &[FileResult], coverage: &Coverage) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let cases = files.iter().map(|file| file.cases.len()).sum();
    let requests = || files.iter().flat_map(FileResult::requests);
    let failed = requests().filter(|(_, request)| !request.passed()).count();
    let total = requests().count();
    let outcome = match failed {
        0 => "all passed".to_owned(),
        _ => format!("{failed} failed"),
    };
    format!(
        "{} with {}: {outcome}; {} % of rules and canary branches covered ({} of {})",
        count(cases, "case"),
        count(total, "request"),
        coverage.percent(),
        coverage.covered(),
        coverage.total()
    )
}
