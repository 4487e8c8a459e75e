//! Virtual hosts and routes: one virtual host for each host name, one Envoy route for each match of a rule.

use std::collections::{BTreeMap, BTreeSet};

use mooring_policy::handover::{BACKEND_HEADER, session_key};
use serde_json::{Value, json};

use super::{super::pieces, FILTER, order::Precedence};
use crate::{
    plan::{Backend, Gateway, Rule, VirtualHost},
    wire::route::{Match, PathMatchType, ValueMatch, ValueMatchType},
};

/// A route to be: where it stands, and what it is made of.
struct Candidate<'a> {
    precedence: Precedence<'a>,
    rule: &'a Rule<'a>,
    one: &'a Match,
    /// The backend of which it is the session route.
    backend: Option<&'a Backend<'a>>,
}

/// The virtual hosts of one port of a gateway.
pub fn virtual_hosts(gateway: &Gateway, port: u16) -> Vec<Value> {
    let everything = Match::default();
    let mut hosts: BTreeMap<&VirtualHost, Vec<Candidate>> = BTreeMap::new();
    for placed in &gateway.rules {
        for host in placed.virtual_hosts.iter().filter(|host| host.port == port) {
            hosts
                .entry(host)
                .or_default()
                .extend(candidates(&placed.rule, &everything));
        }
    }
    let managed = gateway.managed_hosts();
    hosts
        .into_iter()
        .map(|(host, mut routes)| {
            // The sort is stable: the matches of a rule that are equal otherwise keep their order.
            routes.sort_by(|left, right| left.precedence.cmp(&right.precedence));
            let routes: Vec<Value> = routes.into_iter().map(route).collect();
            let filters = managed.get(host);
            json!({
                "name": host.name(),
                "domains": [host.hostname],
                "request_headers_to_remove": filters.map(|_| pieces::internal_headers()),
                "routes": routes,
                "typed_per_filter_config": filters.map(|filters| pieces::of_host(FILTER, *filters)),
            })
        })
        .collect()
}

/// The routes of a rule: one for each match, and where it has session routes one for each backend as well.
fn candidates<'a>(rule: &'a Rule<'a>, everything: &'a Match) -> Vec<Candidate<'a>> {
    let matches = rule.matches.iter().map(|one| &one.value);
    let matches = matches.chain(rule.matches.is_empty().then_some(everything));
    let backends = rule.backends.iter().filter(|_| rule.has_session_routes());
    let targets: Vec<Option<&Backend>> = backends.map(Some).chain([None]).collect();
    let candidate = |one: &'a Match, backend: Option<&'a Backend<'a>>| Candidate {
        precedence: Precedence::new(rule, one, backend.is_some()),
        rule,
        one,
        backend,
    };
    matches
        .flat_map(|one| targets.iter().map(move |backend| candidate(one, *backend)))
        .collect()
}

fn route(Candidate { rule, one, backend, .. }: Candidate) -> Value {
    let key = backend.map(|backend| session_key(&rule.id, &backend.key()));
    let clusters: Vec<&Backend> = match backend {
        Some(backend) => vec![backend],
        None => rule.backends.iter().filter(|backend| backend.weight > 0).collect(),
    };
    let action = destination(&clusters);
    json!({
        "name": key.clone().unwrap_or_else(|| rule.envoy_name(one)),
        "match": matcher(one, key.as_deref()),
        // No backend, or none with a weight (Gateway API: 500).
        "direct_response": action.is_none().then(|| json!({ "status": 500 })),
        "route": action,
    })
}

/// Where the requests go, by weight.
fn destination(backends: &[&Backend]) -> Option<Value> {
    let (cluster, clusters) = match backends {
        [] => return None,
        [only] => (Some(only.cluster()), None),
        several => {
            let weight = |backend: &&Backend| json!({ "name": backend.cluster(), "weight": backend.weight });
            (None, Some(several.iter().map(weight).collect::<Vec<Value>>()))
        }
    };
    // Timeout and retries as Istio has them where nobody says otherwise.
    Some(json!({
        "cluster": cluster,
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

/// What a route matches; a session route demands the key as well.
fn matcher(one: &Match, key: Option<&str>) -> Value {
    let value = one.path_value();
    let elements = value.trim_end_matches('/');
    let of_type = |kind: PathMatchType| (one.path_type() == kind).then_some(value);
    let prefix = of_type(PathMatchType::PathPrefix).map(|_| elements);
    let text_prefix = of_type(PathMatchType::TextPrefix);
    let method = one.method.as_ref();
    let method = method.map(|method| json!({ "name": ":method", "string_match": { "exact": method.value } }));
    let headers = distinct(&one.headers, str::to_ascii_lowercase);
    let key = key.map(|key| json!({ "name": BACKEND_HEADER, "string_match": { "exact": key } }));
    let query = distinct(&one.query_params, str::to_owned);
    json!({
        "path": of_type(PathMatchType::Exact),
        "path_separated_prefix": prefix.filter(|elements| !elements.is_empty()),
        "prefix": text_prefix.or(prefix.filter(|elements| elements.is_empty()).map(|_| "/")),
        "safe_regex": of_type(PathMatchType::RegularExpression).map(|regex| json!({ "regex": regex })),
        "headers": listed(method.into_iter().chain(headers.into_iter().map(string_match)).chain(key)),
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
