//! The options of `--target istio`.

use clap::ValueEnum;

use super::{metadata::Metadata, version::IstioVersion};
use crate::emit::FailStrategy;

/// The options of `--target istio`.
#[derive(Debug)]
pub struct Options {
    /// The URL of the module.
    pub url: String,
    /// The SHA-256 of the module.
    pub sha256: Option<String>,
    /// What happens to requests when the module cannot run.
    pub fail_strategy: FailStrategy,
    /// The Istio version of the gateways.
    pub version: IstioVersion,
    /// Whether generated files that are stale are removed from the output directory.
    pub prunes: bool,
    /// What users may set in a `WasmPlugin`.
    pub plugin: Plugin,
    /// The labels and annotations of all objects, besides Mooring's own.
    pub metadata: Metadata,
}

/// What users may set in a `WasmPlugin`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugin {
    /// The Secret with the credentials of the registry.
    pub pull_secret: Option<String>,
    /// When the module is fetched again.
    pub pull_policy: Option<PullPolicy>,
    /// The position among Istio's filters.
    pub phase: Option<Phase>,
    /// The position among the plugins of the phase.
    pub priority: Option<i32>,
    /// Whether access logs can show the decisions of the module.
    pub access_log: bool,
    /// Whether the weights of the backends are gauges.
    pub weight_metric: bool,
}

/// When Istio's agent fetches a module again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    /// Only if it does not have it
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    /// After every change of the plugin
    #[value(name = "Always")]
    Always,
}

impl PullPolicy {
    /// The value of the field.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Always => "Always",
        }
    }
}

/// The position of a plugin among Istio's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// Before authentication
    #[value(name = "AUTHN", hide = true)]
    Authn,
    /// After authentication, before authorization
    #[value(name = "AUTHZ")]
    Authz,
    /// After authorization
    #[value(name = "STATS")]
    Stats,
}

impl Phase {
    /// The value of the field.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Authn => "AUTHN",
            Self::Authz => "AUTHZ",
            Self::Stats => "STATS",
        }
    }
}
