//! Retries (istiod: `ConvertPolicy`).

use serde_json::{Value, json};

use super::{super::http_filters::type_url, durations};

/// The conditions that istiod configures if the route has no retry policy.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

/// The retry policy, or `None` if there are no retries. `hashed` says whether Envoy selects the endpoint by a hash.
pub fn retry_policy(retries: Option<&Value>, hashed: bool) -> Option<Value> {
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
        .filter(|text| !text.is_empty())
        .map_or((RETRY_ON.to_owned(), Vec::new()), retry_on);
    let avoids = field("retryIgnorePreviousHosts")
        .and_then(Value::as_bool)
        .unwrap_or(!hashed);
    let elsewhere = field("retryRemoteLocalities").and_then(Value::as_bool) == Some(true);
    Some(json!({
        "host_selection_retry_max_attempts": 5,
        "num_retries": attempts,
        "per_try_timeout": field("perTryTimeout").map(durations::canonical),
        "retriable_status_codes": Some(codes).filter(|codes| !codes.is_empty()),
        "retry_back_off": field("backoff").map(|interval| json!({ "base_interval": durations::canonical(interval) })),
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

/// `retryOn`. Istio reads a number in it as a status code if it is one (istiod: `parseRetryOn`).
fn retry_on(text: &str) -> (String, Vec<u16>) {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let mut codes = Vec::new();
    let mut conditions = Vec::new();
    for word in words {
        match word.parse().ok().filter(|code| is_status(*code)) {
            Some(code) => codes.push(code),
            None => conditions.push(word),
        }
    }
    let conditions = conditions.join(",");
    let by_code = "retriable-status-codes";
    if codes.is_empty() || conditions.contains(by_code) {
        return (conditions, codes);
    }
    // Without another condition, the list starts with a comma, as in istiod. Envoy ignores it.
    (format!("{conditions},{by_code}"), codes)
}

/// Whether a status code has a name (Go: `http.StatusText`).
fn is_status(code: u16) -> bool {
    matches!(code,
        100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451 | 500..=508 | 510 | 511)
}
