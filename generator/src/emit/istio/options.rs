//! The options of `--target istio`.

use super::version::IstioVersion;
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
}
