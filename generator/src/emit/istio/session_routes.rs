//! The session routes of `HTTPRoute` and `GRPCRoute`. For each rule with several backends, a route next to the user's
//! route sends requests with the key of a backend to that backend.
//!
//! A session route is a copy of the user's rule with one more header match. So it precedes the rule, regardless of
//! other routes (Gateway API: "the largest number of header matches"), and it matches no request that the rule would
//! not match.

use std::collections::{BTreeMap, BTreeSet};

use mooring_policy::internal_headers::{BACKEND_HEADER, session_key};
use serde_json::{Map, Value, json};

use super::{
    object::{annotations, labels},
    options::Options,
};
use crate::{
    document::RawObjects,
    emit::{generated::Output, http_filters::INTERNAL_HEADERS, json::with, provenance},
    id::Id,
    ir::{ProxyGroup, Role, Rule},
    kind::{GATEWAY_API, GATEWAY_API_X, Kind, mesh_parent},
    labels::RULE_ANNOTATION,
};

/// The label that assigns an object to a revision of Istio. A session route has the same revision as the user's route.
const REVISION_LABEL: &str = "istio.io/rev";

/// The session routes of all rules on these proxies, each once. Their only parents are those whose proxies set and remove
/// the session header.
pub fn objects(groups: &[&ProxyGroup], raw: &RawObjects, options: &Options) -> Vec<Output> {
    let mut parents: BTreeMap<&str, BTreeSet<Parent>> = BTreeMap::new();
    let mut rules: Vec<&Rule> = Vec::new();
    let mut on_waypoints: BTreeSet<&str> = BTreeSet::new();
    for group in groups {
        let attached = group.managed_rules().map(|attached| attached.rule.as_ref());
        for rule in attached.filter(|rule| rule.has_session_routes() && rule.route.spec.kind != Kind::VirtualService) {
            let ids = parents.entry(&rule.id).or_default();
            if ids.is_empty() {
                rules.push(rule);
            }
            match &group.role {
                Role::Gateway(gateway) => {
                    ids.extend(gateway.items().map(|item| Parent::Gateway(item.id.clone())));
                    ids.extend(gateway.sets.iter().map(|(set, _)| Parent::ListenerSet(set.id.clone())));
                }
                Role::Sidecars(_) => ids.extend([Parent::Mesh]),
                Role::Waypoint(_) => {
                    ids.extend([Parent::Mesh]);
                    on_waypoints.insert(rule.id.as_str());
                }
            }
        }
    }
    let none = BTreeSet::new();
    let of = |rule: &Rule| parents.get(rule.id.as_str()).unwrap_or(&none);
    let object = |rule: &Rule| raw.find(&rule.route.spec.kind.to_string(), rule.route);
    rules
        .into_iter()
        .flat_map(|rule| {
            let on_waypoint = on_waypoints.contains(rule.id.as_str());
            of_rule(rule, &object(rule), (of(rule), on_waypoint), options)
        })
        .collect()
}

/// The objects for one rule of a route: one, or several if the API limits require that. On a waypoint, the routes remove the
/// internal headers, because nothing else may do so.
fn of_rule(
    rule: &Rule,
    route: &Value,
    (parents, on_waypoint): (&BTreeSet<Parent>, bool),
    options: &Options,
) -> Vec<Output> {
    let user = route
        .pointer(&format!("/spec/rules/{}", rule.index))
        .unwrap_or(&Value::Null);
    let rules: Vec<Value> = rule
        .backends
        .iter()
        .map(|backend| session_route(user, backend.reference, &session_key(&rule.id, &backend.key())))
        .map(|route| {
            if on_waypoint {
                without_internal_headers(route)
            } else {
                route
            }
        })
        .collect();
    (1_usize..)
        .zip(rules.chunks(rule.session_routes_per_object()))
        .map(|(number, rules)| object(rule, route, parents, (number, rules), options))
        .collect()
}

fn object(
    rule: &Rule,
    route: &Value,
    parents: &BTreeSet<Parent>,
    (number, rules): (usize, &[Value]),
    options: &Options,
) -> Output {
    let name = rule.session_routes(number);
    let (kind, namespace) = (rule.route.spec.kind.to_string(), &rule.route.id.namespace);
    let mut labels = labels(options);
    if let Some(revision) = route
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(REVISION_LABEL))
    {
        labels = with(labels, REVISION_LABEL, revision.clone());
    }
    let mut spec = route.get("spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        if let Some(all) = spec.get_mut("parentRefs").and_then(Value::as_array_mut) {
            all.retain(|parent| Parent::new(parent, namespace).is_some_and(|parent| parents.contains(&parent)));
        }
        spec.insert("rules".to_owned(), rules.into());
    }
    let stem = format!("{}-{namespace}-{name}", kind.to_lowercase());
    let object = json!({
        "apiVersion": route.get("apiVersion"),
        "kind": kind,
        "metadata": {
            "annotations": with(annotations(options), RULE_ANNOTATION, rule.id.as_str()),
            "labels": labels,
            "name": name,
            "namespace": namespace,
        },
        "spec": spec,
    });
    Output::new(stem, object).with_comment(provenance::comment(
        &format_args!("Istio {}", options.version),
        [rule.id.as_str()],
    ))
}

/// A parent of a route: an object with listeners, or a Service or `ServiceEntry`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Parent {
    Gateway(Id),
    ListenerSet(Id),
    /// Any Service or `ServiceEntry`.
    Mesh,
}

impl Parent {
    /// The parent, or `None` if it is of another kind.
    fn new(parent: &Value, namespace: &str) -> Option<Self> {
        let field = |name: &str| parent.get(name).and_then(Value::as_str);
        let id = Id::new(
            field("namespace").unwrap_or(namespace),
            field("name").unwrap_or_default(),
        );
        let group = field("group").unwrap_or(GATEWAY_API);
        match (group, field("kind").unwrap_or("Gateway")) {
            (GATEWAY_API, "Gateway") => Some(Self::Gateway(id)),
            (GATEWAY_API, "ListenerSet") | (GATEWAY_API_X, "XListenerSet") => Some(Self::ListenerSet(id)),
            (group, kind) => mesh_parent(group, kind).map(|_| Self::Mesh),
        }
    }
}

/// The user's rule, restricted to requests with this key and to one backend.
fn session_route(user: &Value, reference: usize, key: &str) -> Value {
    let mut rule = user.clone();
    let Some(fields) = rule.as_object_mut() else {
        return rule;
    };
    // Rule names are unique in a route, and a session route does not have session persistence.
    fields.remove("name");
    fields.remove("sessionPersistence");
    let mut backend = user
        .pointer(&format!("/backendRefs/{reference}"))
        .cloned()
        .unwrap_or_default();
    if let Some(backend) = backend.as_object_mut() {
        backend.remove("weight");
    }
    fields.insert("backendRefs".to_owned(), vec![backend].into());
    let mut matches = taken(fields, "matches");
    if matches.is_empty() {
        matches.push(json!({}));
    }
    let matches: Vec<Value> = matches.into_iter().map(|one| with_key(one, key)).collect();
    fields.insert("matches".to_owned(), matches.into());
    rule
}

/// The maximum number of headers that a filter removes (Gateway API: `HTTPHeaderFilter.remove`).
const MAX_REMOVED: usize = 16;

/// The type of the filter that changes request headers, and its field.
const HEADER_MODIFIER: (&str, &str) = ("RequestHeaderModifier", "requestHeaderModifier");

/// The route with a filter that removes the internal headers. A rule has one such filter at most, so that of the user gets
/// the names. If the API allows it no more names, the backend gets the header with its own key.
fn without_internal_headers(mut rule: Value) -> Value {
    let Some(fields) = rule.as_object_mut() else {
        return rule;
    };
    let (kind, field) = HEADER_MODIFIER;
    let mut filters = taken(fields, "filters");
    let is_modifier = |filter: &Value| filter.get("type").and_then(Value::as_str) == Some(kind);
    if !filters.iter().any(is_modifier) {
        filters.push(json!({ "type": kind, field: {} }));
    }
    let modifier = filters.iter_mut().find(|filter| is_modifier(filter));
    if let Some(fields) = modifier.and_then(|filter| filter.get_mut(field)?.as_object_mut()) {
        let mut removed = taken(fields, "remove");
        let room = MAX_REMOVED.saturating_sub(removed.len());
        removed.extend(INTERNAL_HEADERS.into_iter().take(room).map(Value::from));
        fields.insert("remove".to_owned(), removed.into());
    }
    fields.insert("filters".to_owned(), filters.into());
    rule
}

/// Removes a field and returns its list, which is empty if the field is absent or null.
fn taken(fields: &mut Map<String, Value>, field: &str) -> Vec<Value> {
    match fields.remove(field) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    }
}

/// A match that also requires the session key.
fn with_key(mut one: Value, key: &str) -> Value {
    if let Some(fields) = one.as_object_mut() {
        let mut headers = taken(fields, "headers");
        headers.push(json!({ "name": BACKEND_HEADER, "value": key }));
        fields.insert("headers".to_owned(), headers.into());
    }
    one
}
