//! The HTTP filters of a listener.

use mooring_policy::{config::Config, keys::ENVIRONMENT_VARIABLE};
use serde_json::{Value, json};

use super::{options::Options, served::Served};
use crate::{
    emit::{FailStrategy, http_filters},
    id::Id,
    ir::ProxyGroup,
};

/// The name of the module's filter. Virtual hosts enable the filter by this name.
pub const FILTER: &str = "mooring";

/// The HTTP filters, in Istio's order.
pub fn http_filter_chain(group: &ProxyGroup, rules: &[Served], options: &Options) -> Vec<Value> {
    let managed = group.is_managed();
    let mut filters = Vec::new();
    if managed {
        filters.extend([http_filters::sanitizer_of_responses(), wasm(group, options)]);
    }
    let used = [
        (
            "fault",
            "envoy.filters.http.fault",
            "envoy.extensions.filters.http.fault.v3.HTTPFault",
        ),
        (
            "corsPolicy",
            "envoy.filters.http.cors",
            "envoy.extensions.filters.http.cors.v3.Cors",
        ),
    ];
    let used = used
        .iter()
        .filter(|(field, ..)| rules.iter().any(|served| served.uses(field)));
    filters.extend(used.map(|(_, name, config)| filter(name, config)));
    if managed {
        filters.extend(http_filters::before_router());
    }
    filters.push(filter(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
    ));
    filters
}

/// A filter without configuration.
fn filter(name: &str, config: &str) -> Value {
    json!({ "name": name, "typed_config": { "@type": http_filters::type_url(config) } })
}

fn wasm(group: &ProxyGroup, options: &Options) -> Value {
    let Id { namespace, name } = group.object_id();
    let of_module = Config {
        access_log: options.access_log,
        ..group.config_with(options.weight_metric)
    };
    let config = json!({
        "configuration": {
            "@type": http_filters::type_url("google.protobuf.StringValue"),
            "value": format!("{:#}\n", json!(of_module)),
        },
        "failure_policy": match options.fail_strategy {
            FailStrategy::Open => "FAIL_OPEN",
            FailStrategy::Close => "FAIL_CLOSED",
            FailStrategy::Reload => "FAIL_RELOAD",
        },
        "name": format!("{namespace}.{name}"),
        "reload_config": (options.fail_strategy == FailStrategy::Reload)
            .then(|| json!({ "backoff": { "base_interval": "0.2s" } })),
        "root_id": "mooring",
        "vm_config": {
            "code": { "local": { "filename": options.wasm } },
            "environment_variables": { "host_env_keys": [ENVIRONMENT_VARIABLE] },
            "runtime": "envoy.wasm.runtime.v8",
        },
    });
    json!({
        "name": FILTER,
        "disabled": true,
        "typed_config": {
            "@type": http_filters::type_url("envoy.extensions.filters.http.wasm.v3.Wasm"),
            "config": config,
        },
    })
}
