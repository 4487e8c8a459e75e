//! The arguments of `mooring validate`.

use clap::{Args, ValueEnum};

use super::{
    checks::{self, InvalidFlags},
    input::{InputArgs, MeshArgs},
};
use crate::emit::{istio::IstioVersion, target::Target};

/// `mooring validate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The report says what happens to each policy, which rules keep which sessions on which gateways, the backends of each rule with their \
shares of new sessions, and the rules of canaries in the order in which they apply. What an error leaves out is listed with the \
location of the error.

The findings are those of mooring generate for the same target, except those about the module of --wasm.

The conditions are those of GEP-713: Accepted, Conflicted, Overridden, Invalid and TargetNotFound. NoEffect: the policy is valid, and \
nothing happens, because it has no sessionPersistence, no rule leads to its Service, or no proxy serves the rule.

Exit status:
  0  no errors
  1  there is an error, or with --strict a warning
  2  the flags are invalid

Examples:
  mooring validate -f manifests/
  mooring validate -f manifests/ --target all --strict --allow Draining
  mooring validate -f manifests/ -o json | jq '.findings[].code'
  mooring validate -f manifests/ -o sarif > mooring.sarif
  mooring validate --from-cluster --context staging --namespace shop")]
pub struct Validate {
    /// The input.
    #[command(flatten)]
    pub input: InputArgs,

    /// Facts about gateways and their cluster that are not in the input.
    #[command(flatten)]
    pub mesh: MeshArgs,

    /// The target to validate for: what it does not support is reported too
    #[arg(long, value_enum, default_value_t = Targets::Istio)]
    pub target: Targets,

    /// The version of Istio, such as 1.30 or v1.30.2: 1.28 or later, tested up to 1.31, which is the default (not with --target
    /// envoy)
    #[arg(long, value_name = "VERSION")]
    pub istio_version: Option<IstioVersion>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub output: ReportFormat,

    /// Exit with status 1 for warnings too
    #[arg(long)]
    pub strict: bool,
}

/// The targets to validate for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Targets {
    /// Istio gateways
    Istio,
    /// One local Envoy
    Envoy,
    /// Both. A finding that concerns only one of them names it
    All,
}

/// The format of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Tables and findings, for people
    Text,
    /// One JSON object, for programs
    Json,
    /// The findings as a SARIF 2.1.0 log, for code scanning
    Sarif,
}

impl Validate {
    /// The targets, after a check of the flags that only one of them has.
    pub fn targets(&self) -> Result<Vec<Target>, InvalidFlags> {
        let targets = match self.target {
            Targets::Istio => vec![Target::Istio],
            Targets::Envoy => vec![Target::Envoy],
            Targets::All => vec![Target::Istio, Target::Envoy],
        };
        if targets.contains(&Target::Istio) {
            checks::check_callers(&self.mesh)?;
        } else {
            checks::check_local(&self.mesh)?;
            checks::of_target("istio", [("--istio-version", self.istio_version.is_some())])?;
        }
        Ok(targets)
    }
}
