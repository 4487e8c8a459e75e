//! Virtual hosts and routes: one virtual host for each host name, and one Envoy route for each match of a rule.

use std::collections::BTreeMap;

use mooring_policy::internal_headers::{BACKEND_HEADER, session_key};
use serde_json::{Value, json};

use super::{
    super::{
        http_filters,
        http_route::{self, headers, matches, redirect},
        json::{text, with},
    },
    http_filter_chain::FILTER,
    order::{Age, List, Precedence, age},
    served::{Served, ServedMatch},
};
use crate::{
    id::Id,
    ir::{Backend, ProxyGroup, VirtualHost, VirtualHostFilters},
    kind::Kind,
    resources::Resources,
};

/// The name of a cluster that does not exist, for an invalid reference.
const NOWHERE: &str = "UnknownService";

/// A route before it is generated: its position in the order, and its parts.
struct Candidate<'a> {
    list: List<'a>,
    precedence: Precedence<'a>,
    served: &'a Served<'a>,
    one: &'a ServedMatch<'a>,
    /// The backend, if it is a session route.
    backend: Option<&'a Backend<'a>>,
}

/// A port of a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Whether clients connect to it with TLS.
    pub tls: bool,
}

/// The virtual hosts of one port of a gateway.
pub fn virtual_hosts<'a>(
    group: &'a ProxyGroup,
    rules: &'a [Served<'a>],
    port: Port,
    resources: &Resources,
) -> Vec<(&'a VirtualHost, Value)> {
    let mut hosts: BTreeMap<&VirtualHost, Vec<&Served>> = BTreeMap::new();
    for served in rules {
        for host in served.virtual_hosts.iter().filter(|host| host.port == port.number) {
            hosts.entry(host).or_default().push(served);
        }
    }
    let managed = group.managed_virtual_hosts();
    hosts
        .into_iter()
        .map(|(host, rules)| {
            let domains = domains(group, host, resources);
            (host, virtual_host(host, &domains, &rules, port, managed.get(host)))
        })
        .collect()
}

/// The host names of a virtual host. Callers in the namespace of a Service can omit the namespace, and all callers can omit
/// the cluster domain (istiod: `generateVirtualHostDomains`).
fn domains(group: &ProxyGroup, host: &VirtualHost, resources: &Resources) -> Vec<String> {
    let mut domains = vec![host.hostname.clone()];
    let service = resources.domain.service(&host.hostname, "");
    if let Some(Id { namespace, name }) = service.filter(|_| group.gateway().is_none()) {
        domains.extend([format!("{name}.{namespace}.svc"), format!("{name}.{namespace}")]);
        domains.extend((namespace == group.namespace()).then_some(name));
    }
    domains
}

fn virtual_host(
    host: &VirtualHost,
    domains: &[String],
    rules: &[&Served],
    port: Port,
    filters: Option<&VirtualHostFilters>,
) -> Value {
    let mut oldest: BTreeMap<Kind, Age> = BTreeMap::new();
    for served in rules {
        let age = age(served.rule);
        let known = oldest.entry(served.rule.route.spec.kind).or_insert(age);
        *known = age.min(*known);
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for served in rules {
        let oldest = oldest.get(&served.rule.route.spec.kind);
        let list = List::new(served.rule, oldest.copied().unwrap_or_default());
        candidates.extend(served.matches.iter().flat_map(|one| candidates_of(served, one, list)));
    }
    // The sort is stable, so equal matches of a rule keep their order.
    candidates.sort_by(|left, right| (&left.list, &left.precedence).cmp(&(&right.list, &right.precedence)));
    json!({
        "domains": domains,
        "name": host.name(),
        "request_headers_to_remove": filters.map(|_| http_filters::internal_headers()),
        "routes": in_order(&candidates, port),
        "typed_per_filter_config": filters.map(|filters| http_filters::of_host(FILTER, *filters)),
    })
}

/// The routes of a match: one, and one for each backend if the rule has session routes.
fn candidates_of<'a>(served: &'a Served<'a>, one: &'a ServedMatch<'a>, list: List<'a>) -> Vec<Candidate<'a>> {
    let rule = served.rule;
    let backends = rule.backends.iter().filter(|_| rule.has_session_routes());
    let targets = backends.map(Some).chain([None]);
    let candidate = |backend: Option<&'a Backend<'a>>| Candidate {
        list,
        precedence: Precedence::new(rule, one.one, backend.is_some()),
        served,
        one,
        backend,
    };
    targets.map(candidate).collect()
}

/// The routes in istiod's order. In each list, no route follows one that matches everything
/// (`BuildHTTPRoutesForVirtualService`). The routes that match everything follow all others (`SortVHostRoutes`).
fn in_order(candidates: &[Candidate], port: Port) -> Vec<Value> {
    let (mut routes, mut last) = (Vec::new(), Vec::new());
    for list in candidates.chunk_by(|left, right| left.list == right.list) {
        for candidate in list {
            let route = route(candidate, port);
            if takes_everything(&route) {
                last.push(route);
                break;
            }
            routes.push(route);
        }
    }
    routes.extend(last);
    routes
}

/// Whether a route matches every request (istiod: `IsCatchAllRoute`).
fn takes_everything(route: &Value) -> bool {
    let of_match = |pointer: &str| route.pointer(&format!("/match{pointer}"));
    let path = of_match("/prefix") == Some(&json!("/")) || of_match("/safe_regex/regex") == Some(&json!(".*"));
    path && of_match("/headers").is_none() && of_match("/query_parameters").is_none()
}

fn route(
    Candidate {
        served, one, backend, ..
    }: &Candidate,
    port: Port,
) -> Value {
    let rule = served.rule;
    let key = backend.map(|backend| session_key(&rule.id, &backend.key()));
    let route = with(does(served, one, *backend, port), "match", matcher(one, key.as_deref()));
    with(route, "name", key.unwrap_or_else(|| rule.envoy_name(one.one)))
}

/// The action of a route.
fn does(served: &Served, one: &ServedMatch, backend: Option<&Backend>, port: Port) -> Value {
    let Some(user) = &served.user else {
        return json!({ "direct_response": { "status": 500 } });
    };
    if let Some(elsewhere) = user.get("redirect") {
        return http_route::answer(user, "redirect", redirect::redirect(elsewhere, port.number, port.tls));
    }
    if let Some(response) = user.get("directResponse") {
        return http_route::answer(user, "direct_response", redirect::direct_response(response));
    }
    let references = served.references.iter().enumerate();
    let by_share = || references.filter(|(_, reference)| reference.weight > 0);
    let positions: Vec<usize> = backend.map_or_else(
        || by_share().map(|(position, _)| position).collect(),
        |backend| vec![backend.reference],
    );
    forward(served, user, one, &positions)
}

/// A route to these references, by weight.
fn forward(served: &Served, user: &Value, one: &ServedMatch, positions: &[usize]) -> Value {
    let mut mirrors = served.mirrors.iter();
    let mirrors = http_route::mirrors(user, |_| mirrors.next()?.as_ref().map(Backend::cluster));
    let reference = |position: &usize| served.references.get(*position);
    let cluster = |position: &usize| {
        let backend = served.rule.references.get(*position).and_then(Option::as_ref);
        backend.map_or_else(|| NOWHERE.to_owned(), Backend::cluster)
    };
    let (route, field, clusters) = match positions {
        [] => return http_route::answer(user, "direct_response", json!({ "status": 500 })),
        [only] => {
            let destination = reference(only).map_or(&Value::Null, |reference| &reference.user);
            (
                http_route::forward(user, destination, mirrors, false),
                "cluster",
                json!(cluster(only)),
            )
        }
        several => {
            let weighted = several.iter().filter_map(|position| {
                let reference = reference(position)?;
                let levels = [reference.user.get("headers"), None];
                let weighted = json!({
                    "host_rewrite_literal": levels.iter().flatten().find_map(|level| headers::authority_of(level)),
                    "name": cluster(position),
                    "weight": reference.weight,
                });
                Some(headers::changed(weighted, &levels))
            });
            let weighted: Vec<Value> = weighted.collect();
            (
                http_route::forward(user, &Value::Null, mirrors, false),
                "weighted_clusters",
                json!({ "clusters": weighted }),
            )
        }
    };
    let mut route = route;
    if let Some(action) = route.get_mut("route").and_then(Value::as_object_mut) {
        action.insert(field.to_owned(), clusters);
        if served.rule.route.spec.kind != Kind::VirtualService {
            // Gateway API: a backend that does not exist answers 500.
            let nowhere = served.rule.references.iter().any(Option::is_none);
            let code = nowhere.then(|| {
                (
                    "cluster_not_found_response_code".to_owned(),
                    "INTERNAL_SERVER_ERROR".into(),
                )
            });
            action.extend(code);
            if text(user.get("rewrite").unwrap_or(&Value::Null), "uri") == Some("/") {
                action.remove("prefix_rewrite");
                action.insert("regex_rewrite".to_owned(), without_prefix(one));
            }
        }
    }
    route
}

/// Removes the prefix of a match (istiod: `applyHTTPRouteDestination`).
fn without_prefix(one: &ServedMatch) -> Value {
    let prefix = one.user.pointer("/uri/pathSeparatedPrefix").and_then(Value::as_str);
    let prefix = regex_lite::escape(prefix.unwrap_or(""));
    json!({ "pattern": { "regex": format!("^{prefix}(/?)(.*)") }, "substitution": r"/\2" })
}

/// The match of a route. A session route also requires the session key.
fn matcher(one: &ServedMatch, key: Option<&str>) -> Value {
    let mut fields = matches::whole(&one.user);
    if let Some(key) = key {
        let header = json!({ "name": BACKEND_HEADER, "string_match": { "exact": key } });
        let headers = fields.entry("headers").or_insert_with(|| json!([]));
        headers
            .as_array_mut()
            .into_iter()
            .for_each(|headers| headers.push(header.clone()));
    }
    fields.into()
}
