//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Measures what a session costs in a stock Envoy, and compares it with Envoy's own means and with the goals.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "that is what flags are")]
#[command(name = "mooring-bench", bin_name = "make bench ARGS=")]
pub(crate) struct Options {
    /// Few and short runs: one or two minutes instead of ten
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only these parts; --list names them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// List the parts and do nothing
    #[arg(long)]
    pub(crate) list: bool,

    /// How many rounds; in each, every gateway has one run
    #[arg(long, value_name = "COUNT")]
    pub(crate) rounds: Option<usize>,

    /// How long one run is
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<f64>,

    /// Write every run to this file, as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    pub(crate) json: PathBuf,

    /// Keep what the file of --json has of the other parts, and report all of it
    #[arg(long)]
    pub(crate) resume: bool,

    /// Measure nothing, and report what the file of --json has
    #[arg(long, conflicts_with_all = ["only", "quick"])]
    pub(crate) report: bool,

    /// Write the tables and the chart into docs/performance.md and docs/performance.svg
    #[arg(long)]
    pub(crate) write: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) run: Duration,
}

impl Options {
    /// How much is measured.
    pub(crate) fn effort(&self) -> Effort {
        let (rounds, seconds) = if self.quick { (3, 0.4) } else { (9, 0.8) };
        Effort {
            rounds: self.rounds.unwrap_or(rounds),
            run: Duration::from_secs_f64(self.seconds.unwrap_or(seconds)),
        }
    }

    /// How often an Envoy is started for one figure.
    pub(crate) fn starts(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// How many routes the largest configuration has.
    pub(crate) fn routes(&self) -> usize {
        if self.quick { 1_000 } else { 10_000 }
    }

    /// How often a configuration is replaced.
    pub(crate) fn updates(&self) -> usize {
        if self.quick { 3 } else { 10 }
    }

    /// Whether a part is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}
