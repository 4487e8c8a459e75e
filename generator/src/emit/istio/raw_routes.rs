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
    ir::{Backend, ProxyGroup, Role, Rule, VirtualHost, Workload, destination_rules, service_host},
    model::service::ServiceSpec,
    resources::{Item, Resources},
};

/// The port and the proxies for which a route is written.
#[derive(Clone, Copy)]
struct ProxyPort<'p> {
    /// The port of the listener.
    port: u16,
    /// The pods of the proxies.
    pods: &'p Workload,
    /// Whether the proxies are sidecars. For each port, istiod then knows only the Services that have it.
    is_sidecar: bool,
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
            is_sidecar: matches!(group.role, Role::Sidecars(_)),
        };
        let user = &mut http_route::written(rule, self.resources, self.raw);
        keep_matches(user, rule);
        let user = &*user;
        // Before a route without a name, or before any other route that forwards requests: only requests of the rule have its keys.
        let name = Some(rule.first_envoy_name()).filter(|name| !name.is_empty());
        let action = name.is_none().then_some("ROUTE");
        let before = json!({ "vhost": { "name": host.name(), "route": { "action": action, "name": name } } });
        let routes = rule
            .backends
            .iter()
            .flat_map(|backend| self.routes(rule, backend, user, proxy));
        routes
            .map(|route| route_patch(context(group), "HTTP_ROUTE", "INSERT_BEFORE", &before, &route))
            .collect()
    }

    /// The routes to one backend: one, or one for each match that must be distinguished.
    fn routes(&self, rule: &Rule, backend: &Backend, user: &Value, proxy: ProxyPort) -> Vec<Value> {
        let key = session_key(&rule.id, &backend.key());
        let route = self.route(rule, backend, user, proxy);
        let header = json!({ "name": BACKEND_HEADER, "string_match": { "exact": key } });
        let with_key = |mut one: matches::Match| {
            let headers = one.entry("headers").or_insert_with(|| json!([]));
            headers
                .as_array_mut()
                .into_iter()
                .for_each(|headers| headers.push(header.clone()));
            one
        };
        // Another http route may have no name by now. Where it follows the rule, the key alone must not take its requests.
        let matches = if rule.is_unnamed_http_route() {
            matches::of_each(user)
        } else {
            matches::of_session(user)
        };
        let matches = matches.into_iter();
        matches
            .map(|one| {
                let operation = format!(
                    "{}:{}{}",
                    backend.cluster_host(),
                    backend.port.port.value,
                    one.operation
                );
                let mut route = route.clone();
                if let Some(fields) = route.as_object_mut() {
                    fields.insert("name".to_owned(), key.as_str().into());
                    fields.insert("match".to_owned(), with_key(one.conditions).into());
                    fields.insert("decorator".to_owned(), json!({ "operation": operation }));
                    fields.extend(one.stat_prefix.map(|prefix| ("stat_prefix".to_owned(), prefix.into())));
                }
                route
            })
            .collect()
    }

    /// The route without its match.
    fn route(&self, rule: &Rule, backend: &Backend, user: &Value, proxy: ProxyPort) -> Value {
        let destination = user
            .pointer(&format!("/route/{}", backend.reference))
            .unwrap_or(&Value::Null);
        let port = destination.pointer("/destination/port/number").and_then(Value::as_u64);
        let hash = self.consistent_hash(backend, port, proxy.pods);
        let mirrors = http_route::mirrors(user, |destination| self.cluster(rule, destination, proxy));
        let mut route = http_route::forward(user, destination, mirrors, hash.is_some());
        if let Some(action) = route.get_mut("route").and_then(Value::as_object_mut) {
            action.insert("cluster".to_owned(), backend.cluster().into());
            let policy = hash.as_ref().and_then(to_hash_policy);
            action.extend(policy.map(|policy| ("hash_policy".to_owned(), json!([policy]))));
        }
        // `istioctl proxy-config routes` shows the VirtualService by it.
        with(route, "metadata", http_route::metadata(rule))
    }

    /// The cluster of a destination, or `None` if the destination has no host. Without a port, it is the port of the
    /// Service, or else that of the listener (istiod: `GetDestinationCluster`).
    fn cluster(&self, rule: &Rule, destination: &Value, proxy: ProxyPort) -> Option<String> {
        let host = self
            .resources
            .domain
            .full_name(text(destination, "host")?, &rule.written.id.namespace);
        let subset = text(destination, "subset").unwrap_or("");
        let named = destination.pointer("/port/number").and_then(Value::as_u64);
        // A full host name does not depend on the namespace.
        let internal = || self.resources.services.get(&self.resources.domain.service(&host, "")?);
        let service = self.resources.external_service(&host).or_else(internal);
        let has_port = |service: &&Item<ServiceSpec>| {
            service
                .spec
                .ports
                .iter()
                .any(|port| port.port.value.get() == proxy.port)
        };
        let service = service.filter(|service| !proxy.is_sidecar || has_port(service));
        let only = match service.map(|service| service.spec.ports.as_slice()) {
            Some([only]) => Some(only.port.value.get().into()),
            _ => None,
        };
        let only = only.filter(|_| !proxy.is_sidecar);
        let port = named.or(only).unwrap_or(proxy.port.into());
        let host = service.map_or(host, |service| {
            service_host::cluster_host(service, &self.resources.domain)
        });
        Some(format!("outbound|{port}|{subset}|{host}"))
    }

    /// The `consistentHash` that applies to a backend: that of its subset or else of its host, and at each of these levels that of the
    /// port first. As in istiod, only a port that the destination names counts (istiod: `HashForHTTPDestination`).
    fn consistent_hash(&self, backend: &Backend, port: Option<u64>, pods: &Workload) -> Option<Value> {
        let rules = destination_rules(&backend.host(), &backend.service.id.namespace, pods, self.resources);
        let rules: Vec<_> = rules
            .into_iter()
            .map(|item| self.raw.find("DestinationRule", item))
            .collect();
        // istiod merges the rules: the first policy counts, and the first subset of a name.
        let policy = |object: &'_ Value| object.get("trafficPolicy").filter(|policy| !policy.is_null()).cloned();
        let of_host = rules.iter().find_map(|rule| policy(rule.get("spec")?));
        let subsets = rules
            .iter()
            .filter_map(|rule| rule.pointer("/spec/subsets")?.as_array());
        let mut subsets = subsets.flatten();
        let subset = backend.subset.and_then(|name| {
            let named = |subset: &&Value| text(subset, "name") == Some(&name.name.value);
            subsets.find(named)
        });
        let of_subset = subset.and_then(policy);
        let mut levels = of_subset.iter().chain(&of_host);
        levels.find_map(|policy| {
            let of_port = port.and_then(|port| of_port(policy, port));
            of_port.into_iter().chain([policy]).find_map(|level| {
                let hash = level.pointer("/loadBalancer/consistentHash");
                hash.filter(|hash| !hash.is_null()).cloned()
            })
        })
    }
}

/// The settings of a traffic policy for a port.
fn of_port(policy: &Value, port: u64) -> Option<&Value> {
    let settings = policy.get("portLevelSettings")?.as_array()?;
    let mut settings = settings.iter();
    settings.find(|one| one.pointer("/port/number").and_then(Value::as_u64) == Some(port))
}

/// Removes the matches that do not apply to the virtual host of the rule.
fn keep_matches(user: &mut Value, rule: &Rule) {
    let Some(matches) = user.get_mut("match").and_then(Value::as_array_mut) else {
        return;
    };
    let mut all = rule.spec.value.matches.iter();
    matches.retain(|_| {
        all.next()
            .is_none_or(|one| rule.matches.iter().any(|kept| std::ptr::eq(*kept, one)))
    });
}

fn to_hash_policy(hash: &Value) -> Option<Value> {
    if let Some(name) = text(hash, "httpHeaderName") {
        return Some(json!({ "header": { "header_name": name } }));
    }
    if let Some(cookie) = hash.get("httpCookie") {
        let fields = ["attributes", "name", "path"].into_iter();
        let fields = fields.filter(|field| {
            cookie
                .get(field)
                .is_some_and(|value| *value != "" && *value != json!([]))
        });
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
    // False is Envoy's default.
    Some(json!({ "connection_properties": { "source_ip": by_source.then_some(true) } }))
}
