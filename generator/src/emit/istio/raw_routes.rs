//! The session routes of `VirtualService`s: Envoy routes that are inserted before the user's own.
//!
//! The routes of a `VirtualService` have no precedence except their order, so no other object can add a route before them: the routes
//! of a second `VirtualService` on the same host follow all routes of an older one, and one of the user's routes could match the
//! request first. So this module writes the Envoy route that istiod would write for the user's route with one destination (istiod:
//! `TranslateRoute`).

use mooring_policy::internal_headers::{BACKEND_HEADER, session_key};
use serde_json::{Map, Value, json};

use super::{
    super::{
        http_route::{self, durations, matches},
        json::{text, with},
    },
    filter_patches::{context, route_patch},
};
use crate::{
    document::RawObjects,
    ir::{Backend, ProxyGroup, Rule, VirtualHost, Workload, destination_rules, service_host},
    resources::Resources,
};

/// The port and the proxies for which a route is written.
#[derive(Clone, Copy)]
struct ProxyPort<'p> {
    /// The port of the listener.
    port: u16,
    /// The pods of the proxies.
    pods: &'p Workload,
}

/// Writes the session routes of `VirtualService`s.
pub struct Routes<'a, 's> {
    resources: &'a Resources,
    raw: &'a RawObjects<'s>,
}

impl<'a, 's> Routes<'a, 's> {
    /// Creates a writer that reads the input objects from `raw`.
    pub fn new(resources: &'a Resources, raw: &'a RawObjects<'s>) -> Self {
        Self { resources, raw }
    }

    /// The patches that insert the session routes of a rule into a virtual host of these proxies.
    pub fn patches(&self, group: &ProxyGroup, rule: &Rule, host: &VirtualHost) -> Vec<Value> {
        let proxy = ProxyPort {
            port: host.port,
            pods: &group.pods(),
        };
        let user = &http_route::written(rule, self.resources, self.raw);
        let before = json!({ "vhost": { "name": host.name(), "route": { "name": rule.first_envoy_name() } } });
        let routes = rule
            .backends
            .iter()
            .flat_map(|backend| self.routes(rule, backend, user, proxy));
        routes
            .map(|route| route_patch(context(group), "HTTP_ROUTE", "INSERT_BEFORE", &before, &route))
            .collect()
    }

    /// The routes to one backend: one, or one for each match if the path is rewritten.
    fn routes(&self, rule: &Rule, backend: &Backend, user: &Value, proxy: ProxyPort) -> Vec<Value> {
        let key = session_key(&rule.id, &backend.key());
        let mut route = self.route(rule, backend, user, proxy);
        let header = json!({ "name": BACKEND_HEADER, "string_match": { "exact": key } });
        let with_key = |mut one: matches::Match| {
            let headers = one.entry("headers").or_insert_with(|| json!([]));
            headers
                .as_array_mut()
                .into_iter()
                .for_each(|headers| headers.push(header.clone()));
            one
        };
        matches::of_session(user)
            .into_iter()
            .map(|one| {
                if let Some(route) = route.as_object_mut() {
                    route.insert("name".to_owned(), key.as_str().into());
                    route.insert("match".to_owned(), with_key(one).into());
                }
                route.clone()
            })
            .collect()
    }

    /// The route without its match.
    fn route(&self, rule: &Rule, backend: &Backend, user: &Value, proxy: ProxyPort) -> Value {
        let destination = user
            .pointer(&format!("/route/{}", backend.reference))
            .unwrap_or(&Value::Null);
        let port = destination.pointer("/destination/port/number").and_then(Value::as_u64);
        let hash = self.hash_policy(backend, port, proxy.pods);
        let mirrors = http_route::mirrors(user, |destination| self.cluster(rule, destination, proxy.port));
        let mut route = http_route::forward(user, destination, mirrors, hash.is_some());
        if let Some(action) = route.get_mut("route").and_then(Value::as_object_mut) {
            action.insert("cluster".to_owned(), backend.cluster().into());
            action.extend(hash.map(|policy| ("hash_policy".to_owned(), json!([policy]))));
        }
        let operation = format!("{}:{}/*", backend.host(), backend.port.port.value);
        with(route, "decorator", json!({ "operation": operation }))
    }

    /// The cluster of a destination, or `None` if the destination has no host. Without a port, it is the port of the
    /// Service, or else that of the listener (istiod: `GetDestinationCluster`).
    fn cluster(&self, rule: &Rule, destination: &Value, listener: u16) -> Option<String> {
        let host = self
            .resources
            .domain
            .full_name(text(destination, "host")?, &rule.written.id.namespace);
        let subset = text(destination, "subset").unwrap_or("");
        let named = destination.pointer("/port/number").and_then(Value::as_u64);
        // A full host name does not depend on the namespace.
        let internal = || self.resources.services.get(&self.resources.domain.service(&host, "")?);
        let service = self.resources.external_service(&host).or_else(internal);
        let only = match service.map(|service| service.spec.ports.as_slice()) {
            Some([only]) => Some(only.port.value.get().into()),
            _ => None,
        };
        let port = named.or(only).unwrap_or(listener.into());
        let host = service.map_or(host, |service| {
            service_host::cluster_host(service, &self.resources.domain)
        });
        Some(format!("outbound|{port}|{subset}|{host}"))
    }

    /// The consistent hashing policies of the `DestinationRule`s of a backend. Policies of its subset are first, and
    /// policies of its port precede others. As in istiod, only a port that the destination names counts.
    fn hash_policy(&self, backend: &Backend, port: Option<u64>, pods: &Workload) -> Option<Value> {
        let host = backend.host();
        let rules = destination_rules(&host, &backend.service.id.namespace, pods, self.resources);
        rules.into_iter().find_map(|item| {
            let rule = self.raw.find("DestinationRule", item);
            let subsets = rule
                .pointer("/spec/subsets")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let named = |subset: &&Value| {
                backend
                    .subset
                    .is_some_and(|name| text(subset, "name") == Some(&name.name.value))
            };
            let policies = subsets.filter(named).chain(rule.get("spec"));
            let policies = policies.filter_map(|level| level.get("trafficPolicy"));
            policies
                .flat_map(|policy| consistent_hashes(policy, port))
                .find_map(|hash| to_hash_policy(&hash))
        })
    }
}

/// The consistent hashing policies of a traffic policy, that of the port first.
fn consistent_hashes(policy: &Value, port: Option<u64>) -> Vec<Value> {
    let of_ports = policy
        .get("portLevelSettings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let of_port = of_ports.filter(|one| port.is_some() && one.pointer("/port/number").and_then(Value::as_u64) == port);
    let policies = of_port.chain([policy]);
    policies
        .filter_map(|policy| policy.pointer("/loadBalancer/consistentHash").cloned())
        .collect()
}

fn to_hash_policy(hash: &Value) -> Option<Value> {
    if let Some(name) = text(hash, "httpHeaderName") {
        return Some(json!({ "header": { "header_name": name } }));
    }
    if let Some(cookie) = hash.get("httpCookie") {
        let fields = ["attributes", "name", "path"].into_iter();
        let fields = fields.filter_map(|field| Some((field.to_owned(), cookie.get(field)?.clone())));
        let mut fields: Map<_, _> = fields.collect();
        fields.extend(
            cookie
                .get("ttl")
                .map(|ttl| ("ttl".to_owned(), durations::canonical(ttl))),
        );
        return Some(json!({ "cookie": fields }));
    }
    if let Some(name) = text(hash, "httpQueryParameterName") {
        return Some(json!({ "query_parameter": { "name": name } }));
    }
    let by_source = hash.get("useSourceIp").and_then(Value::as_bool)?;
    Some(json!({ "connection_properties": { "source_ip": by_source } }))
}
