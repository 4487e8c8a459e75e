//! `mooring crds`: the definitions of our own custom resources, made of the types that read them.

use kube::CustomResourceExt as _;

use crate::{api::canary::CanaryPolicy, emit::Output};

/// Every definition.
pub fn all() -> Result<Vec<Output>, serde_json::Error> {
    let definition = serde_json::to_value(CanaryPolicy::crd())?;
    Ok(vec![Output::new("canarypolicy".to_owned(), definition)])
}
