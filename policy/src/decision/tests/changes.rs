//! What a decision changes in its request.

use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::internal_headers::{
    BACKEND_HEADER, COOKIE_FILTER_STATE, FILTER_STATE_MARKER, HOST_FILTER_STATE, HOST_HEADER, STRICT_HOST_FILTER_STATE,
    STRICT_HOST_HEADER,
};

/// "10.244.0.11:8080" in standard base64, with padding.
const ENCODED_HOST: &str = "MTAuMjQ0LjAuMTE6ODA4MA==";

/// The changes of a request with these header lines.
fn changes(rule: &Rc<Rule>, lines: &[(&str, &str)]) -> Vec<Change<'static>> {
    let headers = lines.into();
    let decision = decide(rule, &gateway(), &headers, &host(NOW)).unwrap();
    decision.request_changes(&headers).into_iter().map(owned).collect()
}

fn owned(change: Change) -> Change<'static> {
    let name = |name: &str| -> &'static str { name.to_owned().leak() };
    match change {
        Change::Set(header, value) => Change::Set(name(header), value.into_owned().into()),
        Change::Add(header, value) => Change::Add(name(header), value.into_owned().into()),
        Change::SetField(field) => Change::SetField(field),
        Change::Remove(header) => Change::Remove(name(header)),
        Change::SetFilterState(property, value) => Change::SetFilterState(name(property), value.into_owned().into()),
    }
}

fn set<'a>(name: &'a str, value: &'a str) -> Change<'a> {
    Change::Set(name, value.as_bytes().into())
}

fn add<'a>(name: &'a str, value: &'a str) -> Change<'a> {
    Change::Add(name, value.as_bytes().into())
}

fn property<'a>(name: &'a str, value: &'a str) -> Change<'a> {
    Change::SetFilterState(name, value.as_bytes().into())
}

fn strict() -> config::SessionConfig {
    config::SessionConfig {
        strict: true,
        ..session()
    }
}

#[test]
#[wasm_bindgen_test]
fn a_request_without_a_token_is_left_as_it_is() {
    for rule in [
        rule(&[("a", 1)], Some(session())),
        rule(&[("a", 1), ("b", 1)], Some(session())),
        rule(&[("a", 1), ("b", 1)], None),
    ] {
        for lines in [
            &[][..],
            &[("cookie", "other=1")],
            &[("cookie", "a=1"), ("cookie", "b=2")],
        ] {
            assert_eq!(changes(&rule, lines), []);
        }
    }
}

#[test]
#[wasm_bindgen_test]
fn a_live_session_asks_for_its_backend_and_host_and_keeps_its_token_from_the_app() {
    let split = rule(&[("a", 1), ("b", 1)], Some(session()));
    let line = format!("x=1; cart={}; y=2", visit(&split, HOST, NOW));
    assert_eq!(
        changes(&split, &[("cookie", &line)]),
        [
            set("cookie", "x=1; y=2"),
            set(BACKEND_HEADER, "HTTPRoute/shop/store#0/a"),
            set(HOST_HEADER, ENCODED_HOST),
        ]
    );
    let single = rule(&[("a", 1)], Some(strict()));
    let line = format!("cart={}", visit(&single, HOST, NOW));
    assert_eq!(
        changes(&single, &[("cookie", &line)]),
        [
            Change::Remove("cookie"),
            set(STRICT_HOST_HEADER, ENCODED_HOST),
            // Another try would go to another host.
            set("x-envoy-max-retries", "0"),
            set(HOST_HEADER, ENCODED_HOST),
        ]
    );
}

#[test]
#[wasm_bindgen_test]
fn a_relay_gets_properties_in_place_of_headers() {
    let rule = rule(&[("a", 1)], Some(strict()));
    let line = format!("x=1; cart={}", visit(&rule, HOST, NOW));
    assert_eq!(
        changes(&rule, &[("cookie", &line), (HOST_HEADER, FILTER_STATE_MARKER)]),
        [
            property(COOKIE_FILTER_STATE, "x=1"),
            property(STRICT_HOST_FILTER_STATE, ENCODED_HOST),
            set("x-envoy-max-retries", "0"),
            property(HOST_FILTER_STATE, ENCODED_HOST),
        ]
    );
}

#[test]
#[wasm_bindgen_test]
fn a_token_that_is_no_session_is_taken_out_too() {
    let rule = rule(&[("a", 1)], Some(session()));
    assert_eq!(changes(&rule, &[("cookie", "cart=junk; x=1")]), [set("cookie", "x=1")]);
}

#[test]
#[wasm_bindgen_test]
fn of_several_cookie_lines_those_of_others_stay_in_their_order() {
    let rule = rule(&[("a", 1)], Some(session()));
    let lines = [("cookie", "a=1"), ("cookie", "cart=junk"), ("Cookie", "b=2; cart=junk")];
    assert_eq!(
        changes(&rule, &lines),
        [Change::Remove("cookie"), add("cookie", "a=1"), add("cookie", "b=2")]
    );
}

#[test]
#[wasm_bindgen_test]
fn a_token_is_left_in_the_request_where_the_app_is_to_see_it() {
    let forwarding = config::SessionConfig {
        forward_token: true,
        ..session()
    };
    let rule = rule(&[("a", 1)], Some(forwarding));
    let line = format!("cart={}", visit(&rule, HOST, NOW));
    assert_eq!(changes(&rule, &[("cookie", &line)]), [set(HOST_HEADER, ENCODED_HOST)]);
}

#[test]
#[wasm_bindgen_test]
fn a_session_header_is_removed() {
    let by_header = config::SessionConfig {
        name: "x-cart".to_owned(),
        transport: Transport::Header,
        ..session()
    };
    let rule = rule(&[("a", 1)], Some(by_header));
    assert_eq!(changes(&rule, &[("X-Cart", "junk")]), [Change::Remove("x-cart")]);
    assert_eq!(changes(&rule, &[("cookie", "x-cart=junk")]), []);
}

#[test]
#[wasm_bindgen_test]
fn a_matching_client_asks_for_the_canary_and_no_host() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let line = format!("cart={}; x=1", visit(&rule, HOST, NOW));
    assert_eq!(
        changes(&rule, &[("cookie", &line), ("x-canary", "yes")]),
        [set("cookie", "x=1"), set(BACKEND_HEADER, "HTTPRoute/shop/store#0/b"),]
    );
}

/// The changes on a waypoint, which may have no header sanitizer.
fn changes_on_waypoint(rule: &Rc<Rule>, lines: &[(&str, &str)]) -> Vec<Change<'static>> {
    let headers = lines.into();
    let decision = decide(rule, &waypoint(), &headers, &host(NOW)).unwrap();
    decision.request_changes(&headers).into_iter().map(owned).collect()
}

fn waypoint() -> Gateway {
    let config = config::Config {
        version: config::VERSION,
        canaries: Vec::new(),
        session_routes: vec!["shop.mooring-store.0".to_owned()],
        access_log: false,
        weight_metric: false,
        rules: Vec::new(),
    };
    Gateway {
        routes: crate::routes::RouteTable::new(&config).unwrap(),
        ..gateway()
    }
}

#[test]
#[wasm_bindgen_test]
fn internal_headers_of_a_client_are_removed_where_no_sanitizer_may_run() {
    let split = rule(&[("a", 1), ("b", 1)], Some(session()));
    let forged = [
        (BACKEND_HEADER, "HTTPRoute/shop/store#0/b"),
        (HOST_HEADER, FILTER_STATE_MARKER),
        ("x-mooring-new", "1"),
    ];
    let removals = [BACKEND_HEADER, HOST_HEADER, "x-mooring-new"].map(Change::Remove);
    assert_eq!(changes_on_waypoint(&split, &forged), removals);
    assert_eq!(changes(&split, &forged), []);
    // What the session asks for is set afterwards, in headers, although the client sent the marker.
    let cookie = format!("x=1; cart={}", visit(&split, HOST, NOW));
    let own = [
        set("cookie", "x=1"),
        set(BACKEND_HEADER, "HTTPRoute/shop/store#0/a"),
        set(HOST_HEADER, ENCODED_HOST),
    ];
    let lines = [&forged[..], &[("cookie", &cookie)]].concat();
    assert_eq!(changes_on_waypoint(&split, &lines), [&removals[..], &own].concat());
    assert_eq!(changes_on_waypoint(&split, &[("cookie", &cookie)]), own);
}

#[test]
#[wasm_bindgen_test]
fn a_session_returns_to_a_host_behind_hbone() {
    let rule = rule(&[("a", 1)], Some(session()));
    let host = b"envoy://connect_originate/10.244.0.11:9080";
    let line = format!("cart={}", visit(&rule, host, NOW));
    let encoded = "ZW52b3k6Ly9jb25uZWN0X29yaWdpbmF0ZS8xMC4yNDQuMC4xMTo5MDgw";
    assert_eq!(
        changes_on_waypoint(&rule, &[("cookie", &line)]),
        [Change::Remove("cookie"), set(HOST_HEADER, encoded)]
    );
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every line that Envoy has in the end is either one of the client's without its tokens, or ours.
        #[test]
        fn only_tokens_leave_a_request(
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4)
        ) {
            let rule = rule(&[("a", 1)], Some(session()));
            let lines: Vec<(&str, Vec<u8>)> = lines
                .into_iter()
                .map(|line| ("cookie", [line.as_slice(), b";cart=junk"].concat()))
                .collect();
            let headers = lines.as_slice().into();
            let decision = decide(&rule, &gateway(), &headers, &host(NOW)).unwrap();
            let mut left: Vec<Vec<u8>> = Vec::new();
            for change in decision.request_changes(&headers) {
                match change {
                    Change::Remove("cookie") => {}
                    Change::Set("cookie", line) | Change::Add("cookie", line) => left.push(line.into_owned()),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            let wanted: Vec<Vec<u8>> = lines
                .iter()
                .filter_map(|(_, line)| match cookie::without(line, "cart") {
                    cookie::Remainder::Line(rest) => Some(rest),
                    _ => None,
                })
                .collect();
            prop_assert_eq!(left, wanted);
        }

        /// Of the internal headers of a client, none is left, and the values that the module sets do not depend on them.
        #[test]
        fn a_client_sets_no_internal_header_where_no_sanitizer_may_run(
            forged in proptest::collection::vec(("x-mooring-(backend|host|host-strict|[a-z]{0,3})", "[ -~]{0,40}|filter-state"), 0..5),
            has_session in any::<bool>(),
        ) {
            let rule = rule(&[("a", 1), ("b", 1)], Some(session()));
            let line = format!("x=1; cart={}", visit(&rule, HOST, NOW));
            let mut lines: Vec<(&str, &str)> = forged.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let own: Vec<(&str, &str)> = has_session.then_some(("cookie", line.as_str())).into_iter().collect();
            lines.extend(&own);
            let apply = |lines: &[(&str, &str)]| {
                let mut left: Vec<(String, String)> =
                    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                for change in changes_on_waypoint(&rule, lines) {
                    let (Change::Remove(changed) | Change::Set(changed, _)) = change else {
                        panic!("{change:?}");
                    };
                    left.retain(|(name, _)| name != changed);
                    if let Change::Set(_, value) = change {
                        left.push((changed.to_owned(), String::from_utf8_lossy(&value).into_owned()));
                    }
                }
                left
            };
            prop_assert_eq!(apply(&lines), apply(&own));
        }
    }
}
