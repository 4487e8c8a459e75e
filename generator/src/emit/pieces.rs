//! The pieces that Envoy needs besides the filter, as both targets write them: guard, pin and choice.
//!
//! - guard: removes our internal headers that a client sent, and what is left of them in responses;
//! - pin: Envoy's own `stateful_session`, which takes the host from a header and tells in a response which one it was;
//! - choice: takes the cluster from a header, among those of the rule.

use serde_json::{Value, json};

use crate::plan::{Backend, Session, primary};

/// In which header the filter names the host: base64 of `ip:port`.
const HOST_HEADER: &str = "x-mooring-host";

/// In which header the filter names the backend: its key.
const BACKEND_HEADER: &str = "x-mooring-backend";

/// The name of the pin in the filter chain, by which routes enable it.
const PIN: &str = "envoy.filters.http.stateful_session";

/// The `@type` of a message.
fn type_url(name: &str) -> String {
    format!("type.googleapis.com/{name}")
}

/// The HTTP filter that goes first.
pub fn guard() -> Value {
    let remove = || json!([{ "remove": HOST_HEADER }, { "remove": BACKEND_HEADER }]);
    json!({
        "name": "mooring.guard",
        "typed_config": {
            "@type": type_url("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"),
            "mutations": { "request_mutations": remove(), "response_mutations": remove() },
        },
    })
}

/// The HTTP filter that goes right before the router. It does nothing until a route enables it.
pub fn pin() -> Value {
    json!({
        "name": PIN,
        "disabled": true,
        "typed_config": stateful_session(false),
    })
}

/// What a route with sessions says to the pin.
pub fn pin_of(session: &Session) -> Value {
    json!({
        PIN: {
            "@type": type_url("envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"),
            "stateful_session": untyped(stateful_session(session.strict)),
        },
    })
}

fn stateful_session(strict: bool) -> Value {
    json!({
        "@type": type_url("envoy.extensions.filters.http.stateful_session.v3.StatefulSession"),
        "session_state": {
            "name": "envoy.http.stateful_session.header",
            "typed_config": {
                "@type": type_url("envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState"),
                "name": HOST_HEADER,
            },
        },
        "strict": strict,
    })
}

/// A message in a field of its own type has no `@type`.
fn untyped(mut message: Value) -> Value {
    if let Some(fields) = message.as_object_mut() {
        fields.remove("@type");
    }
    message
}

/// The headers that stay inside.
pub fn internal_headers() -> Value {
    json!([HOST_HEADER, BACKEND_HEADER])
}

/// The cluster of a route with several backends: that of the backend which the filter named, else the primary one. None
/// where there is nothing to choose.
pub fn choice(backends: &[Backend]) -> Option<Value> {
    let primary = primary(backends).filter(|_| backends.len() > 1)?;
    let map: serde_json::Map<String, Value> = backends
        .iter()
        .map(|backend| (backend.key(), action(backend)))
        .collect();
    Some(json!({
        "extension": {
            "name": "envoy.router.cluster_specifier_plugin.matcher",
            "typed_config": {
                "@type": type_url("envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier"),
                "cluster_matcher": {
                    "matcher_tree": {
                        "input": {
                            "name": BACKEND_HEADER,
                            "typed_config": {
                                "@type": type_url("envoy.type.matcher.v3.HttpRequestHeaderMatchInput"),
                                "header_name": BACKEND_HEADER,
                            },
                        },
                        "exact_match_map": { "map": map },
                    },
                    "on_no_match": action(primary),
                },
            },
        },
    }))
}

fn action(backend: &Backend) -> Value {
    json!({
        "action": {
            "name": backend.key(),
            "typed_config": {
                "@type": type_url("envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction"),
                "cluster": backend.cluster(),
            },
        },
    })
}
