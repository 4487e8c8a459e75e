//! The behaviour of a gateway if the Wasm module cannot run.

use clap::ValueEnum;

/// What happens to requests when the module cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailStrategy {
    /// They pass without sessions
    Open,
    /// They are refused
    Close,
    /// The module is loaded again, and they are refused until then
    Reload,
}
