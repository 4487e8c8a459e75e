//! The names of the targets, as the command line has them.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use clap::ValueEnum;

/// What configuration is generated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Istio gateways: EnvoyFilters, session routes and WasmPlugins
    Istio,
    /// One local Envoy: its bootstrap
    Envoy,
}
