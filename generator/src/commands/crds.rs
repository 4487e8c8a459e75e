//! `mooring crds`: the definitions of Mooring's custom resources, derived from the types that read them.

use std::process::ExitCode;

use kube::CustomResourceExt as _;

use super::stdout::print_all;
use crate::{
    api::canary::CanaryPolicy,
    emit::Output,
    output::{self, format::Format},
};

/// Prints the definitions.
pub fn run() -> anyhow::Result<ExitCode> {
    print_all(&output::chunks(&definitions()?, Format::Yaml)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The definitions of all custom resources.
pub fn definitions() -> Result<Vec<Output>, serde_json::Error> {
    let definition = serde_json::to_value(CanaryPolicy::crd())?;
    Ok(vec![Output::new("canarypolicy".to_owned(), definition)])
}
