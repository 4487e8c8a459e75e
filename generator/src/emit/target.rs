//! The names of the targets on the command line.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use clap::ValueEnum;

/// The target of the generated configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Target {
    /// Istio gateways: EnvoyFilters, session routes and WasmPlugins
    Istio,
    /// One local Envoy: its bootstrap
    Envoy,
}

impl Target {
    /// Its name, as --target has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Istio => "istio",
            Self::Envoy => "envoy",
        }
    }
}
