//! The formats in which objects are written.

use clap::ValueEnum;

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// YAML documents
    Yaml,
    /// JSON; several objects are a List
    Json,
}
