//! Virtual hosts and routes: writes the route table in the form of Envoy's configuration.

use serde_json::{Value, json};

use super::{
    super::{
        http_filters,
        http_route::{self, headers, redirect},
        json::{text, with},
    },
    http_filter_chain::FILTER,
    route_table::{self, Entry, VirtualHostRoutes},
    served::{Served, ServedMatch},
};
use crate::{
    ir::{Backend, ProxyGroup, VirtualHost, VirtualHostFilters},
    kind::Kind,
    resources::Resources,
};

/// The name of a cluster that does not exist, for an invalid reference.
const NOWHERE: &str = "UnknownService";

/// A port of a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Whether clients connect to it with TLS.
    pub tls: bool,
}

/// The virtual hosts of one port of a gateway.
pub fn virtual_hosts(
    group: &ProxyGroup,
    rules: &[Served],
    port: Port,
    resources: &Resources,
) -> Vec<(VirtualHost, Value)> {
    let managed = group.managed_virtual_hosts();
    let tables = route_table::of_port(group, rules, port.number, resources).into_iter();
    tables
        .map(|table| {
            let value = virtual_host(&table, port, managed.get(&table.host));
            (table.host, value)
        })
        .collect()
}

fn virtual_host(table: &VirtualHostRoutes, port: Port, filters: Option<&VirtualHostFilters>) -> Value {
    let routes: Vec<Value> = table.routes.iter().map(|entry| route(entry, port)).collect();
    json!({
        "domains": table.domains,
        "name": table.host.name(),
        "request_headers_to_remove": filters.map(|_| http_filters::internal_headers()),
        "routes": routes,
        "typed_per_filter_config": filters.map(|filters| http_filters::of_host(FILTER, *filters)),
    })
}

fn route(entry: &Entry, port: Port) -> Value {
    let route = with(
        does(entry.served, entry.one, entry.backend, port),
        "match",
        entry.conditions(),
    );
    let rule = entry.served.rule;
    // The module identifies a route without a name by its metadata.
    let metadata = rule.is_unnamed_http_route().then(|| http_route::metadata(rule));
    with(with(route, "metadata", json!(metadata)), "name", entry.name())
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
