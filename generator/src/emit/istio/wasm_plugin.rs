//! The `WasmPlugin` of a group of proxies.

use mooring_policy::{config::Config, keys::ENVIRONMENT_VARIABLE};
use serde_json::{Value, json};

use super::{
    object::Object,
    options::{Options, Phase, PullPolicy},
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    emit::FailStrategy,
    ir::{Gateway, ProxyGroup, Role},
    kind::GATEWAY_API,
    object_size::{MAX_APPLIED, MAX_STORED, json_len, mebibytes},
};

/// The `WasmPlugin` that loads the module on the proxies.
pub fn object<'g>(group: &'g ProxyGroup, options: &Options) -> Object<'g> {
    let mut plugin = Object::new(group, "WasmPlugin", "", spec(group, options));
    plugin.rules.extend(group.managed_rule_ids());
    plugin
}

fn spec(group: &ProxyGroup, options: &Options) -> Value {
    let selected = group.selected_pods().filter(|pods| !pods.labels.is_empty());
    let selector = selected.map(|pods| json!({ "matchLabels": pods.labels }));
    let of_callers = group.callers().is_some();
    json!({
        "failStrategy": match options.fail_strategy {
            FailStrategy::Open => "FAIL_OPEN",
            FailStrategy::Close => "FAIL_CLOSE",
            FailStrategy::Reload => "FAIL_RELOAD",
        },
        // istiod counts gateways as clients too. An `EnvoyFilter` disables the module there.
        "imagePullPolicy": options.plugin.pull_policy.map(PullPolicy::field),
        "imagePullSecret": options.plugin.pull_secret,
        "match": of_callers.then(|| json!([{ "mode": "CLIENT" }])),
        "pluginConfig": Config {
            access_log: options.plugin.access_log,
            ..group.config_with(options.plugin.weight_metric)
        },
        "phase": options.plugin.phase.map(Phase::field),
        "pluginName": "mooring",
        "priority": options.plugin.priority,
        "selector": selector,
        "targetRefs": target(group),
        "sha256": options.sha256,
        "url": options.url,
        "vmConfig": { "env": [{ "name": ENVIRONMENT_VARIABLE, "valueFrom": "HOST" }] },
    })
}

/// The object to which the plugin is attached: a Gateway, or the Service of a waypoint.
fn target(group: &ProxyGroup) -> Option<Value> {
    let reference = match &group.role {
        Role::Gateway(Gateway {
            item, workload: None, ..
        }) => {
            json!({ "group": GATEWAY_API, "kind": "Gateway", "name": item.id.name })
        }
        Role::Waypoint(waypoint) => json!({ "group": "", "kind": "Service", "name": waypoint.service.id.name }),
        Role::Gateway(_) | Role::Sidecars(_) => return None,
    };
    Some(json!([reference]))
}

/// Reports a `WasmPlugin` that is too large. It cannot be split, because a proxy has one filter with one configuration.
pub fn check_size(group: &ProxyGroup, plugin: &Object<'_>, report: &mut Report) {
    let size = json_len(&plugin.spec);
    let rules = group.managed_rules().count();
    if size > MAX_STORED {
        let fitting = rules.saturating_mul(MAX_STORED).checked_div(size).unwrap_or(0);
        let message = format!(
            "the WasmPlugin of {} would have {} for its {rules} rules, but Kubernetes stores objects of {} at most: \
             about {fitting} such rules",
            group.title(),
            mebibytes(size),
            mebibytes(MAX_STORED)
        );
        let diagnostic = group.locate(Diagnostic::error(Code::TooLarge, message));
        report.add(diagnostic.help("spread the routes over several Gateways: each has its own WasmPlugin"));
        // The budgets of routes and namespaces prevent this.
        report.abort();
    } else if size > MAX_APPLIED {
        let message = format!(
            "the WasmPlugin of {} has {} for its {rules} rules, too much for a plain `kubectl apply`, which keeps a \
             copy in an annotation",
            group.title(),
            mebibytes(size)
        );
        let note = group.locate(Diagnostic::note(Code::TooLarge, message));
        report.add(
            note.help("apply it with `kubectl apply --server-side` (Argo CD: the sync option ServerSideApply=true)"),
        );
    }
}
