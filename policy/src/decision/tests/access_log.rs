//! The text for access logs.

use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    responses::{MANY, from, local, split},
    *,
};
use crate::{
    internal_headers::{ACCESS_LOG_FILTER_STATE, HOST_HEADER},
    routes::RouteTable,
    token::{Binding, Rejection, Token},
};

/// A response of Envoy's own has so many header lines.
const FEW: usize = 3;

/// A gateway whose access log shows decisions.
fn logging() -> Gateway {
    let config = json!({"version": config::VERSION, "accessLog": true, "rules": []});
    Gateway {
        routes: RouteTable::parse(config.to_string().as_bytes()).unwrap(),
        ..gateway()
    }
}

/// The text among these changes, which have one at most.
fn text(changes: &[Change]) -> Option<String> {
    let texts = changes.iter().filter_map(|change| match change {
        Change::SetFilterState(ACCESS_LOG_FILTER_STATE, text) => Some(String::from_utf8(text.to_vec()).unwrap()),
        _ => None,
    });
    let texts: Vec<String> = texts.collect();
    assert!(texts.len() < 2, "{texts:?}");
    texts.into_iter().next()
}

fn text_of_request(decision: &Decision) -> String {
    let headers: [(&str, &str); 0] = [];
    text(&decision.request_changes(&headers.as_slice().into())).unwrap()
}

/// The text after a response, which the request's text is if the response has none.
fn text_after(decision: &Decision, gateway: &Gateway, count: usize, host: &MemoryHost) -> String {
    let response = decision.respond(gateway, count, host).unwrap();
    text(&response.changes).unwrap_or_else(|| text_of_request(decision))
}

fn sealed_token(issued: u64, seen: u64, backend: &str, binding: &Binding) -> String {
    let token = Token {
        issued,
        seen,
        secure: false,
        backend: backend.as_bytes().into(),
        version: Box::default(),
        share: None,
        host: HOST.into(),
    };
    token.seal(&keys(), binding, NONCE).unwrap()
}

fn of_store(issued: u64, seen: u64) -> String {
    let binding = Binding::new("HTTPRoute/shop/store#0", "cart");
    sealed_token(issued, seen, "a.shop:80", &binding)
}

#[test]
#[wasm_bindgen_test]
fn a_live_session_shows_its_backend_and_age() {
    let rule = split(Some(session()));
    let gateway = logging();
    let token = of_store(NOW - 312, NOW - 1);
    let back = request_with(&rule, &[&token], &[], &gateway, NOW);
    let expected = "rule=HTTPRoute/shop/store#0;reason=session;backend=a.shop:80;session=resumed;age=312";
    assert_eq!(text_of_request(&back), expected);
    // Its response adds nothing.
    let response = back.respond(&gateway, MANY, &from("a", HOST, &[])).unwrap();
    assert_eq!(text(&response.changes), None);
}

#[test]
#[wasm_bindgen_test]
fn nothing_is_left_unless_the_configuration_says_so() {
    let rule = split(Some(session()));
    let first = request(&rule, &[], &[], NOW);
    let headers: [(&str, &str); 0] = [];
    assert_eq!(text(&first.request_changes(&headers.as_slice().into())), None);
    let response = first.respond(&gateway(), MANY, &from("b", HOST, &[])).unwrap();
    assert_eq!(text(&response.changes), None);
}

#[test]
#[wasm_bindgen_test]
fn the_response_shows_the_backend_that_the_route_selected() {
    let rule = split(Some(session()));
    let gateway = logging();
    let first = request_with(&rule, &[], &[], &gateway, NOW);
    let unknown = "rule=HTTPRoute/shop/store#0;reason=split;backend=-;session=new;age=-";
    assert_eq!(text_of_request(&first), unknown);
    assert_eq!(
        text_after(&first, &gateway, MANY, &from("b", HOST, &[])),
        "rule=HTTPRoute/shop/store#0;reason=split;backend=b.shop:80;session=new;age=-"
    );
    for other in [from("c", HOST, &[]), local("no_healthy_upstream")] {
        assert_eq!(text_after(&first, &gateway, MANY, &other), unknown);
    }
}

#[test]
#[wasm_bindgen_test]
fn the_response_shows_what_became_of_the_session() {
    let gateway = logging();
    let rule = split(Some(session()));
    let after = |token: &str, host: &MemoryHost| {
        let decision = request_with(&rule, &[token], &[], &gateway, NOW);
        text_after(&decision, &gateway, MANY, host)
    };
    let (fresh, due) = (of_store(NOW - 60, NOW - 1), of_store(NOW - 60, NOW - 45));
    let to_a = |session: &str| {
        format!("rule=HTTPRoute/shop/store#0;reason=session;backend=a.shop:80;session={session};age=60")
    };
    let (same, other) = (from("a", HOST, &[]), from("a", OTHER, &[(HOST_HEADER, "x")]));
    assert_eq!(after(&fresh, &same), to_a("resumed"));
    assert_eq!(after(&due, &same), to_a("refreshed"));
    assert_eq!(after(&fresh, &other), to_a("moved"));
    assert_eq!(after(&due, &other), to_a("moved"));
    // Envoy's own response renews nothing.
    assert_eq!(after(&due, &local("response_timeout")), to_a("resumed"));
}

#[test]
#[wasm_bindgen_test]
fn a_strict_session_shows_its_end() {
    let strict = config::SessionConfig {
        strict: true,
        ..session()
    };
    let (rule, gateway) = (split(Some(strict)), logging());
    let decision = request_with(&rule, &[&of_store(NOW - 60, NOW - 1)], &[], &gateway, NOW);
    assert_eq!(
        text_after(&decision, &gateway, FEW, &local("no_healthy_upstream")),
        "rule=HTTPRoute/shop/store#0;reason=session;backend=a.shop:80;session=ended;age=60"
    );
}

#[test]
#[wasm_bindgen_test]
fn a_session_shows_why_it_leaves_its_backend() {
    let gateway = logging();
    let mut raw = raw_rule(&[("a.shop:80", 0), ("b.shop:80", 1)], Some(session()));
    raw.backends[0].released = true;
    let released = Rc::new(Rule::new(0, &raw, &[]).unwrap());
    let removed = rule(&[("b.shop:80", 1), ("c.shop:80", 1)], Some(session()));
    let token = of_store(NOW - 60, NOW - 45);
    let after = |rule: &Rc<Rule>, gateway: &Gateway| {
        let decision = request_with(rule, &[&token], &[], gateway, NOW);
        text_after(&decision, gateway, MANY, &from("b", OTHER, &[]))
    };
    let left =
        |session: &str| format!("rule=HTTPRoute/shop/store#0;reason=split;backend=b.shop:80;session={session};age=60");
    assert_eq!(after(&released, &gateway), left("released"));
    assert_eq!(after(&removed, &gateway), left("backend-removed"));

    let both = split(Some(session()));
    let first = request_with(&both, &[&token], &[], &gateway, NOW);
    let failed = text_after(&first, &gateway, FEW, &local("no_healthy_upstream"));
    assert!(failed.contains(";backend=a.shop:80;session=resumed;"), "{failed}");
    assert_eq!(after(&both, &gateway), left("backend-unreachable"));
}

#[test]
#[wasm_bindgen_test]
fn reasons_are_those_of_the_metrics() {
    let gateway = logging();
    let shown = |decision: &Decision| {
        let text = text_of_request(decision);
        let reason = text.split(";reason=").nth(1).unwrap().split(';').next().unwrap();
        assert_eq!(reason, decision.reason().label(decision.rule()));
        text
    };
    let single = rule(&[("a.shop:80", 1)], None);
    assert_eq!(
        shown(&request_with(&single, &[], &[], &gateway, NOW)),
        "rule=HTTPRoute/shop/store#0;reason=single;backend=a.shop:80;session=none;age=-"
    );
    let canary = canary_rule(config::Override::Always, Some(session()));
    assert_eq!(
        shown(&request_with(&canary, &[], &MATCHING, &gateway, NOW)),
        "rule=HTTPRoute/shop/store#0;reason=canary:testers;backend=b;session=new;age=-"
    );
    let by_user = config::CanaryConfig {
        name: "shop/users".to_owned(),
        hash_on: Some(config::SourceConfig::Header("x-user".to_owned())),
        ..config::CanaryConfig::default()
    };
    let hashed = with_canary(raw_rule(&[("a", 0), ("b", 1)], None), by_user, 0);
    assert_eq!(
        shown(&request_with(&hashed, &[], &[("x-user", "7")], &gateway, NOW)),
        "rule=HTTPRoute/shop/store#0;reason=hash;backend=b;session=none;age=-"
    );
}

#[test]
#[wasm_bindgen_test]
fn a_value_that_is_not_a_live_session_shows_why() {
    let (rule, gateway) = (split(Some(session())), logging());
    let foreign = sealed_token(NOW, NOW, "a", &Binding::new("other", "cart"));
    let live = of_store(NOW, NOW);
    let unknown_key = format!("AgIA{}", live.get(4..).unwrap());
    let (first, rest) = live.split_at(live.len() - 6);
    let tampered = format!("{first}{}", if rest.starts_with('A') { "BBBBBB" } else { "AAAAAA" });
    for (token, word, outcome) in [
        (
            "junk",
            "rejected-malformed",
            SessionOutcome::Rejected(Rejection::Malformed),
        ),
        (
            "BQEAAAAA",
            "rejected-version",
            SessionOutcome::Rejected(Rejection::Version),
        ),
        (
            &unknown_key,
            "rejected-unknown-key",
            SessionOutcome::Rejected(Rejection::UnknownKey),
        ),
        (
            &foreign,
            "rejected-foreign",
            SessionOutcome::Rejected(Rejection::Foreign),
        ),
        (
            &tampered,
            "rejected-tampered",
            SessionOutcome::Rejected(Rejection::Tampered),
        ),
        (
            &of_store(NOW + 90, NOW),
            "rejected-future",
            SessionOutcome::Rejected(Rejection::Future),
        ),
        (
            &of_store(NOW - 700, NOW - 700),
            "expired-idle",
            SessionOutcome::ExpiredIdle,
        ),
        (
            &of_store(NOW - 3_600, NOW),
            "expired-absolute",
            SessionOutcome::ExpiredAbsolute,
        ),
    ] {
        let decision = request_with(&rule, &[token], &[], &gateway, NOW);
        assert_eq!(decision.session_outcome(), outcome);
        let shown = text_of_request(&decision);
        assert!(shown.ends_with(&format!(";session={word};age=-")), "{shown}");
        // A new session hides not why the old one was lost.
        let after = text_after(&decision, &gateway, MANY, &from("b", HOST, &[]));
        assert!(
            after.ends_with(&format!("backend=b.shop:80;session={word};age=-")),
            "{after}"
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn names_of_a_configuration_add_no_field_and_no_quote() {
    let mut raw = raw_rule(&[("a\";b=c\\.shop:80", 1)], None);
    raw.id = "HTTPRoute/shop/\"a b\\;age=7é%/x#0".to_owned();
    let rule = Rc::new(Rule::new(0, &raw, &[]).unwrap());
    assert_eq!(
        text_of_request(&request_with(&rule, &[], &[], &logging(), NOW)),
        "rule=HTTPRoute/shop/%22a%20b%5C%3Bage%3D7%C3%A9%/x#0;reason=single;backend=a%22%3Bb%3Dc%5C.shop:80;session=none;age=-"
    );
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_client_sends_is_never_shown(
            value in "[!-~]{0,200}", header in "[ -~]{0,40}", now in any::<u64>(), live in any::<bool>()
        ) {
            let (rule, gateway) = (canary_rule(config::Override::Always, Some(session())), logging());
            let token = if live { visit(&rule, HOST, NOW) } else { value };
            let now = if live { NOW + now % 100 } else { now };
            let decision = request_with(&rule, &[&token], &[("x-canary", &header)], &gateway, now);
            let shown = text_of_request(&decision);
            let fields: Vec<&str> = shown.split(';').map(|field| field.split_once('=').unwrap().0).collect();
            prop_assert_eq!(fields, ["rule", "reason", "backend", "session", "age"]);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/#:%;=".contains(&byte);
            prop_assert!(shown.bytes().all(plain), "{shown}");
            // It has the words of the configuration and of the policy only.
            let age = decision.session_age().map_or("-".to_owned(), |age| age.to_string());
            let reason = decision.reason().label(&rule);
            let backend = decision.backend().map_or("-", |backend| rule.backends()[backend].key());
            let session = decision.session_outcome().label();
            prop_assert_eq!(
                shown,
                format!("rule=HTTPRoute/shop/store#0;reason={reason};backend={backend};session={session};age={age}")
            );
        }
    }
}

#[test]
#[wasm_bindgen_test]
fn the_version_of_the_backend_is_shown_if_it_has_one() {
    let mut raw = raw_rule(&[("a.shop:80", 1), ("b.shop:80", 1)], Some(session()));
    raw.backends[0].version = Some("v1".to_owned());
    let rule = Rc::new(Rule::new(0, &raw, &[]).unwrap());
    let gateway = logging();
    let after = |backend: &str| {
        let lines = carried(&rule, &[], &[]);
        let host = from(backend, HOST, &[]);
        let decision = decide(&rule, &gateway, &lines.as_slice().into(), &host).unwrap();
        text_after(&decision, &gateway, MANY, &host)
    };
    assert!(
        after("a").contains(";backend=a.shop:80;version=v1;session=new;age=-"),
        "{}",
        after("a")
    );
    assert!(
        after("b").contains(";backend=b.shop:80;session=new;age=-"),
        "{}",
        after("b")
    );
}
