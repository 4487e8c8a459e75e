//! What Envoy needs besides the module, as both targets write it:
//!
//! - the header sanitizer removes our internal headers that a client sent, and what is left of them in responses. The first
//!   half must come before Envoy chooses the route: a filter would be too late, since `header_mutation` does not make Envoy
//!   choose again;
//! - the relay, where a virtual host has very many routes, puts into headers what the module has left in the filter state of
//!   the request. Envoy looks for the route again after a module has set a header, but not after `header_mutation`;
//! - the pin is Envoy's own `stateful_session`, which takes the host from a header and tells in a response which one it was.
//!   Strict sessions have one of their own.
//!
//! All of them are off until a virtual host turns them on.

use mooring_policy::internal_headers::{
    BACKEND_HEADER, COOKIE_FILTER_STATE, FILTER_STATE_MARKER, HEADER_PREFIX, HOST_FILTER_STATE, HOST_HEADER,
    STRICT_HOST_FILTER_STATE, STRICT_HOST_HEADER,
};
use serde_json::{Value, json};

use crate::ir::VirtualHostFilters;

/// The name of the header sanitizer.
const SANITIZER: &str = "mooring.header_sanitizer";

/// The name of the relay in the filter chain.
const RELAY: &str = "mooring.header_relay";

/// The names of the pins in the filter chain, each with the header that it reads.
const PIN: (&str, &str) = ("mooring.stateful_session", HOST_HEADER);
const STRICT_PIN: (&str, &str) = ("mooring.stateful_session.strict", STRICT_HOST_HEADER);

/// The headers that stay inside.
const INTERNAL_HEADERS: [&str; 3] = [BACKEND_HEADER, HOST_HEADER, STRICT_HOST_HEADER];

/// The filter that is sanitizer and relay, and what a virtual host says to it.
const HEADER_MUTATION: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
const HEADER_MUTATION_PER_ROUTE: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute";

/// What turns a filter on or off for a route.
const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";

/// The `@type` of a message.
pub fn type_url(name: &str) -> String {
    format!("type.googleapis.com/{name}")
}

/// The sanitizer on the way in, for the HTTP connection manager's `early_header_mutation_extensions`. Removing by prefix takes
/// fewer instructions on routes without a rule than removing by name.
pub fn sanitizer_of_requests() -> Value {
    json!({
        "name": SANITIZER,
        "typed_config": {
            "@type": type_url("envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"),
            "mutations": [{ "remove_on_match": { "key_matcher": { "prefix": HEADER_PREFIX } } }],
        },
    })
}

/// The sanitizer on the way out: the HTTP filter that goes first, and so sees responses last.
pub fn sanitizer_of_responses() -> Value {
    json!({
        "name": SANITIZER,
        "disabled": true,
        "typed_config": { "@type": type_url(HEADER_MUTATION) },
    })
}

/// With a relay, it tells the module so. Nothing but the virtual host itself can say that: listeners and routes of a gateway
/// do not change at the same time.
fn sanitizer_of_host(relayed: bool) -> Value {
    json!({
        "@type": type_url(HEADER_MUTATION_PER_ROUTE),
        "mutations": {
            "request_mutations": relayed.then(|| [header(HOST_HEADER, FILTER_STATE_MARKER)]),
            "response_mutations": removals(),
        },
    })
}

fn removals() -> Value {
    INTERNAL_HEADERS.map(|name| json!({ "remove": name })).to_vec().into()
}

/// The HTTP filters between the module and the router, in their order. They are there also where no virtual host turns them
/// on, since connections stay on the filters that they began with.
pub fn before_router() -> [Value; 3] {
    [relay(), pin(PIN), pin(STRICT_PIN)]
}

fn relay() -> Value {
    let of_filter = |state: &str| format!("%FILTER_STATE(wasm.{state}:PLAIN)%");
    json!({
        "name": RELAY,
        "disabled": true,
        "typed_config": {
            "@type": type_url(HEADER_MUTATION),
            "mutations": {
                "request_mutations": [
                    { "remove": HOST_HEADER },
                    // A header is left as it is where the filter state has nothing.
                    header(HOST_HEADER, &of_filter(HOST_FILTER_STATE)),
                    header(STRICT_HOST_HEADER, &of_filter(STRICT_HOST_FILTER_STATE)),
                    header("cookie", &of_filter(COOKIE_FILTER_STATE)),
                ],
            },
        },
    })
}

/// Sets a header, whatever it was.
fn header(name: &str, value: &str) -> Value {
    json!({
        "append": {
            "header": { "key": name, "value": value },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        },
    })
}

fn pin((name, _): (&str, &str)) -> Value {
    json!({
        "name": name,
        "disabled": true,
        "typed_config": { "@type": type_url("envoy.extensions.filters.http.stateful_session.v3.StatefulSession") },
    })
}

/// What a virtual host says to a pin.
fn pin_of_host(header: &str, strict: bool) -> Value {
    json!({
        "@type": type_url("envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"),
        "stateful_session": {
            "session_state": {
                "name": "envoy.http.stateful_session.header",
                "typed_config": {
                    "@type": type_url("envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState"),
                    "name": header,
                },
            },
            "strict": strict.then_some(true),
        },
    })
}

/// What turns the module on. It has no configuration by route: that there is one says that it is on, that it is optional keeps
/// Envoy from minding. (An empty `config` would say the same; istiod does not take that.)
fn module_of_host() -> Value {
    json!({
        "@type": type_url(FILTER_CONFIG),
        "config": { "@type": type_url("envoy.extensions.filters.http.wasm.v3.Wasm") },
        "is_optional": true,
    })
}

/// What a virtual host with rules says to the filters: `module`, by its name in the chain, and the sanitizer are on, and the
/// others where its rules need them.
pub fn of_host(module: &str, filters: VirtualHostFilters) -> Value {
    let mut configs = serde_json::Map::from_iter([
        (module.to_owned(), module_of_host()),
        (SANITIZER.to_owned(), sanitizer_of_host(filters.filter_state_headers)),
    ]);
    let mut turn_on = |wanted: bool, name: &str, config: Value| {
        configs.extend(wanted.then(|| (name.to_owned(), config)));
    };
    turn_on(
        filters.filter_state_headers,
        RELAY,
        json!({ "@type": type_url(HEADER_MUTATION_PER_ROUTE) }),
    );
    turn_on(filters.stateful_session, PIN.0, pin_of_host(PIN.1, false));
    turn_on(
        filters.strict_stateful_session,
        STRICT_PIN.0,
        pin_of_host(STRICT_PIN.1, true),
    );
    configs.into()
}

/// What a route configuration says to a filter that is to run only where it is turned on, but is not listed as disabled.
pub fn off(filter: &str) -> Value {
    json!({ filter: { "@type": type_url(FILTER_CONFIG), "disabled": true } })
}

/// The headers that stay inside.
pub fn internal_headers() -> Value {
    json!(INTERNAL_HEADERS)
}
