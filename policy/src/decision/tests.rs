use std::rc::Rc;

use wasm_bindgen_test::wasm_bindgen_test;

use super::{pending_token::PendingToken, *};
use crate::{
    canary::Canary,
    change::Change,
    config::{self, BoundTo},
    duration::Duration,
    keys::{Entry, KeyRing},
    memory_host::MemoryHost,
    token::NONCE_LENGTH,
};

mod access_log;
mod canaries;
mod changes;
mod events;
mod failover;
mod rebalance;
mod released;
mod responses;
mod versions;

pub(super) const NOW: u64 = 1_700_000_000;
pub(super) const NONCE: [u8; NONCE_LENGTH] = [5; NONCE_LENGTH];
pub(super) const HOST: &[u8] = b"10.244.0.11:8080";
pub(super) const OTHER: &[u8] = b"10.244.0.12:8080";

pub(super) fn keys() -> KeyRing {
    KeyRing::parse(&Entry::new(1, crate::keys::test_secret(1)).reveal()).unwrap()
}

pub(super) fn session() -> config::SessionConfig {
    config::SessionConfig {
        name: "cart".to_owned(),
        transport: Transport::Cookie,
        bound_to: BoundTo::Host,
        absolute_timeout: Some(Duration::from_secs(3_600)),
        idle_timeout: Some(Duration::from_secs(600)),
        refresh_interval: None,
        strict: false,
        forward_token: false,
        cookie: config::CookieConfig::default(),
    }
}

pub(super) fn rule(weights: &[(&str, u32)], session: Option<config::SessionConfig>) -> Rc<Rule> {
    Rc::new(Rule::new(0, &raw_rule(weights, session), &[]).unwrap())
}

fn raw_rule(weights: &[(&str, u32)], session: Option<config::SessionConfig>) -> config::RuleConfig {
    let backends = weights
        .iter()
        .map(|&(key, weight)| config::BackendConfig {
            key: key.to_owned(),
            weight: Some(weight),
            ..config::BackendConfig::default()
        })
        .collect();
    config::RuleConfig {
        route: "shop.store.0".to_owned(),
        virtual_hosts: vec!["shop.example:80".to_owned()],
        id: "HTTPRoute/shop/store#0".to_owned(),
        session,
        backends,
        canary: None,
        rebalance: false,
    }
}

/// A host at this time that says that a backend answered.
fn host(now: u64) -> MemoryHost {
    MemoryHost {
        now,
        code_details: Some(b"via_upstream".into()),
        ..MemoryHost::default()
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
    assert_eq!(first.session_outcome(), SessionOutcome::New);
    assert_eq!(first.requested_host(), None);
    token_of(rule, &first.pending_token(Some(0), Some(host), at).unwrap(), at)
}

/// The same for a request to this path.
fn visit_at(rule: &Rc<Rule>, path: &str) -> String {
    let first = request(rule, &[], &[(":path", path)], NOW);
    token_of(rule, &first.pending_token(Some(0), Some(HOST), NOW).unwrap(), NOW)
}

fn token_of(rule: &Rule, pending: &PendingToken, at: u64) -> String {
    let value = sealed(rule, pending, at);
    let value = value.split(';').next().unwrap();
    value.strip_prefix("cart=").unwrap_or(value).to_owned()
}

/// The value of the header that carries a token.
fn sealed(rule: &Rule, pending: &PendingToken, at: u64) -> String {
    match pending.seal(rule.session().unwrap(), &keys(), NONCE, at).unwrap() {
        Change::Add(_, value) => String::from_utf8(value.into_owned()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn again(rule: &Rc<Rule>, token: &str, at: u64) -> Decision {
    request(rule, &[token], &[], at)
}

/// Backends `a` (90) and `b` (10), and `x-canary: yes` forces `b`.
fn canary_rule(override_session: config::Override, session: Option<config::SessionConfig>) -> Rc<Rule> {
    let on = config::SourceConfig::Header("x-canary".to_owned());
    let matches = vec![config::MatchConfig {
        on,
        match_type: config::MatchType::Exact,
        value: Some("yes".to_owned()),
        compiled_size: None,
    }];
    let forcing = config::MatchRuleConfig {
        name: "testers".to_owned(),
        matches,
        opt_in: None,
    };
    let canary = config::CanaryConfig {
        name: "shop/testers".to_owned(),
        rules: vec![forcing],
        override_session,
        ..config::CanaryConfig::default()
    };
    with_canary(raw_rule(&[("a", 90), ("b", 10)], session), canary, 1)
}

/// A rule with a canary that forces the backend at this position.
fn with_canary(raw: config::RuleConfig, canary: config::CanaryConfig, backend: usize) -> Rc<Rule> {
    let raw = config::RuleConfig {
        canary: Some(config::RuleCanaryConfig {
            position: 0,
            backends: vec![Some(backend); canary.rules.len()],
        }),
        ..raw
    };
    Rc::new(Rule::new(0, &raw, &[Rc::new(Canary::new(&canary).unwrap())]).unwrap())
}

const MATCHING: [(&str, &str); 1] = [("X-Canary", "yes")];

#[test]
#[wasm_bindgen_test]
fn a_session_returns_to_its_host() {
    let rule = rule(&[("a", 1)], Some(session()));
    let back = again(&rule, &visit(&rule, HOST, NOW), NOW + 1);
    assert_eq!(
        (back.session_outcome(), back.reason()),
        (SessionOutcome::Resumed, Reason::Session)
    );
    assert_eq!(back.requested_host(), Some(HOST));
    assert_eq!(back.session_key(), None);
    assert_eq!(back.pending_token(Some(0), None, NOW + 1), None);
}

#[test]
#[wasm_bindgen_test]
fn a_token_is_due_only_when_something_changed() {
    let rule = rule(&[("a", 1)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let issue = |at, host| {
        again(&rule, &token, at)
            .pending_token(Some(0), host, at)
            .map(|pending| pending.reason)
    };
    assert_eq!(issue(NOW + 29, None), None);
    assert_eq!(issue(NOW + 30, None), Some(IssueReason::Refreshed));
    assert_eq!(issue(NOW + 1, Some(OTHER)), Some(IssueReason::Moved));
    assert_eq!(issue(NOW + 30, Some(OTHER)), Some(IssueReason::Moved));
    assert_eq!(issue(NOW + 1, Some(HOST)), None);
    assert_eq!(issue(NOW + 30, Some(HOST)), Some(IssueReason::Refreshed));
    assert_eq!(issue(NOW + 601, Some(OTHER)), Some(IssueReason::New));
    // Without a host there is nothing to bind a new session to.
    assert_eq!(issue(NOW + 601, None), None);
}

#[test]
#[wasm_bindgen_test]
fn refresh_and_repin_keep_the_issue_time() {
    let permanent = config::SessionConfig {
        cookie: config::CookieConfig {
            lifetime_type: config::LifetimeType::Permanent,
            ..config::CookieConfig::default()
        },
        ..session()
    };
    let rule = rule(&[("a", 1)], Some(permanent));
    let token = visit(&rule, HOST, NOW);
    for (host, issue) in [(None, IssueReason::Refreshed), (Some(OTHER), IssueReason::Moved)] {
        let pending = again(&rule, &token, NOW + 500)
            .pending_token(Some(0), host, NOW + 500)
            .unwrap();
        assert_eq!(pending.reason, issue);
        let cookie = sealed(&rule, &pending, NOW + 500);
        assert!(cookie.ends_with("; Max-Age=3100"), "{cookie}");
    }
    let mut token = token;
    for at in (NOW..NOW + 3_600).step_by(500) {
        let back = again(&rule, &token, at);
        if let Some(pending) = back.pending_token(Some(0), None, at) {
            token = token_of(&rule, &pending, at);
        }
    }
    assert_eq!(
        again(&rule, &token, NOW + 3_599).session_outcome(),
        SessionOutcome::NeedsRefresh
    );
    assert_eq!(
        again(&rule, &token, NOW + 3_600).session_outcome(),
        SessionOutcome::ExpiredAbsolute
    );
}

#[test]
#[wasm_bindgen_test]
fn a_live_session_beats_the_weights_even_at_zero() {
    let before = rule(&[("a", 1), ("b", 0)], Some(session()));
    let token = visit(&before, HOST, NOW);
    let after = rule(&[("a", 0), ("b", 100)], Some(session()));
    let back = again(&after, &token, NOW + 1);
    assert_eq!(back.session_key(), Some("HTTPRoute/shop/store#0/a"));
    assert!(back.requested_host().is_some());
}

#[test]
#[wasm_bindgen_test]
fn a_new_session_is_left_to_the_route_and_bound_to_what_answered() {
    let rule = rule(&[("a", 1), ("b", 0)], Some(session()));
    let first = request(&rule, &[], &[], NOW);
    assert_eq!((first.backend(), first.reason()), (None, Reason::Split));
    assert_eq!(first.session_key(), None);
    assert!(first.needs_cluster(true));
    let pending = first.pending_token(Some(1), Some(HOST), NOW).unwrap();
    assert_eq!(pending.reason, IssueReason::New);
    let back = again(&rule, &token_of(&rule, &pending, NOW), NOW + 1);
    assert_eq!(back.session_key(), Some("HTTPRoute/shop/store#0/b"));
}

#[test]
#[wasm_bindgen_test]
fn what_is_no_backend_of_the_rule_begins_no_session() {
    let split = rule(&[("a", 1), ("b", 1)], Some(session()));
    assert_eq!(
        request(&split, &[], &[], NOW).pending_token(None, Some(HOST), NOW),
        None
    );
    let single = rule(&[("a", 1)], Some(session()));
    assert!(request(&single, &[], &[], NOW).needs_cluster(true));
    assert_eq!(
        request(&single, &[], &[], NOW).pending_token(None, Some(HOST), NOW),
        None
    );
}

#[test]
#[wasm_bindgen_test]
fn a_session_whose_backend_is_gone_moves() {
    let before = rule(&[("a", 1), ("b", 0)], Some(session()));
    let token = visit(&before, HOST, NOW);
    let after = rule(&[("b", 1), ("c", 0)], Some(session()));
    let moved = again(&after, &token, NOW + 1);
    assert_eq!(moved.session_outcome(), SessionOutcome::BackendRemoved);
    assert_eq!(moved.requested_host(), None);
    assert_eq!(moved.session_key(), None);
    let pending = moved.pending_token(Some(0), Some(OTHER), NOW + 1).unwrap();
    assert_eq!(pending.reason, IssueReason::Moved);
    let token = token_of(&after, &pending, NOW + 1);
    assert_eq!(
        again(&after, &token, NOW + 2).session_outcome(),
        SessionOutcome::Resumed
    );
}

#[test]
#[wasm_bindgen_test]
fn a_session_that_missed_its_session_route_stays_what_it_is() {
    let rule = rule(&[("a", 1), ("b", 1)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let back = again(&rule, &token, NOW + 1);
    assert!(back.needs_cluster(true));
    assert!(back.missed_session_route(Some(1)));
    assert_eq!(back.pending_token(Some(1), Some(OTHER), NOW + 1), None);
    assert!(back.missed_session_route(None));
    assert_eq!(back.pending_token(None, Some(OTHER), NOW + 1), None);
    assert!(!back.missed_session_route(Some(0)));
    let moved = back.pending_token(Some(0), Some(OTHER), NOW + 1).unwrap();
    assert_eq!(moved.reason, IssueReason::Moved);
    // It is still kept from idling out.
    let renewed = again(&rule, &token, NOW + 30).pending_token(Some(1), Some(OTHER), NOW + 30);
    assert_eq!(renewed.map(|pending| pending.reason), Some(IssueReason::Refreshed));
}

#[test]
#[wasm_bindgen_test]
fn a_request_that_the_cookie_does_not_go_with_has_no_session() {
    let below = config::SessionConfig {
        cookie: config::CookieConfig {
            path: "/app".to_owned(),
            ..config::CookieConfig::default()
        },
        ..session()
    };
    let rule = rule(&[("a", 1)], Some(below));
    let token = visit_at(&rule, "/app/");
    let outcome = |tokens: &[&str], path: &str| request(&rule, tokens, &[(":path", path)], NOW).session_outcome();
    assert_eq!(outcome(&[], "/app/cart?x"), SessionOutcome::New);
    assert_eq!(outcome(&[&token], "/app"), SessionOutcome::Resumed);
    for path in ["/favicon.ico", "/", "/apple", "/?/app"] {
        // Neither read nor begun.
        assert_eq!(outcome(&[], path), SessionOutcome::Stateless, "{path}");
        let decision = request(&rule, &[&token], &[(":path", path)], NOW);
        assert_eq!(
            (decision.session_outcome(), decision.requested_host()),
            (SessionOutcome::Stateless, None),
            "{path}"
        );
        assert_eq!(decision.pending_token(Some(0), Some(HOST), NOW), None, "{path}");
    }
    // A header goes with all of them.
    let by_header = config::SessionConfig {
        transport: Transport::Header,
        ..session()
    };
    let by_header = tests::rule(&[("a", 1)], Some(by_header));
    assert_eq!(
        request(&by_header, &[], &[(":path", "/favicon.ico")], NOW).session_outcome(),
        SessionOutcome::New
    );
}

#[test]
#[wasm_bindgen_test]
fn without_keys_the_route_decides() {
    let rule = rule(&[("a", 1), ("b", 3)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let off = request_with(&rule, &[&token], &[], &Gateway::default(), NOW);
    assert_eq!(
        (off.session_outcome(), off.session_key()),
        (SessionOutcome::Stateless, None)
    );
    assert_eq!(off.requested_host(), None);
    assert_eq!(off.pending_token(Some(0), Some(HOST), NOW), None);
}

#[test]
#[wasm_bindgen_test]
fn who_opts_out_is_drawn_by_the_weights_of_the_others() {
    let rule = rule(&[("a", 90), ("zero", 0), ("canary", 500), ("b", 10)], None);
    let mut counts = [0; 4];
    for random in 0..1_000 {
        counts[rule.select_other(random, 2)] += 1;
    }
    assert_eq!(counts, [900, 0, 0, 100]);
}

#[test]
#[wasm_bindgen_test]
fn secure_follows_the_scheme_and_stays_what_it_was() {
    let rule = rule(&[("a", 1)], Some(session()));
    let first = request(&rule, &[], &[(":scheme", "https")], NOW);
    let pending = first.pending_token(Some(0), Some(HOST), NOW).unwrap();
    let secure = |pending: &PendingToken| sealed(&rule, pending, NOW).contains("; Secure;");
    assert!(secure(&pending));
    let back = again(&rule, &token_of(&rule, &pending, NOW), NOW + 1);
    assert!(secure(&back.pending_token(Some(0), Some(OTHER), NOW + 1).unwrap()));
}

#[test]
#[wasm_bindgen_test]
fn a_session_from_before_gets_secure_where_new_attributes_demand_it() {
    let token = visit(&rule(&[("a", 1)], Some(session())), HOST, NOW);
    let cookie = config::CookieConfig {
        same_site: config::SameSite::None,
        ..config::CookieConfig::default()
    };
    let demanding = rule(&[("a", 1)], Some(config::SessionConfig { cookie, ..session() }));
    let pending = again(&demanding, &token, NOW + 30).pending_token(Some(0), None, NOW + 30);
    assert!(sealed(&demanding, &pending.unwrap(), NOW + 30).contains("; Secure"));
}

#[test]
#[wasm_bindgen_test]
fn a_session_from_before_on_a_host_does_not_move_where_none_is_pinned() {
    let token = visit(&rule(&[("a", 1)], Some(session())), HOST, NOW);
    let raw = config::SessionConfig {
        bound_to: BoundTo::Backend,
        ..session()
    };
    let unpinned = rule(&[("a", 1)], Some(raw));
    let back = again(&unpinned, &token, NOW + 1);
    assert!(!back.needs_cluster(false));
    assert_eq!(back.pending_token(Some(0), None, NOW + 1), None);
}

#[test]
#[wasm_bindgen_test]
fn a_header_session_carries_the_bare_token() {
    let by_header = config::SessionConfig {
        name: "x-cart".to_owned(),
        transport: Transport::Header,
        ..session()
    };
    let rule = rule(&[("a", 1)], Some(by_header));
    let first = request(&rule, &[], &[], NOW);
    let pending = first.pending_token(Some(0), Some(HOST), NOW).unwrap();
    let token = match pending.seal(rule.session().unwrap(), &keys(), NONCE, NOW).unwrap() {
        Change::Add("x-cart", token) => String::from_utf8(token.into_owned()).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(again(&rule, &token, NOW).session_outcome(), SessionOutcome::Resumed);
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
            let host = MemoryHost { random: random.to_ne_bytes().into(), ..host(now) };
            let decision = decide(&rule, &gateway(), &lines.as_slice().into(), &host).unwrap();
            prop_assert_eq!(decision.backend(), (rule.backends().len() == 1).then_some(0));
            prop_assert_eq!(decision.requested_host(), None);
        }
    }
}
