//! The command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures what a session costs in a stock Envoy, and compares it with Envoy's own means and with the goals.
#[derive(Debug, Parser)]
#[command(name = "mooring-bench", bin_name = "make bench ARGS=")]
pub(crate) struct Options {
    /// One rule instead of up to 1,000, few and short runs: for a first look
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only these parts
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,

    /// How many rounds of times; in each, every gateway has one run
    #[arg(long, value_name = "COUNT")]
    rounds: Option<usize>,

    /// How long one run is
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,

    /// Write what was measured into its section of docs/performance.md
    #[arg(long, conflicts_with = "quick")]
    pub(crate) write: bool,
}

/// What can be measured by itself, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Instructions a request takes, by valgrind, and the goals
    Instructions,
    /// Instructions that --access-log adds
    AccessLog,
    /// Processor time a request takes
    Times,
    /// Configurations of 1 and 1,000 rules: memory, and time until the module has accepted them
    Memory,
    /// Memory that the module takes in a sidecar, with 1 to 100 rules
    Sidecars,
    /// 10 to 10,000 routes through the generator
    Generator,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) run: Duration,
}

impl Part {
    /// As `--only` and the page name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AccessLog => "access-log",
            Self::Generator => "generator",
            Self::Instructions => "instructions",
            Self::Times => "times",
            Self::Memory => "memory",
            Self::Sidecars => "sidecars",
        }
    }
}

impl Options {
    /// What is to be measured.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        let wanted = |part: &Part| self.only.is_empty() || self.only.contains(part);
        Part::value_variants().iter().copied().filter(wanted)
    }

    /// How much is measured.
    pub(crate) fn effort(&self) -> Effort {
        let (rounds, seconds) = if self.quick { (3, 0.4) } else { (20, 0.8) };
        Effort {
            rounds: self.rounds.unwrap_or(rounds),
            run: Duration::from_secs_f64(self.seconds.unwrap_or(seconds)),
        }
    }

    /// How often an Envoy is started for one figure.
    pub(crate) fn starts(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }
}
