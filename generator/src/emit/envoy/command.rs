//! The command in the comment of a bootstrap.

use super::options::Options;
use crate::{emit::command::Command, mesh::Mesh};

/// The command for the bootstrap of a local Envoy.
pub fn command(options: &Options, mesh: &Mesh) -> Command {
    let defaults = Options::default();
    let sidecar: Vec<String> = mesh.callers.iter().map(ToString::to_string).collect();
    let gateways: Vec<String> = mesh.gateways.iter().map(ToString::to_string).collect();
    let domain = mesh.domain.as_ref().map(ToString::to_string);
    let admin = Some(options.admin).filter(|admin| *admin != defaults.admin);
    let listen = options.listen.iter();
    let listen: Vec<String> = listen.map(|(port, address)| format!("{port}={address}")).collect();
    Command::new()
        .flag("--target", "envoy")
        .flags("--gateway", gateways.iter().map(String::as_str))
        .flags("--as-sidecar", sidecar.iter().map(String::as_str))
        .flags("--cluster-domain", domain.as_deref())
        .flag("--wasm", &options.wasm)
        .fail_strategy(options.fail_strategy, defaults.fail_strategy)
        .switch("--access-log", options.access_log)
        .switch("--weight-metric", options.weight_metric)
        .flags("--admin", admin.map(|admin| admin.to_string()).as_deref())
        .flags("--listen", listen.iter().map(String::as_str))
}
