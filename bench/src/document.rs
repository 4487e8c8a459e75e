//! The sections of `docs/performance.md` that are written by this program.

use anyhow::{Context as _, Result};
use mooring_tests::settings;

const END: &str = "<!-- The end of what was written. -->";

/// Puts a text between the marks of a part.
pub(crate) fn write(part: &str, text: &str) -> Result<()> {
    let begin = format!("<!-- Written by `make bench ARGS='--only {part} --write'`. -->");
    let file = settings::workspace().join("docs/performance.md");
    let page = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let (before, rest) = page.split_once(&begin).with_context(|| format!("no {begin}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("no {END}"))?;
    std::fs::write(&file, format!("{before}{begin}\n\n{}\n\n{END}{after}", text.trim_end()))?;
    Ok(())
}
