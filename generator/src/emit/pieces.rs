//! The pieces that Envoy needs besides the filter, as both targets write them: guard, relay, pin and choice.
//!
//! - guard: removes our internal headers that a client sent, and what is left of them in responses. The first half must
//!   come before Envoy chooses the route: a filter would be too late, since `header_mutation` does not make Envoy choose
//!   again, and where our own filter does not run the client would have chosen the backend;
//! - relay: where a virtual host has very many routes, puts into headers what the filter has left in the filter state of the
//!   request. Envoy looks for the route again after a filter like ours has set a header, but not after `header_mutation`;
//! - pin: Envoy's own `stateful_session`, which takes the host from a header and tells in a response which one it was;
//! - choice: takes the cluster from a header, among those of the rule.

use mooring_policy::{
    handover::{BACKEND_HEADER, COOKIE_STATE, HOST_HEADER, HOST_STATE, RELAYED},
    rule::Transport,
};
use serde_json::{Value, json};

use crate::plan::{Backend, Placed, Session, primary};

/// The name of the guard.
const GUARD: &str = "mooring.guard";

/// The name of the relay in the filter chain, by which routes enable it.
const RELAY: &str = "mooring.relay";

/// The name of the pin in the filter chain, by which routes enable it.
const PIN: &str = "mooring.pin";

/// The filter that is guard and relay, and what a route says to it.
const HEADER_MUTATION: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
const HEADER_MUTATION_PER_ROUTE: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute";

/// What turns a filter on or off for a route.
const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";

/// The `@type` of a message.
pub fn type_url(name: &str) -> String {
    format!("type.googleapis.com/{name}")
}

/// The guard on the way in, for the HTTP connection manager's `early_header_mutation_extensions`.
pub fn guard_of_requests() -> Value {
    json!({
        "name": GUARD,
        "typed_config": {
            "@type": type_url("envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"),
            "mutations": removals(),
        },
    })
}

/// The guard on the way out: the HTTP filter that goes first, and so sees responses last. It is off until a route
/// configures it.
pub fn guard_of_responses() -> Value {
    json!({
        "name": GUARD,
        "disabled": true,
        "typed_config": { "@type": type_url(HEADER_MUTATION) },
    })
}

/// With a relay, it tells the filter so. Nothing but the route itself can say that: listeners and routes of a gateway do not
/// change at the same time.
fn guard_of_route(relayed: bool) -> Value {
    json!({
        "@type": type_url(HEADER_MUTATION_PER_ROUTE),
        "mutations": {
            "request_mutations": relayed.then(|| [header(HOST_HEADER, RELAYED)]),
            "response_mutations": removals(),
        },
    })
}

/// The HTTP filter between our own and the pin. It is off until a route configures it. It is there also where no route
/// does, since connections stay on the filters that they began with.
pub fn relay() -> Value {
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
                    header(HOST_HEADER, &of_filter(HOST_STATE)),
                    header("cookie", &of_filter(COOKIE_STATE)),
                ],
            },
        },
    })
}

fn relay_of_route() -> Value {
    json!({ "@type": type_url(HEADER_MUTATION_PER_ROUTE) })
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

/// What turns our own filter on. It has no configuration by route: that there is one says that it is on, that it is
/// optional keeps Envoy from minding. (An empty `config` would say the same; istiod does not take that.)
fn filter_of_route() -> Value {
    json!({
        "@type": type_url(FILTER_CONFIG),
        "config": { "@type": type_url("envoy.extensions.filters.http.wasm.v3.Wasm") },
        "is_optional": true,
    })
}

fn removals() -> Value {
    json!([{ "remove": BACKEND_HEADER }, { "remove": HOST_HEADER }])
}

/// The HTTP filter that goes right before the router. It is off until a route configures it.
pub fn pin() -> Value {
    json!({
        "name": PIN,
        "disabled": true,
        "typed_config": { "@type": type_url("envoy.extensions.filters.http.stateful_session.v3.StatefulSession") },
    })
}

/// What a route says to the pieces: `filter`, our own one by its name in the chain, and the guard are on, and the pin where
/// sessions are bound to hosts. None of them runs for routes that have nothing to do with us.
pub fn of_route(filter: &str, placed: &Placed) -> Value {
    let relayed = is_relayed(placed);
    let mut pieces = serde_json::Map::from_iter([
        (filter.to_owned(), filter_of_route()),
        (GUARD.to_owned(), guard_of_route(relayed)),
    ]);
    pieces.extend(relayed.then(|| (RELAY.to_owned(), relay_of_route())));
    let pin = placed.rule.pins_hosts();
    pieces.extend(pin.map(|session| (PIN.to_owned(), pin_of_route(session))));
    pieces.into()
}

/// Where the filter chooses a backend or removes a session header, Envoy looks for the route again in any case.
fn is_relayed(placed: &Placed) -> bool {
    let pin = placed.rule.pins_hosts();
    placed.crowded
        && placed.rule.backends.len() == 1
        && pin.is_some_and(|session| session.config.transport == Transport::Cookie)
}

/// What a route configuration says to a filter that is to run only where a route turns it on, but is not listed as disabled.
pub fn off(filter: &str) -> Value {
    json!({ filter: { "@type": type_url(FILTER_CONFIG), "disabled": true } })
}

fn pin_of_route(session: &Session) -> Value {
    json!({
        "@type": type_url("envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"),
        "stateful_session": {
            "session_state": {
                "name": "envoy.http.stateful_session.header",
                "typed_config": {
                    "@type": type_url("envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState"),
                    "name": HOST_HEADER,
                },
            },
            "strict": session.strict.then_some(true),
        },
    })
}

/// The headers that stay inside.
pub fn internal_headers() -> Value {
    json!([BACKEND_HEADER, HOST_HEADER])
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
                            "name": "envoy.matching.inputs.request_headers",
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
            "name": "cluster",
            "typed_config": {
                "@type": type_url("envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction"),
                "cluster": backend.cluster(),
            },
        },
    })
}
