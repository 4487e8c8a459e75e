//! Virtual hosts and routes: one virtual host for each host name, one Envoy route for each match of a rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{super::pieces, FILTER, order::Precedence};
use crate::{
    plan::{Backend, Gateway, Placed, Rule, VirtualHost},
    wire::route::{Match, PathMatchType, ValueMatch, ValueMatchType},
};

/// The virtual hosts of one port of a gateway.
pub fn virtual_hosts(gateway: &Gateway, port: u16) -> Vec<Value> {
    let everything = Match::default();
    let mut hosts: BTreeMap<&VirtualHost, Vec<(Precedence, &Placed, &Match)>> = BTreeMap::new();
    for placed in &gateway.rules {
        for host in placed.virtual_hosts.iter().filter(|host| host.port == port) {
            let rule = placed.rule.as_ref();
            let matches = rule.wire.value.matches.iter().map(|one| &one.value);
            let default = rule.wire.value.matches.is_empty().then_some(&everything);
            let routes = hosts.entry(host).or_default();
            routes.extend(
                matches
                    .chain(default)
                    .map(|one| (Precedence::new(rule, one), placed, one)),
            );
        }
    }
    hosts
        .into_iter()
        .map(|(host, mut routes)| {
            // The sort is stable: the matches of a rule that are equal otherwise keep their order.
            routes.sort_by(|(left, ..), (right, ..)| left.cmp(right));
            let routes: Vec<Value> = routes.into_iter().map(|(_, placed, one)| route(placed, one)).collect();
            json!({ "name": host.name(), "domains": [host.hostname], "routes": routes })
        })
        .collect()
}

fn route(placed: &Placed, one: &Match) -> Value {
    let rule = &placed.rule;
    let action = destination(rule);
    json!({
        "name": rule.envoy_name(one),
        "match": matcher(one),
        // No backend, or none with a weight (Gateway API: 500).
        "direct_response": action.is_none().then(|| json!({ "status": 500 })),
        "route": action,
        "request_headers_to_remove": rule.is_managed().then(pieces::internal_headers),
        "typed_per_filter_config": rule.is_managed().then(|| pieces::of_route(FILTER, placed)),
    })
}

/// Where the requests go: to a chosen backend where sessions are kept, else by weight.
fn destination(rule: &Rule) -> Option<Value> {
    let choice = Some(&rule.backends)
        .filter(|_| rule.is_managed())
        .and_then(|backends| pieces::choice(backends));
    let weighted: Vec<&Backend> = rule.backends.iter().filter(|backend| backend.weight > 0).collect();
    let (cluster, clusters) = match (&choice, weighted.as_slice()) {
        (Some(_), _) => (None, None),
        (None, []) => return None,
        (None, [only]) => (Some(only.cluster()), None),
        (None, several) => {
            let weight = |backend: &&Backend| json!({ "name": backend.cluster(), "weight": backend.weight });
            (None, Some(several.iter().map(weight).collect::<Vec<Value>>()))
        }
    };
    // Timeout and retries as Istio has them where nobody says otherwise.
    Some(json!({
        "cluster": cluster,
        "inline_cluster_specifier_plugin": choice,
        "retry_policy": {
            "host_selection_retry_max_attempts": 5,
            "num_retries": 2,
            "retriable_status_codes": [503],
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                },
            }],
            "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        },
        "timeout": "0s",
        "weighted_clusters": clusters.map(|clusters| json!({ "clusters": clusters })),
    }))
}

fn matcher(one: &Match) -> Value {
    let value = one.path_value();
    let elements = value.trim_end_matches('/');
    let of_type = |kind: PathMatchType| (one.path_type() == kind).then_some(value);
    let prefix = of_type(PathMatchType::PathPrefix).map(|_| elements);
    let text_prefix = of_type(PathMatchType::TextPrefix);
    let method = one.method.as_ref();
    let method = method.map(|method| json!({ "name": ":method", "string_match": { "exact": method.value } }));
    let headers = distinct(&one.headers, str::to_ascii_lowercase);
    let query = distinct(&one.query_params, str::to_owned);
    json!({
        "path": of_type(PathMatchType::Exact),
        "path_separated_prefix": prefix.filter(|elements| !elements.is_empty()),
        "prefix": text_prefix.or(prefix.filter(|elements| elements.is_empty()).map(|_| "/")),
        "safe_regex": of_type(PathMatchType::RegularExpression).map(|regex| json!({ "regex": regex })),
        "headers": listed(method.into_iter().chain(headers.into_iter().map(string_match))),
        "query_parameters": listed(query.into_iter().map(string_match)),
    })
}

/// A list, or nothing at all where it would be empty.
fn listed(values: impl Iterator<Item = Value>) -> Option<Vec<Value>> {
    Some(values.collect()).filter(|values: &Vec<Value>| !values.is_empty())
}

/// The first match on each name: those that follow it are ignored (Gateway API).
fn distinct(matches: &[ValueMatch], name_of: impl Fn(&str) -> String) -> Vec<(String, &ValueMatch)> {
    let mut seen = BTreeSet::new();
    let named = matches.iter().map(|one| (name_of(&one.name.value), one));
    named.filter(|(name, _)| seen.insert(name.clone())).collect()
}

fn string_match((name, one): (String, &ValueMatch)) -> Value {
    let value = &one.value.value;
    let matcher = match one.kind {
        ValueMatchType::Exact => json!({ "exact": value }),
        ValueMatchType::RegularExpression => json!({ "safe_regex": { "regex": value } }),
        ValueMatchType::Prefix => json!({ "prefix": value }),
        ValueMatchType::Present => return json!({ "name": name, "present_match": true }),
    };
    json!({ "name": name, "string_match": matcher })
}
