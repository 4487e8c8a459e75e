//! Redirects and direct responses (istiod: `ApplyRedirect`, `ApplyDirectResponse`).

use serde_json::{Value, json};

use super::super::json::text;

/// The redirect of a route. `port` is the port of the listener, and `tls` says whether clients connect to it with TLS.
pub fn redirect(redirect: &Value, port: u16, tls: bool) -> Value {
    let scheme = text(redirect, "scheme");
    let named = redirect.get("port").and_then(Value::as_u64);
    let of_request = text(redirect, "derivePort") == Some("FROM_REQUEST_PORT");
    let target = named.or(of_request.then_some(port.into()));
    let default = match (scheme, tls) {
        (Some("https"), _) | (None, true) => 443,
        _ => 80,
    };
    let prefix = text(redirect, "prefixRewrite").filter(|prefix| !prefix.is_empty());
    let path = text(redirect, "uri").filter(|uri| !uri.is_empty() && prefix.is_none());
    json!({
        "host_redirect": text(redirect, "authority"),
        "path_redirect": path,
        "port_redirect": target.filter(|target| *target != default),
        "prefix_rewrite": prefix,
        "response_code": match redirect.get("redirectCode").and_then(Value::as_u64) {
            Some(302) => "FOUND",
            Some(303) => "SEE_OTHER",
            Some(307) => "TEMPORARY_REDIRECT",
            Some(308) => "PERMANENT_REDIRECT",
            _ => "MOVED_PERMANENTLY",
        },
        "scheme_redirect": scheme,
    })
}

/// The direct response of a route.
pub fn direct_response(response: &Value) -> Value {
    let body = response
        .pointer("/body/string")
        .map(|text| json!({ "inline_string": text }));
    let bytes = || {
        response
            .pointer("/body/bytes")
            .map(|bytes| json!({ "inline_bytes": bytes }))
    };
    json!({ "body": body.or_else(bytes), "status": response.get("status") })
}
