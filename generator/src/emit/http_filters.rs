//! Envoy's own filters that both targets configure next to the Wasm module:
//!
//! - The header sanitizer removes Mooring's internal headers from requests of clients and from responses. On requests it must run
//!   before Envoy selects the route, in `early_header_mutation_extensions`: `header_mutation` as an HTTP filter is too late, because
//!   it does not make Envoy select the route again.
//! - In virtual hosts with many routes, a `header_mutation` filter sets headers from the filter state that the module has written.
//!   When a module sets a header, Envoy looks up the route again; after `header_mutation` it does not.
//! - `stateful_session` reads the host from a header and returns the selected host in the response. Strict sessions have a second
//!   instance.
//!
//! All of them are disabled until a virtual host enables them, except in the filter chains of waypoints, whose virtual hosts istiod
//! does not patch.

use mooring_policy::internal_headers::{
    BACKEND_HEADER, COOKIE_FILTER_STATE, FILTER_STATE_MARKER, HEADER_PREFIX, HOST_FILTER_STATE, HOST_HEADER,
    STRICT_HOST_FILTER_STATE, STRICT_HOST_HEADER,
};
use serde_json::{Value, json};

use crate::ir::VirtualHostFilters;

/// The oldest supported Envoy: it introduced `remove_on_match`.
pub const OLDEST_ENVOY: &str = "1.36";

/// The name of the header sanitizer.
const SANITIZER: &str = "mooring.header_sanitizer";

/// The name of the filter that removes internal headers from requests of waypoints.
const HEADER_REMOVAL: &str = "mooring.header_removal";

/// The name of the filter that sets headers from filter state.
const FILTER_STATE_HEADERS: &str = "mooring.filter_state_headers";

/// A stateful session filter: its name in the filter chain, and the header that it reads.
struct StatefulSession {
    name: &'static str,
    header: &'static str,
    strict: bool,
}

/// The filter for sessions that may move to another host.
const STATEFUL_SESSION: StatefulSession = StatefulSession {
    name: "mooring.stateful_session",
    header: HOST_HEADER,
    strict: false,
};

/// The filter for strict sessions.
const STRICT_STATEFUL_SESSION: StatefulSession = StatefulSession {
    name: "mooring.stateful_session.strict",
    header: STRICT_HOST_HEADER,
    strict: true,
};

/// The headers between the module and Envoy's filters.
pub const INTERNAL_HEADERS: [&str; 3] = [BACKEND_HEADER, HOST_HEADER, STRICT_HOST_HEADER];

/// The type of the header sanitizer and of the filter-state headers filter, and its configuration for a virtual host.
const HEADER_MUTATION: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
const HEADER_MUTATION_PER_ROUTE: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute";

/// The type of a stateful session filter.
const STATEFUL_SESSION_FILTER: &str = "envoy.extensions.filters.http.stateful_session.v3.StatefulSession";

/// The type that enables or disables a filter for a route.
const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";

/// The `@type` of a message.
pub fn type_url(name: &str) -> String {
    format!("type.googleapis.com/{name}")
}

/// The sanitizer of requests, for `early_header_mutation_extensions` of the HTTP connection manager. On routes without a rule,
/// removing by prefix takes fewer instructions than removing by name.
pub fn sanitizer_of_requests() -> Value {
    json!({
        "name": SANITIZER,
        "typed_config": {
            "@type": type_url("envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"),
            "mutations": [{ "remove_on_match": { "key_matcher": { "prefix": HEADER_PREFIX } } }],
        },
    })
}

/// The sanitizer of responses: the first HTTP filter, which is the last to see a response.
pub fn sanitizer_of_responses() -> Value {
    json!({
        "name": SANITIZER,
        "disabled": true,
        "typed_config": { "@type": type_url(HEADER_MUTATION) },
    })
}

/// The sanitizer of responses in a filter chain that it is enabled for.
pub fn enabled_sanitizer_of_responses() -> Value {
    json!({
        "name": SANITIZER,
        "typed_config": { "@type": type_url(HEADER_MUTATION), "mutations": { "response_mutations": removals() } },
    })
}

/// The HTTP filters between the module and the router in a filter chain that they are enabled for. The last one removes the
/// internal headers from the request.
pub fn enabled_before_router(filters: VirtualHostFilters) -> Vec<Value> {
    let sessions = [
        (filters.stateful_session, STATEFUL_SESSION),
        (filters.strict_stateful_session, STRICT_STATEFUL_SESSION),
    ];
    let sessions = sessions.into_iter().filter(|(wanted, _)| *wanted);
    let mut enabled: Vec<Value> = sessions
        .map(|(_, filter)| {
            let kind = json!({ "@type": type_url(STATEFUL_SESSION_FILTER) });
            json!({ "name": filter.name, "typed_config": merged(kind, session_state(&filter)) })
        })
        .collect();
    enabled.push(json!({
        "name": HEADER_REMOVAL,
        "typed_config": { "@type": type_url(HEADER_MUTATION), "mutations": { "request_mutations": removals() } },
    }));
    enabled
}

/// The fields of two objects.
fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(fields), Value::Object(others)) = (one.as_object_mut(), other) {
        fields.extend(others);
    }
    one
}

/// The sanitizer's configuration for a virtual host. If the filter-state headers filter is enabled there, a request header tells
/// the module so. Only the virtual host can state this, because the listeners and routes of a gateway do not change together.
fn sanitizer_of_host(filter_state_headers: bool) -> Value {
    json!({
        "@type": type_url(HEADER_MUTATION_PER_ROUTE),
        "mutations": {
            "request_mutations": filter_state_headers.then(|| [header(HOST_HEADER, FILTER_STATE_MARKER)]),
            "response_mutations": removals(),
        },
    })
}

fn removals() -> Value {
    INTERNAL_HEADERS.map(|name| json!({ "remove": name })).to_vec().into()
}

/// The HTTP filters between the module and the router, in their order. They are always present, even if no virtual host enables
/// them: an open connection keeps the filter chain with which it began.
pub fn before_router() -> [Value; 3] {
    [
        filter_state_headers(),
        stateful_session(&STATEFUL_SESSION),
        stateful_session(&STRICT_STATEFUL_SESSION),
    ]
}

fn filter_state_headers() -> Value {
    let filter_state = |state: &str| format!("%FILTER_STATE(wasm.{state}:PLAIN)%");
    json!({
        "name": FILTER_STATE_HEADERS,
        "disabled": true,
        "typed_config": {
            "@type": type_url(HEADER_MUTATION),
            "mutations": {
                "request_mutations": [
                    { "remove": HOST_HEADER },
                    // If the filter state is empty, the header is not changed.
                    header(HOST_HEADER, &filter_state(HOST_FILTER_STATE)),
                    header(STRICT_HOST_HEADER, &filter_state(STRICT_HOST_FILTER_STATE)),
                    header("cookie", &filter_state(COOKIE_FILTER_STATE)),
                ],
            },
        },
    })
}

/// Sets a header, and replaces its value if there is one.
fn header(name: &str, value: &str) -> Value {
    json!({
        "append": {
            "header": { "key": name, "value": value },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        },
    })
}

fn stateful_session(filter: &StatefulSession) -> Value {
    json!({
        "name": filter.name,
        "disabled": true,
        "typed_config": { "@type": type_url(STATEFUL_SESSION_FILTER) },
    })
}

/// The configuration of a stateful session filter for a virtual host.
fn stateful_session_of_host(filter: &StatefulSession) -> Value {
    json!({
        "@type": type_url("envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"),
        "stateful_session": session_state(filter),
    })
}

/// The fields of a stateful session filter.
fn session_state(filter: &StatefulSession) -> Value {
    json!({
        "session_state": {
            "name": "envoy.http.stateful_session.header",
            "typed_config": {
                "@type": type_url("envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState"),
                "name": filter.header,
            },
        },
        "strict": filter.strict.then_some(true),
    })
}

/// Enables the module. The Wasm filter has no per-route configuration, but Envoy enables the filter if one exists.
/// `is_optional` stops Envoy from rejecting it. (An empty `config` would do the same, but istiod does not accept that.)
fn module_of_host() -> Value {
    json!({
        "@type": type_url(FILTER_CONFIG),
        "config": { "@type": type_url("envoy.extensions.filters.http.wasm.v3.Wasm") },
        "is_optional": true,
    })
}

/// The filter configuration of a virtual host with rules: it enables the module, by its name in the filter chain, and the
/// sanitizer, and the other filters if its rules need them.
pub fn of_host(module: &str, filters: VirtualHostFilters) -> Value {
    let mut configs = serde_json::Map::from_iter([
        (module.to_owned(), module_of_host()),
        (SANITIZER.to_owned(), sanitizer_of_host(filters.filter_state_headers)),
    ]);
    let mut enable = |wanted: bool, name: &str, config: Value| {
        configs.extend(wanted.then(|| (name.to_owned(), config)));
    };
    enable(
        filters.filter_state_headers,
        FILTER_STATE_HEADERS,
        json!({ "@type": type_url(HEADER_MUTATION_PER_ROUTE) }),
    );
    let sessions = [
        (filters.stateful_session, STATEFUL_SESSION),
        (filters.strict_stateful_session, STRICT_STATEFUL_SESSION),
    ];
    for (wanted, filter) in sessions {
        enable(wanted, filter.name, stateful_session_of_host(&filter));
    }
    configs.into()
}

/// Disables a filter for a whole route configuration. Used for the filter of a `WasmPlugin`, which has no field for that.
pub fn disabled(filter: &str) -> Value {
    json!({ filter: { "@type": type_url(FILTER_CONFIG), "disabled": true } })
}

/// The headers between the module and Envoy's filters.
pub fn internal_headers() -> Value {
    json!(INTERNAL_HEADERS)
}
