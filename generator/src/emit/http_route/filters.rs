//! Faults and CORS: the per-route configuration of Envoy's filters (istiod: `TranslateFault`, `TranslateCORSPolicy`).

use serde_json::{Map, Value, json};

use super::{
    super::{http_filters::type_url, json::text},
    durations,
    grpc_status::grpc_status,
    percentage::{fraction, whole},
};

/// The per-route configuration of the filters for faults and for CORS.
pub fn filters(user: &Value) -> Option<Value> {
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
    let percentage = |of: &Value| {
        let percentage = of.get("percentage").filter(|percentage| !percentage.is_null())?;
        Some(fraction(percentage.get("value").and_then(Value::as_f64).unwrap_or(0.0)))
    };
    // Only a delay has the deprecated field, and a default.
    let deprecated = |delay: &Value| whole(delay.get("percent").and_then(Value::as_u64).unwrap_or(0));
    let delay = fault.get("delay").filter(|delay| delay.get("fixedDelay").is_some());
    let abort = fault
        .get("abort")
        .filter(|abort| abort.get("httpStatus").is_some() || abort.get("grpcStatus").is_some());
    json!({
        "@type": type_url("envoy.extensions.filters.http.fault.v3.HTTPFault"),
        "abort": abort.map(|abort| json!({
            "grpc_status": text(abort, "grpcStatus").and_then(grpc_status),
            "http_status": abort.get("httpStatus"),
            "percentage": percentage(abort),
        })),
        "delay": delay.map(|delay| json!({
            "fixed_delay": delay.get("fixedDelay").map(durations::canonical),
            "percentage": percentage(delay).unwrap_or_else(|| deprecated(delay)),
        })),
    })
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
    json!({
        "@type": type_url("envoy.extensions.filters.http.cors.v3.CorsPolicy"),
        "allow_credentials": policy.get("allowCredentials"),
        "allow_headers": list("allowHeaders"),
        "allow_methods": list("allowMethods"),
        "allow_origin_string_match": Some(origins).filter(|origins| !origins.is_empty()),
        "expose_headers": list("exposeHeaders"),
        "filter_enabled": { "default_value": whole(100) },
        "forward_not_matching_preflights": text(policy, "unmatchedPreflights") != Some("IGNORE"),
        "max_age": text(policy, "maxAge").and_then(durations::whole_seconds),
    })
}

fn to_string_match(matcher: &Value) -> Value {
    match matcher.get("regex") {
        Some(regex) => json!({ "safe_regex": { "regex": regex } }),
        None => matcher.clone(),
    }
}
