use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::{config, duration::Duration, keys::Entry};

const NOW: u64 = 1_700_000_000;
const NONCE: [u8; NONCE_LENGTH] = [5; NONCE_LENGTH];
const HOST: &[u8] = b"10.244.0.11:8080";
const OTHER: &[u8] = b"10.244.0.12:8080";

fn keys() -> KeyRing {
    KeyRing::parse(&Entry::new(1, crate::keys::test_secret(1)).reveal()).unwrap()
}

fn session() -> config::Session {
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

fn rule(weights: &[(&str, u32)], session: Option<config::Session>) -> Rule {
    Rule::new(0, raw_rule(weights, session)).unwrap()
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

/// A request with these tokens and headers.
fn request(rule: &Rule, tokens: &[&str], headers: &Headers, at: u64) -> Decision {
    request_with(rule, tokens, headers, &Outages::default(), at)
}

fn request_with(rule: &Rule, tokens: &[&str], headers: &Headers, outages: &Outages, at: u64) -> Decision {
    let tokens = tokens.iter().map(|text| text.as_bytes());
    decide(rule, Some(&keys()), tokens, headers, outages, at, || 0)
}

/// A first visit that was answered by `host` of the rule's first backend: the token that the client gets.
fn visit(rule: &Rule, host: &[u8], at: u64) -> String {
    let first = request(rule, &[], &Headers::default(), at);
    assert_eq!(first.outcome(), Outcome::New);
    assert_eq!(first.host_header(rule), None);
    token_of(rule, &first.due(rule, Some(0), Some(host), false, at).unwrap(), at)
}

fn token_of(rule: &Rule, due: &Due, at: u64) -> String {
    let header = due.seal(rule.session().unwrap(), &keys(), NONCE, at).unwrap();
    let value = header.value.split(';').next().unwrap();
    value.strip_prefix("cart=").unwrap_or(value).to_owned()
}

fn again(rule: &Rule, token: &str, at: u64) -> Decision {
    request(rule, &[token], &Headers::default(), at)
}

#[test]
#[wasm_bindgen_test]
fn a_session_returns_to_its_host() {
    let rule = rule(&[("a", 1)], Some(session()));
    let back = again(&rule, &visit(&rule, HOST, NOW), NOW + 1);
    assert_eq!((back.outcome(), back.reason()), (Outcome::Resumed, Reason::Session));
    // "10.244.0.11:8080" in standard base64, with padding.
    assert_eq!(back.host_header(&rule).as_deref(), Some("MTAuMjQ0LjAuMTE6ODA4MA=="));
    assert_eq!(back.backend_header(&rule), None);
    assert_eq!(back.due(&rule, Some(0), None, false, NOW + 1), None);
}

#[test]
#[wasm_bindgen_test]
fn a_token_is_due_only_when_something_changed() {
    let rule = rule(&[("a", 1)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let issue = |at, host| {
        again(&rule, &token, at)
            .due(&rule, Some(0), host, false, at)
            .map(|due| due.issue)
    };
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
        let due = again(&rule, &token, NOW + 500)
            .due(&rule, Some(0), host, false, NOW + 500)
            .unwrap();
        assert_eq!(due.issue, issue);
        let header = due.seal(rule.session().unwrap(), &keys(), NONCE, NOW + 500).unwrap();
        assert!(header.value.ends_with("; Max-Age=3100"), "{}", header.value);
    }
    let mut token = token;
    for at in (NOW..NOW + 3_600).step_by(500) {
        let back = again(&rule, &token, at);
        if let Some(due) = back.due(&rule, Some(0), None, false, at) {
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
    assert_eq!(back.backend_header(&after), Some("HTTPRoute/shop/store#0/a"));
    assert!(back.host_header(&after).is_some());
}

#[test]
#[wasm_bindgen_test]
fn a_new_session_is_left_to_the_route_and_bound_to_what_answered() {
    let rule = rule(&[("a", 1), ("b", 0)], Some(session()));
    let first = request(&rule, &[], &Headers::default(), NOW);
    assert_eq!((first.backend(), first.reason()), (None, Reason::Split));
    assert_eq!(first.backend_header(&rule), None);
    assert!(first.needs_cluster(&rule, true));
    let due = first.due(&rule, Some(1), Some(HOST), false, NOW).unwrap();
    assert_eq!(due.issue, Issue::New);
    let back = again(&rule, &token_of(&rule, &due, NOW), NOW + 1);
    assert_eq!(back.backend_header(&rule), Some("HTTPRoute/shop/store#0/b"));
}

#[test]
#[wasm_bindgen_test]
fn what_is_no_backend_of_the_rule_begins_no_session() {
    let split = rule(&[("a", 1), ("b", 1)], Some(session()));
    assert_eq!(
        request(&split, &[], &Headers::default(), NOW).due(&split, None, Some(HOST), false, NOW),
        None
    );
    let single = rule(&[("a", 1)], Some(session()));
    assert!(request(&single, &[], &Headers::default(), NOW).needs_cluster(&single, true));
    assert_eq!(
        request(&single, &[], &Headers::default(), NOW).due(&single, None, Some(HOST), false, NOW),
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
    assert_eq!(moved.outcome(), Outcome::BackendGone);
    assert_eq!(moved.host_header(&after), None);
    assert_eq!(moved.backend_header(&after), None);
    let due = moved.due(&after, Some(0), Some(OTHER), false, NOW + 1).unwrap();
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
    assert!(back.needs_cluster(&rule, true));
    assert!(back.missed(&rule, Some(1)));
    assert_eq!(back.due(&rule, Some(1), Some(OTHER), false, NOW + 1), None);
    assert!(back.missed(&rule, None));
    assert_eq!(back.due(&rule, None, Some(OTHER), false, NOW + 1), None);
    assert!(!back.missed(&rule, Some(0)));
    let moved = back.due(&rule, Some(0), Some(OTHER), false, NOW + 1).unwrap();
    assert_eq!(moved.issue, Issue::Repinned);
    // It is still kept from idling out.
    let renewed = again(&rule, &token, NOW + 30).due(&rule, Some(1), Some(OTHER), false, NOW + 30);
    assert_eq!(renewed.map(|due| due.issue), Some(Issue::Refreshed));
}

#[test]
#[wasm_bindgen_test]
fn while_its_backend_cannot_be_reached_a_session_goes_on_elsewhere() {
    let rule = rule(&[("a", 1), ("b", 1)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let outages = Outages::default();
    outages.note(rule.position(), 0, NOW);
    let moved = request_with(&rule, &[&token], &Headers::default(), &outages, NOW + 1);
    assert_eq!((moved.outcome(), moved.backend()), (Outcome::BackendGone, None));
    let due = moved.due(&rule, Some(1), Some(OTHER), false, NOW + 1).unwrap();
    assert_eq!(due.issue, Issue::Repinned);
    let back = request_with(
        &rule,
        &[&token_of(&rule, &due, NOW + 1)],
        &Headers::default(),
        &outages,
        NOW + 2,
    );
    assert_eq!(back.backend_header(&rule), Some("HTTPRoute/shop/store#0/b"));
    let later = request_with(&rule, &[&token], &Headers::default(), &outages, NOW + 5);
    assert_eq!(later.backend(), Some(0));
}

#[test]
#[wasm_bindgen_test]
fn a_forced_client_goes_where_the_route_sends_it_while_the_canary_cannot_be_reached() {
    let rule = canary_rule(config::Override::Always, None);
    let outages = Outages::default();
    outages.note(rule.position(), 1, NOW);
    let forced = request_with(&rule, &[], &FORCED.as_slice().into(), &outages, NOW);
    assert_eq!((forced.backend(), forced.reason()), (None, Reason::Split));
}

#[test]
#[wasm_bindgen_test]
fn the_first_token_that_lives_wins() {
    let rule = rule(&[("a", 1)], Some(session()));
    let old = visit(&rule, OTHER, NOW - 3_600);
    let live = visit(&rule, HOST, NOW);
    let decide = |tokens: &[&str]| request(&rule, tokens, &Headers::default(), NOW);
    assert_eq!(decide(&["junk", &old, &live]).outcome(), Outcome::Resumed);
    assert_eq!(decide(&["junk", "junk", "junk", &live]).outcome(), Outcome::Resumed);
    assert_eq!(decide(&[&old, "junk"]).outcome(), Outcome::ExpiredAbsolute);
    let fifth = decide(&["junk", "junk", "junk", "junk", &live]);
    assert_eq!(fifth.outcome(), Outcome::Rejected(Rejection::Malformed));
}

#[test]
#[wasm_bindgen_test]
fn without_keys_the_route_decides() {
    let rule = rule(&[("a", 1), ("b", 3)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let tokens = std::iter::once(token.as_bytes());
    let off = decide(&rule, None, tokens, &Headers::default(), &Outages::default(), NOW, || 1);
    assert_eq!((off.outcome(), off.backend_header(&rule)), (Outcome::Stateless, None));
    assert_eq!(off.host_header(&rule), None);
    assert_eq!(off.due(&rule, Some(0), Some(HOST), false, NOW), None);
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
    let first = request(&rule, &[], &Headers::default(), NOW);
    let due = first.due(&rule, Some(0), Some(HOST), true, NOW).unwrap();
    let secure = |due: &Due| {
        let header = due.seal(rule.session().unwrap(), &keys(), NONCE, NOW).unwrap();
        header.value.contains("; Secure;")
    };
    assert!(secure(&due));
    let back = again(&rule, &token_of(&rule, &due, NOW), NOW + 1);
    assert!(secure(&back.due(&rule, Some(0), Some(OTHER), false, NOW + 1).unwrap()));
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
    let due = again(&demanding, &token, NOW + 30).due(&demanding, Some(0), None, false, NOW + 30);
    let header = due
        .unwrap()
        .seal(demanding.session().unwrap(), &keys(), NONCE, NOW + 30);
    assert!(header.unwrap().value.contains("; Secure"));
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
    assert!(!back.needs_response(&unpinned, false));
    assert_eq!(back.due(&unpinned, Some(0), None, false, NOW + 1), None);
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
    let first = request(&rule, &[], &Headers::default(), NOW);
    let due = first.due(&rule, Some(0), Some(HOST), false, NOW).unwrap();
    let header = due.seal(rule.session().unwrap(), &keys(), NONCE, NOW).unwrap();
    assert_eq!(header.name, "x-cart");
    assert_eq!(again(&rule, &header.value, NOW).outcome(), Outcome::Resumed);
}

/// Backends `a` (90) and `b` (10), and `x-canary: yes` forces `b`.
fn canary_rule(override_session: config::Override, session: Option<config::Session>) -> Rule {
    let on = config::Source::Header("x-canary".to_owned());
    let matches = vec![config::Match {
        on,
        kind: config::MatchType::Exact,
        value: Some("yes".to_owned()),
    }];
    let forcing = config::CanaryRule {
        name: "testers".to_owned(),
        backend: "b".to_owned(),
        matches,
        opt_in: None,
    };
    let raw = config::Rule {
        canary: Some(config::Canary {
            rules: vec![forcing],
            override_session,
            hash_on: None,
            seed: None,
        }),
        ..raw_rule(&[("a", 90), ("b", 10)], session)
    };
    Rule::new(0, raw).unwrap()
}

const FORCED: [(&str, &[u8]); 1] = [("X-Canary", b"yes")];

fn forced(rule: &Rule, tokens: &[&str]) -> Decision {
    request(rule, tokens, &FORCED.as_slice().into(), NOW)
}

#[test]
#[wasm_bindgen_test]
fn a_forced_canary_leaves_a_live_session_as_it_is() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let token = visit(&rule, HOST, NOW);
    let away = forced(&rule, &[&token]);
    assert_eq!(
        (away.backend_header(&rule), away.reason()),
        (Some("HTTPRoute/shop/store#0/b"), Reason::Forced(0))
    );
    assert_eq!(away.host_header(&rule), None);
    assert_eq!(away.due(&rule, Some(1), Some(OTHER), false, NOW), None);
    let back = again(&rule, &token, NOW + 1);
    assert_eq!(
        (back.backend_header(&rule), back.reason()),
        (Some("HTTPRoute/shop/store#0/a"), Reason::Session)
    );
    assert!(back.host_header(&rule).is_some());
}

#[test]
#[wasm_bindgen_test]
fn override_never_keeps_live_sessions_from_forcing_rules() {
    let rule = canary_rule(config::Override::Never, Some(session()));
    let token = visit(&rule, HOST, NOW);
    assert_eq!(
        forced(&rule, &[&token]).backend_header(&rule),
        Some("HTTPRoute/shop/store#0/a")
    );
    assert_eq!(
        forced(&rule, &[]).backend_header(&rule),
        Some("HTTPRoute/shop/store#0/b")
    );
}

#[test]
#[wasm_bindgen_test]
fn a_forced_client_without_a_session_gets_one_on_the_canary() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let due = forced(&rule, &[]).due(&rule, Some(1), Some(HOST), false, NOW).unwrap();
    let token = token_of(&rule, &due, NOW);
    let still = forced(&rule, &[&token]);
    assert_eq!(still.backend_header(&rule), Some("HTTPRoute/shop/store#0/b"));
    assert!(still.host_header(&rule).is_some());
}

#[test]
#[wasm_bindgen_test]
fn a_diverted_session_is_still_kept_from_idling_out() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let token = visit(&rule, HOST, NOW - 60);
    let due = forced(&rule, &[&token])
        .due(&rule, Some(1), Some(OTHER), false, NOW)
        .unwrap();
    assert_eq!(due.issue, Issue::Refreshed);
    let back = again(&rule, &token_of(&rule, &due, NOW), NOW);
    assert_eq!(back.backend_header(&rule), Some("HTTPRoute/shop/store#0/a"));
}

#[test]
#[wasm_bindgen_test]
fn a_sticky_split_binds_the_backend_and_any_host_of_it() {
    let sticky = config::Session {
        pin: Pin::Backend,
        ..session()
    };
    let rule = canary_rule(config::Override::Always, Some(sticky));
    let first = request(&rule, &[], &Headers::default(), NOW);
    assert!(first.needs_cluster(&rule, false));
    let due = first.due(&rule, Some(1), None, false, NOW).unwrap();
    let back = again(&rule, &token_of(&rule, &due, NOW), NOW + 1);
    assert_eq!(
        (back.backend_header(&rule), back.reason()),
        (Some("HTTPRoute/shop/store#0/b"), Reason::Session)
    );
    assert_eq!(back.host_header(&rule), None);
    // Only the cluster tells whether the session route was missed.
    assert!(back.needs_cluster(&rule, false));
    assert!(!back.missed(&rule, Some(1)));
    assert_eq!(back.due(&rule, Some(1), None, false, NOW + 1), None);
    assert!(back.missed(&rule, Some(0)));
    assert_eq!(back.due(&rule, Some(0), None, false, NOW + 1), None);
    // A forced visit draws nothing, so that the next one without the header is drawn.
    assert_eq!(forced(&rule, &[]).due(&rule, Some(1), None, false, NOW), None);
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
            let tokens = tokens.iter().map(Vec::as_slice);
            let decision = decide(&rule, Some(&keys()), tokens, &Headers::default(), &Outages::default(), now, || random);
            prop_assert_eq!(decision.backend(), (rule.backends().len() == 1).then_some(0));
            prop_assert_eq!(decision.host_header(&rule), None);
        }
    }
}
