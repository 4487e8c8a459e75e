//! The `WasmPlugin` of a gateway.

use mooring_policy::keys::ENVIRONMENT_VARIABLE;
use serde_json::{Value, json};

use super::{object::Object, options::Options};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    emit::FailStrategy,
    ir::Gateway,
    kind::GATEWAY_API,
    object_size::{MAX_APPLIED, MAX_STORED, json_len, mebibytes},
};

/// The `WasmPlugin` that loads the module on a gateway.
pub fn object<'g>(gateway: &'g Gateway, options: &Options) -> Object<'g> {
    let mut plugin = Object::new(gateway, "WasmPlugin", "", spec(gateway, options));
    plugin.rules.extend(gateway.managed_rule_ids());
    plugin
}

fn spec(gateway: &Gateway, options: &Options) -> Value {
    json!({
        "failStrategy": match options.fail_strategy {
            FailStrategy::Open => "FAIL_OPEN",
            FailStrategy::Close => "FAIL_CLOSE",
            FailStrategy::Reload => "FAIL_RELOAD",
        },
        "pluginConfig": gateway.config(),
        "pluginName": "mooring",
        "selector": gateway.workload.as_ref().map(|workload| json!({ "matchLabels": workload.labels })),
        "targetRefs": gateway.workload.is_none().then(|| {
            json!([{ "group": GATEWAY_API, "kind": "Gateway", "name": gateway.item.id.name }])
        }),
        "sha256": options.sha256,
        "url": options.url,
        "vmConfig": { "env": [{ "name": ENVIRONMENT_VARIABLE, "valueFrom": "HOST" }] },
    })
}

/// Reports a `WasmPlugin` that is too large. It cannot be split, because a gateway has one filter with one configuration.
pub fn check_size(gateway: &Gateway, plugin: &Object<'_>, report: &mut Report) {
    let size = json_len(&plugin.spec);
    let rules = gateway.managed_rules().count();
    if size > MAX_STORED {
        let fitting = rules.saturating_mul(MAX_STORED).checked_div(size).unwrap_or(0);
        let message = format!(
            "the WasmPlugin of Gateway {} would have {} for its {rules} rules, but Kubernetes stores objects of {} at most: \
             about {fitting} such rules",
            gateway.item.id,
            mebibytes(size),
            mebibytes(MAX_STORED)
        );
        let diagnostic = Diagnostic::error(Code::TooLarge, message).at(gateway.item.location());
        report.add(diagnostic.help("spread the routes over several Gateways: each has its own WasmPlugin"));
        // The budgets of routes and namespaces prevent this.
        report.abort();
    } else if size > MAX_APPLIED {
        let message = format!(
            "the WasmPlugin of Gateway {} has {} for its {rules} rules, too much for a plain `kubectl apply`, which keeps a \
             copy in an annotation",
            gateway.item.id,
            mebibytes(size)
        );
        let note = Diagnostic::note(Code::TooLarge, message).at(gateway.item.location());
        report.add(
            note.help("apply it with `kubectl apply --server-side` (Argo CD: the sync option ServerSideApply=true)"),
        );
    }
}
