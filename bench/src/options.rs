//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Measures what a session costs in a stock Envoy, and compares it with Envoy's own means and with the goals.
#[derive(Debug, Parser)]
#[command(name = "mooring-bench", bin_name = "make bench ARGS=")]
pub(crate) struct Options {
    /// Few and short runs: one or two minutes instead of ten
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only these situations; --list names them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// List the situations and do nothing
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

    /// Whether a situation is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}
