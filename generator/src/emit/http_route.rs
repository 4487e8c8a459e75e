//! Translates an http route of a `VirtualService` into an Envoy route, as istiod does (`TranslateRoute`). Both targets
//! use this module.
//!
//! The input is untyped YAML. This module does not select clusters; its callers add them.

use serde_json::{Value, json};

use super::json::{text, with};
use crate::{
    document::RawObjects,
    ir::Rule,
    model::route::RouteSpec,
    resources::{Item, Resources},
};

pub mod checked;
mod delegates;
pub mod durations;
pub mod filters;
mod grpc_status;
mod header_values;
pub mod headers;
pub mod matches;
mod percentage;
pub mod redirect;
pub mod regex;
pub mod retries;
pub mod values;

/// A rule of a `VirtualService` as it is written. A rule of a delegate is merged with the route that delegates to it.
pub fn written(rule: &Rule, resources: &Resources, raw: &RawObjects) -> Value {
    let http = |item: &Item<RouteSpec>, position: usize| {
        let object = raw.find("VirtualService", item);
        let route = object.pointer(&format!("/spec/http/{position}"));
        route.cloned().unwrap_or_default()
    };
    let own = http(rule.written, rule.position);
    let Some(merged) = rule.delegated else { return own };
    let root = http(rule.route, merged.root);
    let delegated = merged.delegated.as_ref();
    let pairs = delegated.map_or(&[][..], |delegated| &delegated.matches);
    let namespace = &rule.route.id.namespace;
    delegates::merged(&root, own, pairs, |host| resources.domain.full_name(host, namespace))
}

/// The metadata of a route: the `VirtualService` from which it is made (istiod: `BuildConfigInfoMetadata`).
pub fn metadata(rule: &Rule) -> Value {
    json!({ "filter_metadata": { "istio": { "config": rule.object_path() } } })
}

/// The Envoy route to one destination, or to several if `destination` is null. It has no name, no match and no
/// clusters. `hashed` says whether Envoy selects the endpoint by a hash.
pub fn forward(user: &Value, destination: &Value, mirrors: Vec<Value>, hashed: bool) -> Value {
    let levels = [user.get("headers"), destination.get("headers")];
    let rewrite = user.get("rewrite");
    let filled = |field: &str| text(rewrite?, field).filter(|text| !text.is_empty());
    let authority = filled("authority");
    let authority = authority.or_else(|| {
        levels
            .iter()
            .flatten()
            .find_map(|headers| headers::authority_of(headers))
    });
    let regex = rewrite.and_then(|rewrite| rewrite.get("uriRegexRewrite"));
    let prefix = filled("uri");
    let timeout = user.get("timeout").map_or_else(|| json!("0s"), durations::canonical);
    let action = json!({
        "host_rewrite_literal": authority,
        "max_grpc_timeout": timeout,
        "prefix_rewrite": prefix.filter(|_| regex.is_none()),
        "regex_rewrite": regex.map(|regex| json!({
            "pattern": { "regex": regex.get("match") },
            "substitution": regex.get("rewrite"),
        })),
        "request_mirror_policies": Some(mirrors).filter(|mirrors| !mirrors.is_empty()),
        "retry_policy": retries::retry_policy(user.get("retries"), hashed),
        "timeout": timeout,
    });
    let route = json!({ "route": action, "typed_per_filter_config": filters::filters(user) });
    let destinations = user.get("route").and_then(Value::as_array);
    if destinations.is_some_and(|destinations| destinations.len() > 1) {
        headers::changed_as_weighted(route, &levels)
    } else {
        headers::changed(route, &levels)
    }
}

/// A route that Envoy answers itself. `answer` is the value of the field that holds the answer.
pub fn answer(user: &Value, field: &str, answer: Value) -> Value {
    let route = json!({ "typed_per_filter_config": filters::filters(user) });
    headers::changed(with(route, field, answer), &[user.get("headers"), None])
}

/// The mirror policies. `cluster` returns the cluster of a destination; a destination without a cluster gets no mirror.
pub fn mirrors(user: &Value, mut cluster: impl FnMut(&Value) -> Option<String>) -> Vec<Value> {
    let single = user.get("mirror").map(|mirror| {
        let whole = user.get("mirrorPercent").or_else(|| user.get("mirror_percent"));
        let whole = whole.and_then(Value::as_u64).unwrap_or(100);
        (mirror, mirrored(user.get("mirrorPercentage"), whole))
    });
    let several = user.get("mirrors").and_then(Value::as_array).into_iter().flatten();
    let several =
        several.filter_map(|policy| Some((policy.get("destination")?, mirrored(policy.get("percentage"), 100))));
    let policies = single.into_iter().chain(several);
    let policies = policies.filter_map(|(destination, share)| {
        let cluster = cluster(destination);
        Some(json!({
            "cluster": cluster?,
            "disable_shadow_host_suffix_append": true,
            "runtime_fraction": { "default_value": share? },
            "trace_sampled": false,
        }))
    });
    policies.collect()
}

/// The share of the requests that are mirrored, or `None` if it is zero. `whole` is the percentage that counts if
/// `percentage` is missing (istiod: `MirrorPercent`, `MirrorPercentByPolicy`).
fn mirrored(percentage: Option<&Value>, whole: u64) -> Option<Value> {
    match percentage.filter(|percentage| !percentage.is_null()) {
        Some(percentage) => {
            let value = percentage.get("value").and_then(Value::as_f64);
            value.filter(|value| *value > 0.0).map(percentage::fraction)
        }
        None => Some(whole).filter(|whole| *whole > 0).map(percentage::whole),
    }
}
