//! How a writer works.

use clap::Args;

/// How a writer works.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[group(skip)]
pub struct Options {
    /// Write nothing: log the differences between the cluster and what would be applied
    #[arg(long)]
    pub dry_run: bool,

    /// Take over generated objects that another writer has applied, such as a pipeline. Stop that writer first. Default: leave them
    /// as they are, and report them
    #[arg(long = "adopt")]
    pub adopts: bool,
}
