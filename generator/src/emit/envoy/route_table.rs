//! The routes of each virtual host in the order in which Envoy tries them: one for each match of a rule, and its session
//! routes.
//!
//! The bootstrap of `--target envoy` contains this table, and `crate::simulate` looks up requests in it.

use std::collections::BTreeMap;

use mooring_policy::internal_headers::{BACKEND_HEADER, session_key};
use serde_json::{Map, Value, json};

use super::{
    super::http_route::matches,
    listener_hosts,
    order::{Age, List, Precedence, age},
    served::{Served, ServedMatch},
};
use crate::{
    id::Id,
    ir::{Backend, ProxyGroup, VirtualHost},
    kind::Kind,
    resources::Resources,
};

/// The routes of a virtual host.
pub struct VirtualHostRoutes<'a> {
    /// The virtual host.
    pub host: VirtualHost,
    /// The host names for which it stands.
    pub domains: Vec<String>,
    /// The routes, the first one to try first. Without any, Envoy answers 404.
    pub routes: Vec<Entry<'a>>,
}

/// A route of the table.
pub struct Entry<'a> {
    list: List<'a>,
    precedence: Precedence<'a>,
    /// The rule.
    pub served: &'a Served<'a>,
    /// The match of the rule.
    pub one: &'a ServedMatch<'a>,
    /// The backend, if it is a session route.
    pub backend: Option<&'a Backend<'a>>,
}

/// The tables of the virtual hosts on one port of a gateway.
pub fn of_port<'a>(
    group: &'a ProxyGroup,
    rules: &'a [Served<'a>],
    port: u16,
    resources: &Resources,
) -> Vec<VirtualHostRoutes<'a>> {
    let mut hosts: BTreeMap<&VirtualHost, Vec<&Served>> = BTreeMap::new();
    for served in rules {
        for host in served.virtual_hosts.iter().filter(|host| host.port == port) {
            hosts.entry(host).or_default().push(served);
        }
    }
    let routed = hosts.keys().map(|host| host.hostname.as_str()).collect();
    let unrouted = listener_hosts::without_routes(group, port, &routed).into_iter();
    let unrouted: Vec<VirtualHost> = unrouted.map(|hostname| VirtualHost { port, hostname }).collect();
    let all = hosts.into_iter().chain(unrouted.iter().map(|host| (host, Vec::new())));
    let tables = all.map(|(host, rules)| VirtualHostRoutes {
        host: host.clone(),
        domains: domains(group, host, resources),
        routes: in_order(entries(&rules)),
    });
    tables.collect()
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

/// The routes of rules, sorted.
fn entries<'a>(rules: &[&'a Served<'a>]) -> Vec<Entry<'a>> {
    let mut oldest: BTreeMap<Kind, Age> = BTreeMap::new();
    for served in rules {
        let age = age(served.rule);
        let known = oldest.entry(served.rule.route.spec.kind).or_insert(age);
        *known = age.min(*known);
    }
    let mut entries: Vec<Entry> = Vec::new();
    for served in rules {
        let oldest = oldest.get(&served.rule.route.spec.kind);
        let list = List::new(served.rule, oldest.copied().unwrap_or_default());
        entries.extend(served.matches.iter().flat_map(|one| entries_of(served, one, list)));
    }
    // The sort is stable, so equal matches of a rule keep their order.
    entries.sort_by(|left, right| (&left.list, &left.precedence).cmp(&(&right.list, &right.precedence)));
    entries
}

/// The routes of a match: one, and one for each backend if the rule has session routes.
fn entries_of<'a>(served: &'a Served<'a>, one: &'a ServedMatch<'a>, list: List<'a>) -> Vec<Entry<'a>> {
    let rule = served.rule;
    let backends = rule.backends.iter().filter(|_| rule.has_session_routes());
    let targets = backends.map(Some).chain([None]);
    let entry = |backend: Option<&'a Backend<'a>>| Entry {
        list,
        precedence: Precedence::new(rule, one.one, backend.is_some()),
        served,
        one,
        backend,
    };
    targets.map(entry).collect()
}

/// The routes in istiod's order. In each list, no route follows one that matches everything
/// (`BuildHTTPRoutesForVirtualService`). The routes that match everything follow all others (`SortVHostRoutes`).
fn in_order(entries: Vec<Entry>) -> Vec<Entry> {
    let (mut routes, mut last) = (Vec::new(), Vec::new());
    let mut complete = None;
    for entry in entries {
        if complete == Some(entry.list) {
            continue;
        }
        if takes_everything(&entry.conditions()) {
            complete = Some(entry.list);
            last.push(entry);
        } else {
            routes.push(entry);
        }
    }
    routes.extend(last);
    routes
}

/// Whether a match matches every request (istiod: `IsCatchAllRoute`).
fn takes_everything(conditions: &Map<String, Value>) -> bool {
    let regex = conditions.get("safe_regex").and_then(|regex| regex.get("regex"));
    let path = conditions.get("prefix") == Some(&json!("/")) || regex == Some(&json!(".*"));
    path && !conditions.contains_key("headers") && !conditions.contains_key("query_parameters")
}

impl Entry<'_> {
    /// The name of the Envoy route.
    pub fn name(&self) -> String {
        let rule = self.served.rule;
        self.session_key().unwrap_or_else(|| rule.envoy_name(self.one.one))
    }

    /// The match of the Envoy route. A session route also requires the session key.
    pub fn conditions(&self) -> Map<String, Value> {
        let mut fields = matches::whole(&self.one.user);
        if let Some(key) = self.session_key() {
            let header = json!({ "name": BACKEND_HEADER, "string_match": { "exact": key } });
            let headers = fields.entry("headers").or_insert_with(|| json!([]));
            headers
                .as_array_mut()
                .into_iter()
                .for_each(|headers| headers.push(header.clone()));
        }
        fields
    }

    fn session_key(&self) -> Option<String> {
        let key = |backend: &Backend| session_key(&self.served.rule.id, &backend.key());
        self.backend.map(key)
    }
}
