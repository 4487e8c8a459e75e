//! The commands in the comments of Istio's objects.

use std::collections::BTreeMap;

use super::options::{Options, Phase, PullPolicy};
use crate::{
    emit::{FailStrategy, command::Command},
    mesh::Mesh,
};

/// The command for an object of Istio that does not load the module.
pub fn command(options: &Options, mesh: &Mesh) -> Command {
    let domain = mesh.domain.as_ref().map(ToString::to_string);
    let pairs = |pairs: &BTreeMap<String, String>| -> Vec<String> {
        pairs.iter().map(|(key, value)| format!("{key}={value}")).collect()
    };
    let (labels, annotations) = (pairs(&options.metadata.labels), pairs(&options.metadata.annotations));
    Command::new()
        .flag("--istio-version", &options.version.to_string())
        .flags("--cluster-domain", domain.as_deref())
        .flags("--label", labels.iter().map(String::as_str))
        .flags("--annotation", annotations.iter().map(String::as_str))
}

/// The command for an object that loads the module.
pub fn with_module(command: Command, options: &Options) -> Command {
    let in_url = options
        .sha256
        .as_ref()
        .is_some_and(|sha256| options.url.ends_with(sha256.as_str()));
    let sha256 = options.sha256.as_deref().filter(|_| !in_url);
    let priority = options.plugin.priority.map(|priority| priority.to_string());
    command
        .flag("--wasm", &options.url)
        .flags("--wasm-sha256", sha256)
        .fail_strategy(options.fail_strategy, FailStrategy::Open)
        .flags("--image-pull-secret", options.plugin.pull_secret.as_deref())
        .flags("--image-pull-policy", options.plugin.pull_policy.map(PullPolicy::field))
        .flags("--plugin-phase", options.plugin.phase.map(Phase::field))
        .flags("--plugin-priority", priority.as_deref())
        .switch("--access-log", options.plugin.access_log)
        .switch("--weight-metric", options.plugin.weight_metric)
}
