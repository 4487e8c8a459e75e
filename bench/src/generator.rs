//! How the generator grows with its input.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use mooring_tests::settings;
use serde::Deserialize;

use crate::{Found, machine::Processors};

/// What the generator did with so many routes: what its own benchmark prints.
#[derive(Debug, Deserialize)]
struct Generated {
    routes: u64,
    seconds: f64,
    #[serde(rename = "peakMiB")]
    peak_mib: f64,
    /// Of the growth since the size before; 1 is linear.
    exponent: Option<f64>,
}

/// Runs the generator's own benchmark, which prints a line of JSON for each size.
pub(crate) fn measure(processors: &Processors) -> Result<Found> {
    processors.to_all()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["bench", "--locked", "--quiet", "--package", "mooring-generator"])
        .args(["--bench", "scale"])
        .current_dir(settings::workspace())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the generator's benchmark: {}", output.status);
    let lines = String::from_utf8(output.stdout)?;
    let mut text = "The least of five runs, and its peak memory:\n\n".to_owned();
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        let one: Generated = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let exponent = one
            .exponent
            .map_or_else(String::new, |exponent| format!(", growth by the power {exponent:.2}"));
        text += &format!(
            "- {} HTTPRoutes: {:.3} s, {:.0} MiB{exponent}\n",
            one.routes, one.seconds, one.peak_mib
        );
    }
    Ok(Found { envoy: None, text })
}
