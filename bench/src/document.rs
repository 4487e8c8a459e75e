//! The tables and the chart in the documentation.

use anyhow::{Context as _, Result, ensure};
use mooring_tests::settings;

use crate::{chart, results::Results};

const BEGIN: &str = "<!-- What follows was written by `make bench ARGS=--write`. -->\n";
const END: &str = "<!-- The end of what was written. -->\n";

/// Puts the report between the marks in `docs/performance.md`, and the chart into `docs/performance.svg`.
pub(crate) fn write(results: &Results, report: &str) -> Result<()> {
    let docs = settings::workspace().join("docs");
    let file = docs.join("performance.md");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let (before, rest) = text
        .split_once(BEGIN)
        .context("docs/performance.md has no mark where to begin")?;
    let (_, after) = rest
        .split_once(END)
        .context("docs/performance.md has no mark where to end")?;
    ensure!(
        !after.contains(BEGIN),
        "docs/performance.md has two marks where to begin"
    );
    std::fs::write(&file, format!("{before}{BEGIN}\n{report}{END}{after}"))?;
    chart::draw(results, &docs.join("performance.svg"))
}
