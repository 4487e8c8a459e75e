//! The session routes of `VirtualService`s: Envoy routes that are inserted before the user's own.
//!
//! The routes of a `VirtualService` have no precedence but their order, so no other object can put a route before them: a second
//! `VirtualService` on the same host would come after all routes of an older one, and a route of the user's between the two could
//! take the request. What istiod would write for the user's route with that one destination is therefore written here in
//! Envoy's words (istiod: `TranslateRoute`).

use mooring_policy::handover::{BACKEND_HEADER, session_key};
use serde_json::{Map, Value, json};

use super::{IstioVersion, pieces::type_url, route_patch};
use crate::{
    dns::{CLUSTER_DOMAIN, full_name},
    document::RawObjects,
    inventory::{Id, Inventory},
    plan::{Backend, Rule, VirtualHost},
};

mod matches;

/// What istiod writes where nothing is said about retries.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

/// What has to be looked up to write a route.
pub struct Routes<'a, 's> {
    inventory: &'a Inventory,
    raw: &'a RawObjects<'s>,
    version: IstioVersion,
}

impl<'a, 's> Routes<'a, 's> {
    /// Looks things up in these, and writes as this Istio does.
    pub fn new(inventory: &'a Inventory, raw: &'a RawObjects<'s>, version: IstioVersion) -> Self {
        Self {
            inventory,
            raw,
            version,
        }
    }

    /// The patches that insert the session routes of a rule into a virtual host.
    pub fn patches(&self, rule: &Rule, host: &VirtualHost) -> Vec<Value> {
        let object = self.raw.find("VirtualService", rule.route);
        let user = object
            .pointer(&format!("/spec/http/{}", rule.index))
            .unwrap_or(&Value::Null);
        let before = json!({ "vhost": { "name": host.name(), "route": { "name": rule.first_envoy_name() } } });
        let routes = rule
            .backends
            .iter()
            .flat_map(|backend| self.routes(rule, backend, user, host.port));
        routes
            .map(|route| route_patch("HTTP_ROUTE", "INSERT_BEFORE", &before, &route))
            .collect()
    }

    /// The routes to one backend: one, or where the path is rewritten one for each way to match it.
    fn routes(&self, rule: &Rule, backend: &Backend, user: &Value, listener: u16) -> Vec<Value> {
        let key = session_key(&rule.id, &backend.key());
        let mut route = self.route(rule, backend, user, listener);
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

    /// The route without what it matches.
    fn route(&self, rule: &Rule, backend: &Backend, user: &Value, listener: u16) -> Value {
        let destination = user
            .pointer(&format!("/route/{}", backend.reference))
            .unwrap_or(&Value::Null);
        let levels = [user.get("headers"), destination.get("headers")];
        let rewrite = user.get("rewrite");
        let authority = rewrite.and_then(|rewrite| text(rewrite, "authority"));
        let authority = authority.or_else(|| levels.iter().flatten().find_map(|headers| authority_of(headers)));
        let timeout = text(user, "timeout").unwrap_or("0s");
        let port = destination.pointer("/destination/port/number").and_then(Value::as_u64);
        let hash = self.hash_policy(backend, port);
        let action = json!({
            "cluster": backend.cluster(),
            "hash_policy": hash.as_ref().map(|policy| [policy]),
            "host_rewrite_literal": authority,
            "max_grpc_timeout": timeout,
            "prefix_rewrite": rewrite.and_then(|rewrite| text(rewrite, "uri")),
            "regex_rewrite": rewrite.and_then(|rewrite| rewrite.get("uriRegexRewrite")).map(|regex| json!({
                "pattern": { "regex": regex.get("match") },
                "substitution": regex.get("rewrite"),
            })),
            "request_mirror_policies": self.mirrors(rule, user, listener),
            "retry_policy": retry_policy(user.get("retries"), hash.is_some()),
            "timeout": timeout,
        });
        json!({
            "route": action,
            "decorator": { "operation": format!("{}:{}/*", backend.host(), backend.port.port.value) },
            "request_headers_to_add": headers_to_add(&levels, "request"),
            "request_headers_to_remove": headers_to_remove(&levels, "request"),
            "response_headers_to_add": headers_to_add(&levels, "response"),
            "response_headers_to_remove": headers_to_remove(&levels, "response"),
            "typed_per_filter_config": filters(user),
        })
    }

    fn mirrors(&self, rule: &Rule, user: &Value, listener: u16) -> Option<Vec<Value>> {
        let single = user.get("mirror").map(|mirror| {
            let percent = user
                .pointer("/mirrorPercentage/value")
                .or_else(|| user.get("mirrorPercent"))
                .or_else(|| user.get("mirror_percent"));
            (mirror, percent)
        });
        let several = user.get("mirrors").and_then(Value::as_array).into_iter().flatten();
        let several =
            several.filter_map(|policy| Some((policy.get("destination")?, policy.pointer("/percentage/value"))));
        let policies: Vec<Value> = single
            .into_iter()
            .chain(several)
            .filter_map(|(destination, percent)| {
                let percent = percent
                    .map_or(Some(100.0), Value::as_f64)
                    .filter(|percent| *percent > 0.0)?;
                Some(json!({
                    "cluster": self.cluster(rule, destination, listener)?,
                    "disable_shadow_host_suffix_append": self.version.mirrors_keep_hosts().then_some(true),
                    "runtime_fraction": { "default_value": fraction(percent) },
                    "trace_sampled": false,
                }))
            })
            .collect();
        Some(policies).filter(|policies| !policies.is_empty())
    }

    /// The cluster of a destination. Where it names no port, it is the one of the Service, or else that of the listener (istiod:
    /// `GetDestinationCluster`). None: it has no host.
    fn cluster(&self, rule: &Rule, destination: &Value, listener: u16) -> Option<String> {
        let host = full_name(text(destination, "host")?, &rule.route.id.namespace);
        let subset = text(destination, "subset").unwrap_or("");
        let named = destination.pointer("/port/number").and_then(Value::as_u64);
        let port = named.or_else(|| self.only_port(&host)).unwrap_or(listener.into());
        Some(format!("outbound|{port}|{subset}|{host}"))
    }

    /// The port of a Service that has one only.
    fn only_port(&self, host: &str) -> Option<u64> {
        let internal = || {
            let (name, namespace) = host.strip_suffix(CLUSTER_DOMAIN)?.split_once('.')?;
            self.inventory.services.get(&Id::new(namespace, name))
        };
        let service = self.inventory.external_service(host).or_else(internal)?;
        match service.spec.ports.as_slice() {
            [only] => Some(only.port.value.get().into()),
            _ => None,
        }
    }

    /// How the `DestinationRule`s of a backend balance by consistent hashing: those of its subset first, and those of its port
    /// before others. As in istiod, the port is one that the destination names.
    fn hash_policy(&self, backend: &Backend, port: Option<u64>) -> Option<Value> {
        let host = backend.host();
        self.inventory.destination_rules_of(&host).find_map(|item| {
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

fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}

fn retry_policy(retries: Option<&Value>, hashed: bool) -> Option<Value> {
    let field = |name: &str| {
        retries
            .and_then(|retries| retries.get(name))
            .filter(|value| !value.is_null())
    };
    let attempts = match (retries, field("attempts")) {
        (None, _) => json!(2),
        (Some(_), attempts) => attempts.filter(|attempts| attempts.as_i64() > Some(0))?.clone(),
    };
    let (retry_on, codes) = field("retryOn")
        .and_then(Value::as_str)
        .map_or((RETRY_ON.to_owned(), Vec::new()), retry_on);
    let avoids = field("retryIgnorePreviousHosts")
        .and_then(Value::as_bool)
        .unwrap_or(!hashed);
    let elsewhere = field("retryRemoteLocalities").and_then(Value::as_bool) == Some(true);
    Some(json!({
        "host_selection_retry_max_attempts": 5,
        "num_retries": attempts,
        "per_try_timeout": field("perTryTimeout"),
        "retriable_status_codes": Some(codes).filter(|codes| !codes.is_empty()),
        "retry_back_off": field("backoff").map(|interval| json!({ "base_interval": interval })),
        "retry_host_predicate": avoids.then(|| json!([{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": type_url("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            },
        }])),
        "retry_on": retry_on,
        "retry_priority": elsewhere.then(|| json!({
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": type_url("envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"),
                "update_frequency": 2,
            },
        })),
    }))
}

/// `retryOn`, in which Istio takes numbers for status codes.
fn retry_on(text: &str) -> (String, Vec<u16>) {
    let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let codes: Vec<u16> = words().filter_map(|word| word.parse().ok()).collect();
    let mut conditions: Vec<&str> = words().filter(|word| word.parse::<u16>().is_err()).collect();
    let by_code = "retriable-status-codes";
    if !codes.is_empty() && !conditions.contains(&by_code) {
        conditions.push(by_code);
    }
    (conditions.join(","), codes)
}

type Levels<'v> = [Option<&'v Value>; 2];

/// The headers that are set and added, those of the route before those of the destination.
fn headers_to_add(levels: &Levels, direction: &str) -> Option<Vec<Value>> {
    let operations = [
        ("set", "OVERWRITE_IF_EXISTS_OR_ADD"),
        ("add", "APPEND_IF_EXISTS_OR_ADD"),
    ];
    let mut options = Vec::new();
    for level in levels.iter().flatten() {
        for (operation, action) in operations {
            let headers = level
                .pointer(&format!("/{direction}/{operation}"))
                .and_then(Value::as_object);
            for (name, value) in headers.into_iter().flatten().filter(|(name, _)| !is_internal(name)) {
                options.push(json!({ "append_action": action, "header": { "key": name, "value": value } }));
            }
        }
    }
    Some(options).filter(|options| !options.is_empty())
}

fn headers_to_remove(levels: &Levels, direction: &str) -> Option<Vec<String>> {
    let lists = levels.iter().flatten();
    let lists = lists.filter_map(|level| level.pointer(&format!("/{direction}/remove"))?.as_array());
    let names = lists
        .flatten()
        .filter_map(Value::as_str)
        .filter(|name| !is_internal(name));
    let names: Vec<String> = names.map(str::to_owned).collect();
    Some(names).filter(|names| !names.is_empty())
}

/// Whether Envoy refuses changes of a header.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

/// What `headers` make of the authority.
fn authority_of(headers: &Value) -> Option<&str> {
    let operations = ["/request/set", "/request/add"].into_iter();
    let headers = operations.filter_map(|operation| headers.pointer(operation)?.as_object());
    let named = |name: &str| name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority");
    let mut values = headers.flatten().filter(|(name, _)| named(name));
    values.next().and_then(|(_, value)| value.as_str())
}

/// What the filters for faults and for CORS are told.
fn filters(user: &Value) -> Option<Value> {
    let mut configs = Map::new();
    if let Some(fault) = user.get("fault") {
        configs.insert("envoy.filters.http.fault".to_owned(), to_fault(fault));
    }
    if let Some(policy) = user.get("corsPolicy") {
        configs.insert("envoy.filters.http.cors".to_owned(), to_cors(policy));
    }
    (!configs.is_empty()).then(|| configs.into())
}

fn to_fault(fault: &Value) -> Value {
    let percentage = |of: &Value| of.pointer("/percentage/value").and_then(Value::as_f64);
    // Only a delay has the older field.
    let whole = |delay: &Value| delay.get("percent").and_then(Value::as_f64);
    let delay = fault.get("delay").filter(|delay| delay.get("fixedDelay").is_some());
    let abort = fault
        .get("abort")
        .filter(|abort| abort.get("httpStatus").is_some() || abort.get("grpcStatus").is_some());
    json!({
        "@type": type_url("envoy.extensions.filters.http.fault.v3.HTTPFault"),
        "abort": abort.map(|abort| json!({
            "grpc_status": text(abort, "grpcStatus").and_then(grpc_status),
            "http_status": abort.get("httpStatus"),
            "percentage": percentage(abort).map(fraction),
        })),
        "delay": delay.map(|delay| json!({
            "fixed_delay": delay.get("fixedDelay"),
            "percentage": percentage(delay).or_else(|| whole(delay)).map(fraction),
        })),
    })
}

/// The number of a gRPC status (gRPC: "Status codes and their use in gRPC").
fn grpc_status(name: &str) -> Option<usize> {
    let names = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    names.iter().position(|known| *known == name)
}

fn to_cors(policy: &Value) -> Value {
    let list = |field: &str| {
        let words = policy.get(field).and_then(Value::as_array)?;
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        Some(words.join(",")).filter(|text| !text.is_empty())
    };
    let matchers = policy.get("allowOrigins").and_then(Value::as_array);
    let names = policy.get("allowOrigin").and_then(Value::as_array);
    let origins: Vec<Value> = match (matchers, names) {
        (Some(matchers), _) => matchers.iter().map(to_string_match).collect(),
        (None, names) => names
            .into_iter()
            .flatten()
            .map(|name| json!({ "exact": name }))
            .collect(),
    };
    let forwards = match text(policy, "unmatchedPreflights") {
        Some("IGNORE") => json!(false),
        Some("FORWARD") => json!(true),
        _ => Value::Null,
    };
    json!({
        "@type": type_url("envoy.extensions.filters.http.cors.v3.CorsPolicy"),
        "allow_credentials": policy.get("allowCredentials"),
        "allow_headers": list("allowHeaders"),
        "allow_methods": list("allowMethods"),
        "allow_origin_string_match": origins,
        "expose_headers": list("exposeHeaders"),
        "filter_enabled": { "default_value": fraction(100.0) },
        "forward_not_matching_preflights": forwards,
        "max_age": text(policy, "maxAge").and_then(seconds).map(|seconds| seconds.to_string()),
    })
}

/// The whole seconds of a duration as Istio reads it (Go: `time.ParseDuration`), for the one field of Envoy that is a number in a
/// text. None: it is no duration.
fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let end = tail.find(|one: char| one.is_ascii_digit() || one == '.');
        let (unit, tail) = tail.split_at_checked(end.unwrap_or(tail.len()))?;
        let factor = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    format!("{:.0}", f64::floor(total)).parse().ok()
}

fn to_string_match(matcher: &Value) -> Value {
    match matcher.get("regex") {
        Some(regex) => json!({ "safe_regex": { "regex": regex } }),
        None => matcher.clone(),
    }
}

/// A percentage in millionths, as istiod writes it.
fn fraction(percent: f64) -> Value {
    let millionths = format!("{:.0}", percent * 10_000.0);
    json!({ "denominator": "MILLION", "numerator": millionths.parse::<u32>().unwrap_or(0) })
}

/// The ways of hashing that a traffic policy names, the one of the port first.
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
        let fields = ["attributes", "name", "path", "ttl"].into_iter();
        let fields = fields.filter_map(|field| Some((field.to_owned(), cookie.get(field)?.clone())));
        return Some(json!({ "cookie": fields.collect::<Map<_, _>>() }));
    }
    if let Some(name) = text(hash, "httpQueryParameterName") {
        return Some(json!({ "query_parameter": { "name": name } }));
    }
    let by_source = hash.get("useSourceIp").and_then(Value::as_bool)?;
    Some(json!({ "connection_properties": { "source_ip": by_source } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_whole_seconds() {
        for (text, expected) in [
            ("24h", 86_400),
            ("1h30m", 5_400),
            ("1.5h", 5_400),
            ("2m1.9s", 121),
            ("900ms", 0),
            ("0s", 0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["1", "s", "1d", "1h2", "-1s"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
