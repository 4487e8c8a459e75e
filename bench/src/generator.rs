//! How the generator grows with its input.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use mooring_tests::settings;
use serde::{Deserialize, Serialize};

/// What the generator did with so many routes: what its own benchmark prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Generated {
    pub(crate) routes: u64,
    pub(crate) seconds: f64,
    #[serde(rename = "peakMiB")]
    pub(crate) peak_mib: f64,
    /// Of the growth since the size before; 1 is linear.
    pub(crate) exponent: Option<f64>,
}

/// Runs the generator's own benchmark, which prints a line of JSON for each size.
pub(crate) fn measure() -> Result<Vec<Generated>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "bench",
            "--locked",
            "--quiet",
            "--package",
            "mooring-generator",
            "--bench",
            "scale",
        ])
        .current_dir(settings::workspace())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the generator's benchmark: {}", output.status);
    let lines = String::from_utf8(output.stdout)?;
    let lines = lines.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}
