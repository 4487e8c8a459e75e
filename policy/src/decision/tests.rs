use std::rc::Rc;

use wasm_bindgen_test::wasm_bindgen_test;

use super::{response::Due, *};
use crate::{
    canary::Conditions,
    change::Change,
    config,
    duration::Duration,
    host::Memory,
    keys::{Entry, KeyRing},
    token::NONCE_LENGTH,
};

mod changes;
mod failover;
mod released;
mod responses;

pub(super) const NOW: u64 = 1_700_000_000;
pub(super) const NONCE: [u8; NONCE_LENGTH] = [5; NONCE_LENGTH];
pub(super) const HOST: &[u8] = b"10.244.0.11:8080";
pub(super) const OTHER: &[u8] = b"10.244.0.12:8080";

pub(super) fn keys() -> KeyRing {
    KeyRing::parse(&Entry::new(1, crate::keys::test_secret(1)).reveal()).unwrap()
}

pub(super) fn session() -> config::Session {
    config::Session {
        name: "cart".to_owned(),
        transport: Transport::Cookie,
        pin: Pin::Host,
        absolute_timeout: Some(Duration::from_secs(3_600)),
        idle_timeout: Some(Duration::from_secs(600)),
        refresh_interval: None,
        strict: false,
        forward_token: false,
        cookie: config::Cookie::default(),
    }
}

pub(super) fn rule(weights: &[(&str, u32)], session: Option<config::Session>) -> Rc<Rule> {
    Rc::new(Rule::new(0, raw_rule(weights, session), &[]).unwrap())
}

fn raw_rule(weights: &[(&str, u32)], session: Option<config::Session>) -> config::Rule {
    let backends = weights
        .iter()
        .map(|&(key, weight)| config::Backend {
            key: key.to_owned(),
            weight: Some(weight),
            released: false,
        })
        .collect();
    config::Rule {
        route: "shop.store.0".to_owned(),
        virtual_hosts: vec!["shop.example:80".to_owned()],
        id: "HTTPRoute/shop/store#0".to_owned(),
        session,
        backends,
        canary: None,
    }
}

/// A host at this time that says that a backend answered.
fn host(now: u64) -> Memory {
    Memory {
        now,
        code_details: Some(b"via_upstream".into()),
        ..Memory::default()
    }
}

fn gateway() -> Gateway {
    Gateway {
        keys: Some(keys()),
        ..Gateway::default()
    }
}

/// A request with these tokens and headers.
fn request(rule: &Rc<Rule>, tokens: &[&str], headers: &[(&str, &str)], at: u64) -> Decision {
    request_with(rule, tokens, headers, &gateway(), at)
}

fn request_with(rule: &Rc<Rule>, tokens: &[&str], headers: &[(&str, &str)], gateway: &Gateway, at: u64) -> Decision {
    let lines = carried(rule, tokens, headers);
    decide(rule, gateway, &lines.as_slice().into(), &host(at)).unwrap()
}

/// The header lines of a request with these tokens.
pub(super) fn carried(rule: &Rule, tokens: &[&str], headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let session = rule.session();
    let by_header = session.is_some_and(|session| session.transport() == Transport::Header);
    let name = session.map_or("cart", Session::name);
    let token_lines = tokens.iter().map(|token| {
        if by_header {
            (name.to_owned(), (*token).to_owned())
        } else {
            ("cookie".to_owned(), format!("{name}={token}"))
        }
    });
    let others = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    token_lines.chain(others).collect()
}

/// A first visit that was answered by `host` of the rule's first backend: the token that the client gets.
fn visit(rule: &Rc<Rule>, host: &[u8], at: u64) -> String {
    let first = request(rule, &[], &[], at);
    assert_eq!(first.outcome(), Outcome::New);
    assert_eq!(first.asked_host(), None);
    token_of(rule, &first.due(Some(0), Some(host), at).unwrap(), at)
}

/// The same for a request to this path.
fn visit_at(rule: &Rc<Rule>, path: &str) -> String {
    let first = request(rule, &[], &[(":path", path)], NOW);
    token_of(rule, &first.due(Some(0), Some(HOST), NOW).unwrap(), NOW)
}

fn token_of(rule: &Rule, due: &Due, at: u64) -> String {
    let value = sealed(rule, due, at);
    let value = value.split(';').next().unwrap();
    value.strip_prefix("cart=").unwrap_or(value).to_owned()
}

/// The value of the header that carries a token.
fn sealed(rule: &Rule, due: &Due, at: u64) -> String {
    match due.seal(rule.session().unwrap(), &keys(), NONCE, at).unwrap() {
        Change::Add(_, value) => String::from_utf8(value.into_owned()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn again(rule: &Rc<Rule>, token: &str, at: u64) -> Decision {
    request(rule, &[token], &[], at)
}

#[test]
#[wasm_bindgen_test]
fn a_session_returns_to_its_host() {
    let rule = rule(&[("a", 1)], Some(session()));
    let back = again(&rule, &visit(&rule, HOST, NOW), NOW + 1);
    assert_eq!((back.outcome(), back.reason()), (Outcome::Resumed, Reason::Session));
    assert_eq!(back.asked_host(), Some(HOST));
    assert_eq!(back.session_key(), None);
    assert_eq!(back.due(Some(0), None, NOW + 1), None);
}

#[test]
#[wasm_bindgen_test]
fn a_token_is_due_only_when_something_changed() {
    let rule = rule(&[("a", 1)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let issue = |at, host| again(&rule, &token, at).due(Some(0), host, at).map(|due| due.issue);
    assert_eq!(issue(NOW + 29, None), None);
    assert_eq!(issue(NOW + 30, None), Some(Issue::Refreshed));
    assert_eq!(issue(NOW + 1, Some(OTHER)), Some(Issue::Repinned));
    assert_eq!(issue(NOW + 30, Some(OTHER)), Some(Issue::Repinned));
    assert_eq!(issue(NOW + 1, Some(HOST)), None);
    assert_eq!(issue(NOW + 30, Some(HOST)), Some(Issue::Refreshed));
    assert_eq!(issue(NOW + 601, Some(OTHER)), Some(Issue::New));
    // Without a host there is nothing to bind a new session to.
    assert_eq!(issue(NOW + 601, None), None);
}

#[test]
#[wasm_bindgen_test]
fn refresh_and_repin_keep_the_issue_time() {
    let permanent = config::Session {
        cookie: config::Cookie {
            lifetime_type: config::LifetimeType::Permanent,
            ..config::Cookie::default()
        },
        ..session()
    };
    let rule = rule(&[("a", 1)], Some(permanent));
    let token = visit(&rule, HOST, NOW);
    for (host, issue) in [(None, Issue::Refreshed), (Some(OTHER), Issue::Repinned)] {
        let due = again(&rule, &token, NOW + 500).due(Some(0), host, NOW + 500).unwrap();
        assert_eq!(due.issue, issue);
        let cookie = sealed(&rule, &due, NOW + 500);
        assert!(cookie.ends_with("; Max-Age=3100"), "{cookie}");
    }
    let mut token = token;
    for at in (NOW..NOW + 3_600).step_by(500) {
        let back = again(&rule, &token, at);
        if let Some(due) = back.due(Some(0), None, at) {
            token = token_of(&rule, &due, at);
        }
    }
    assert_eq!(again(&rule, &token, NOW + 3_599).outcome(), Outcome::RefreshDue);
    assert_eq!(again(&rule, &token, NOW + 3_600).outcome(), Outcome::ExpiredAbsolute);
}

#[test]
#[wasm_bindgen_test]
fn a_live_session_beats_the_weights_even_at_zero() {
    let before = rule(&[("a", 1), ("b", 0)], Some(session()));
    let token = visit(&before, HOST, NOW);
    let after = rule(&[("a", 0), ("b", 100)], Some(session()));
    let back = again(&after, &token, NOW + 1);
    assert_eq!(back.session_key(), Some("HTTPRoute/shop/store#0/a"));
    assert!(back.asked_host().is_some());
}

#[test]
#[wasm_bindgen_test]
fn a_new_session_is_left_to_the_route_and_bound_to_what_answered() {
    let rule = rule(&[("a", 1), ("b", 0)], Some(session()));
    let first = request(&rule, &[], &[], NOW);
    assert_eq!((first.backend(), first.reason()), (None, Reason::Split));
    assert_eq!(first.session_key(), None);
    assert!(first.needs_cluster(true));
    let due = first.due(Some(1), Some(HOST), NOW).unwrap();
    assert_eq!(due.issue, Issue::New);
    let back = again(&rule, &token_of(&rule, &due, NOW), NOW + 1);
    assert_eq!(back.session_key(), Some("HTTPRoute/shop/store#0/b"));
}

#[test]
#[wasm_bindgen_test]
fn what_is_no_backend_of_the_rule_begins_no_session() {
    let split = rule(&[("a", 1), ("b", 1)], Some(session()));
    assert_eq!(request(&split, &[], &[], NOW).due(None, Some(HOST), NOW), None);
    let single = rule(&[("a", 1)], Some(session()));
    assert!(request(&single, &[], &[], NOW).needs_cluster(true));
    assert_eq!(request(&single, &[], &[], NOW).due(None, Some(HOST), NOW), None);
}

#[test]
#[wasm_bindgen_test]
fn a_session_whose_backend_is_gone_moves() {
    let before = rule(&[("a", 1), ("b", 0)], Some(session()));
    let token = visit(&before, HOST, NOW);
    let after = rule(&[("b", 1), ("c", 0)], Some(session()));
    let moved = again(&after, &token, NOW + 1);
    assert_eq!(moved.outcome(), Outcome::BackendGone);
    assert_eq!(moved.asked_host(), None);
    assert_eq!(moved.session_key(), None);
    let due = moved.due(Some(0), Some(OTHER), NOW + 1).unwrap();
    assert_eq!(due.issue, Issue::Repinned);
    let token = token_of(&after, &due, NOW + 1);
    assert_eq!(again(&after, &token, NOW + 2).outcome(), Outcome::Resumed);
}

#[test]
#[wasm_bindgen_test]
fn a_session_that_missed_its_session_route_stays_what_it_is() {
    let rule = rule(&[("a", 1), ("b", 1)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let back = again(&rule, &token, NOW + 1);
    assert!(back.needs_cluster(true));
    assert!(back.missed(Some(1)));
    assert_eq!(back.due(Some(1), Some(OTHER), NOW + 1), None);
    assert!(back.missed(None));
    assert_eq!(back.due(None, Some(OTHER), NOW + 1), None);
    assert!(!back.missed(Some(0)));
    let moved = back.due(Some(0), Some(OTHER), NOW + 1).unwrap();
    assert_eq!(moved.issue, Issue::Repinned);
    // It is still kept from idling out.
    let renewed = again(&rule, &token, NOW + 30).due(Some(1), Some(OTHER), NOW + 30);
    assert_eq!(renewed.map(|due| due.issue), Some(Issue::Refreshed));
}

#[test]
#[wasm_bindgen_test]
fn a_request_that_the_cookie_does_not_go_with_has_no_session() {
    let below = config::Session {
        cookie: config::Cookie {
            path: "/app".to_owned(),
            ..config::Cookie::default()
        },
        ..session()
    };
    let rule = rule(&[("a", 1)], Some(below));
    let token = visit_at(&rule, "/app/");
    let outcome = |tokens: &[&str], path: &str| request(&rule, tokens, &[(":path", path)], NOW).outcome();
    assert_eq!(outcome(&[], "/app/cart?x"), Outcome::New);
    assert_eq!(outcome(&[&token], "/app"), Outcome::Resumed);
    for path in ["/favicon.ico", "/", "/apple", "/?/app"] {
        // Neither read nor begun.
        assert_eq!(outcome(&[], path), Outcome::Stateless, "{path}");
        let decision = request(&rule, &[&token], &[(":path", path)], NOW);
        assert_eq!(
            (decision.outcome(), decision.asked_host()),
            (Outcome::Stateless, None),
            "{path}"
        );
        assert_eq!(decision.due(Some(0), Some(HOST), NOW), None, "{path}");
    }
    // A header goes with all of them.
    let by_header = config::Session {
        transport: Transport::Header,
        ..session()
    };
    let by_header = tests::rule(&[("a", 1)], Some(by_header));
    assert_eq!(
        request(&by_header, &[], &[(":path", "/favicon.ico")], NOW).outcome(),
        Outcome::New
    );
}

#[test]
#[wasm_bindgen_test]
fn without_keys_the_route_decides() {
    let rule = rule(&[("a", 1), ("b", 3)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let off = request_with(&rule, &[&token], &[], &Gateway::default(), NOW);
    assert_eq!((off.outcome(), off.session_key()), (Outcome::Stateless, None));
    assert_eq!(off.asked_host(), None);
    assert_eq!(off.due(Some(0), Some(HOST), NOW), None);
}

#[test]
#[wasm_bindgen_test]
fn who_opts_out_is_drawn_by_the_weights_of_the_others() {
    let rule = rule(&[("a", 90), ("zero", 0), ("canary", 500), ("b", 10)], None);
    let mut counts = [0; 4];
    for random in 0..1_000 {
        counts[rule.draw(random, 2)] += 1;
    }
    assert_eq!(counts, [900, 0, 0, 100]);
}

#[test]
#[wasm_bindgen_test]
fn secure_follows_the_scheme_and_stays_what_it_was() {
    let rule = rule(&[("a", 1)], Some(session()));
    let first = request(&rule, &[], &[(":scheme", "https")], NOW);
    let due = first.due(Some(0), Some(HOST), NOW).unwrap();
    let secure = |due: &Due| sealed(&rule, due, NOW).contains("; Secure;");
    assert!(secure(&due));
    let back = again(&rule, &token_of(&rule, &due, NOW), NOW + 1);
    assert!(secure(&back.due(Some(0), Some(OTHER), NOW + 1).unwrap()));
}

#[test]
#[wasm_bindgen_test]
fn a_session_from_before_gets_secure_where_new_attributes_demand_it() {
    let token = visit(&rule(&[("a", 1)], Some(session())), HOST, NOW);
    let cookie = config::Cookie {
        same_site: config::SameSite::None,
        ..config::Cookie::default()
    };
    let demanding = rule(&[("a", 1)], Some(config::Session { cookie, ..session() }));
    let due = again(&demanding, &token, NOW + 30).due(Some(0), None, NOW + 30);
    assert!(sealed(&demanding, &due.unwrap(), NOW + 30).contains("; Secure"));
}

#[test]
#[wasm_bindgen_test]
fn a_session_from_before_on_a_host_does_not_move_where_none_is_pinned() {
    let token = visit(&rule(&[("a", 1)], Some(session())), HOST, NOW);
    let raw = config::Session {
        pin: Pin::Backend,
        ..session()
    };
    let unpinned = rule(&[("a", 1)], Some(raw));
    let back = again(&unpinned, &token, NOW + 1);
    assert!(!back.needs_cluster(false));
    assert_eq!(back.due(Some(0), None, NOW + 1), None);
}

#[test]
#[wasm_bindgen_test]
fn a_header_session_carries_the_bare_token() {
    let by_header = config::Session {
        name: "x-cart".to_owned(),
        transport: Transport::Header,
        ..session()
    };
    let rule = rule(&[("a", 1)], Some(by_header));
    let first = request(&rule, &[], &[], NOW);
    let due = first.due(Some(0), Some(HOST), NOW).unwrap();
    let token = match due.seal(rule.session().unwrap(), &keys(), NONCE, NOW).unwrap() {
        Change::Add("x-cart", token) => String::from_utf8(token.into_owned()).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(again(&rule, &token, NOW).outcome(), Outcome::Resumed);
}

/// Backends `a` (90) and `b` (10), and `x-canary: yes` forces `b`.
fn canary_rule(override_session: config::Override, session: Option<config::Session>) -> Rc<Rule> {
    let on = config::Source::Header("x-canary".to_owned());
    let matches = vec![config::Match {
        on,
        kind: config::MatchType::Exact,
        value: Some("yes".to_owned()),
        size: None,
    }];
    let forcing = config::CanaryRule {
        name: "testers".to_owned(),
        matches,
        opt_in: None,
    };
    let canary = config::Canary {
        name: "shop/testers".to_owned(),
        rules: vec![forcing],
        override_session,
        ..config::Canary::default()
    };
    with_canary(raw_rule(&[("a", 90), ("b", 10)], session), canary, 1)
}

/// A rule with a canary that forces the backend at this position.
fn with_canary(raw: config::Rule, canary: config::Canary, backend: usize) -> Rc<Rule> {
    let raw = config::Rule {
        canary: Some(config::RuleCanary {
            position: 0,
            backends: vec![Some(backend); canary.rules.len()],
        }),
        ..raw
    };
    Rc::new(Rule::new(0, raw, &[Rc::new(Conditions::new(canary).unwrap())]).unwrap())
}

const FORCED: [(&str, &str); 1] = [("X-Canary", "yes")];

fn forced(rule: &Rc<Rule>, tokens: &[&str]) -> Decision {
    request(rule, tokens, &FORCED, NOW)
}

#[test]
#[wasm_bindgen_test]
fn a_forced_canary_leaves_a_live_session_as_it_is() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let token = visit(&rule, HOST, NOW);
    let away = forced(&rule, &[&token]);
    assert_eq!(
        (away.session_key(), away.reason()),
        (Some("HTTPRoute/shop/store#0/b"), Reason::Forced(0))
    );
    assert_eq!(away.asked_host(), None);
    assert_eq!(away.due(Some(1), Some(OTHER), NOW), None);
    let back = again(&rule, &token, NOW + 1);
    assert_eq!(
        (back.session_key(), back.reason()),
        (Some("HTTPRoute/shop/store#0/a"), Reason::Session)
    );
    assert!(back.asked_host().is_some());
}

#[test]
#[wasm_bindgen_test]
fn override_never_keeps_live_sessions_from_forcing_rules() {
    let rule = canary_rule(config::Override::Never, Some(session()));
    let token = visit(&rule, HOST, NOW);
    assert_eq!(forced(&rule, &[&token]).session_key(), Some("HTTPRoute/shop/store#0/a"));
    assert_eq!(forced(&rule, &[]).session_key(), Some("HTTPRoute/shop/store#0/b"));
}

#[test]
#[wasm_bindgen_test]
fn a_forced_client_without_a_session_gets_one_on_the_canary() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let due = forced(&rule, &[]).due(Some(1), Some(HOST), NOW).unwrap();
    let token = token_of(&rule, &due, NOW);
    let still = forced(&rule, &[&token]);
    assert_eq!(still.session_key(), Some("HTTPRoute/shop/store#0/b"));
    assert!(still.asked_host().is_some());
}

#[test]
#[wasm_bindgen_test]
fn a_diverted_session_is_still_kept_from_idling_out() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let token = visit(&rule, HOST, NOW - 60);
    let due = forced(&rule, &[&token]).due(Some(1), Some(OTHER), NOW).unwrap();
    assert_eq!(due.issue, Issue::Refreshed);
    let back = again(&rule, &token_of(&rule, &due, NOW), NOW);
    assert_eq!(back.session_key(), Some("HTTPRoute/shop/store#0/a"));
}

#[test]
#[wasm_bindgen_test]
fn a_sticky_split_binds_the_backend_and_any_host_of_it() {
    let sticky = config::Session {
        pin: Pin::Backend,
        ..session()
    };
    let rule = canary_rule(config::Override::Always, Some(sticky));
    let first = request(&rule, &[], &[], NOW);
    assert!(first.needs_cluster(false));
    let due = first.due(Some(1), None, NOW).unwrap();
    let back = again(&rule, &token_of(&rule, &due, NOW), NOW + 1);
    assert_eq!(
        (back.session_key(), back.reason()),
        (Some("HTTPRoute/shop/store#0/b"), Reason::Session)
    );
    assert_eq!(back.asked_host(), None);
    // Only the cluster tells whether the session route was missed.
    assert!(back.needs_cluster(false));
    assert!(!back.missed(Some(1)));
    assert_eq!(back.due(Some(1), None, NOW + 1), None);
    assert!(back.missed(Some(0)));
    assert_eq!(back.due(Some(0), None, NOW + 1), None);
    // A forced visit draws nothing, so that the next one without the header is drawn.
    assert_eq!(forced(&rule, &[]).due(Some(1), None, NOW), None);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_request_is_decided(
            tokens in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..6),
            now in any::<u64>(), random in any::<u64>(), weights in proptest::collection::vec(1..1_000_u32, 1..5)
        ) {
            let keyed: Vec<(String, u32)> = (0..).zip(weights).map(|(i, weight)| (format!("b{i}"), weight)).collect();
            let named: Vec<(&str, u32)> = keyed.iter().map(|(key, weight)| (key.as_str(), *weight)).collect();
            let rule = rule(&named, Some(session()));
            let lines: Vec<(&[u8], Vec<u8>)> = tokens
                .iter()
                .map(|token| (b"cookie".as_slice(), [b"cart=".as_slice(), token].concat()))
                .collect();
            let host = Memory { random: random.to_ne_bytes().into(), ..host(now) };
            let decision = decide(&rule, &gateway(), &lines.as_slice().into(), &host).unwrap();
            prop_assert_eq!(decision.backend(), (rule.backends().len() == 1).then_some(0));
            prop_assert_eq!(decision.asked_host(), None);
        }
    }
}

#[test]
#[wasm_bindgen_test]
fn a_request_that_is_too_dear_for_the_canary_goes_where_it_would_go_without() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let token = visit(&rule, HOST, NOW);
    let cookie = format!("cart={token}");
    let mut lines = vec![("cookie", cookie.as_str())];
    lines.extend(FORCED);
    let forced = request(&rule, &[], &lines, NOW);
    assert!(!forced.over_budget() && matches!(forced.reason(), Reason::Forced(_)));
    // Each line takes some steps.
    lines.extend(vec![("y-canary", "yes"); 30_000]);
    let dear = request(&rule, &[], &lines, NOW);
    assert!(dear.over_budget());
    assert_eq!(dear.reason(), Reason::Session);
}
