//! Canaries: match rules, with and without sessions.

use wasm_bindgen_test::wasm_bindgen_test;

use super::*;

fn matching(rule: &Rc<Rule>, tokens: &[&str]) -> Decision {
    request(rule, tokens, &MATCHING, NOW)
}

#[test]
#[wasm_bindgen_test]
fn a_match_rule_leaves_a_live_session_unchanged() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let token = visit(&rule, HOST, NOW);
    let away = matching(&rule, &[&token]);
    assert_eq!(
        (away.session_key(), away.reason()),
        (Some("HTTPRoute/shop/store#0/b"), Reason::CanaryRule(0))
    );
    assert_eq!(away.requested_host(), None);
    assert_eq!(away.pending_token(Some(1), Some(OTHER), NOW), None);
    let back = again(&rule, &token, NOW + 1);
    assert_eq!(
        (back.session_key(), back.reason()),
        (Some("HTTPRoute/shop/store#0/a"), Reason::Session)
    );
    assert!(back.requested_host().is_some());
}

#[test]
#[wasm_bindgen_test]
fn override_never_protects_live_sessions_from_match_rules() {
    let rule = canary_rule(config::Override::Never, Some(session()));
    let token = visit(&rule, HOST, NOW);
    assert_eq!(
        matching(&rule, &[&token]).session_key(),
        Some("HTTPRoute/shop/store#0/a")
    );
    assert_eq!(matching(&rule, &[]).session_key(), Some("HTTPRoute/shop/store#0/b"));
}

#[test]
#[wasm_bindgen_test]
fn a_matching_client_without_a_session_gets_one_on_the_canary() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let pending = matching(&rule, &[]).pending_token(Some(1), Some(HOST), NOW).unwrap();
    let token = token_of(&rule, &pending, NOW);
    let still = matching(&rule, &[&token]);
    assert_eq!(still.session_key(), Some("HTTPRoute/shop/store#0/b"));
    assert!(still.requested_host().is_some());
}

#[test]
#[wasm_bindgen_test]
fn a_diverted_session_is_still_refreshed() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let token = visit(&rule, HOST, NOW - 60);
    let pending = matching(&rule, &[&token])
        .pending_token(Some(1), Some(OTHER), NOW)
        .unwrap();
    assert_eq!(pending.reason, IssueReason::Refreshed);
    let back = again(&rule, &token_of(&rule, &pending, NOW), NOW);
    assert_eq!(back.session_key(), Some("HTTPRoute/shop/store#0/a"));
}

#[test]
#[wasm_bindgen_test]
fn a_sticky_split_binds_the_backend_and_no_host() {
    let sticky = config::SessionConfig {
        bound_to: BoundTo::Backend,
        ..session()
    };
    let rule = canary_rule(config::Override::Always, Some(sticky));
    let first = request(&rule, &[], &[], NOW);
    assert!(first.needs_cluster(false));
    let pending = first.pending_token(Some(1), None, NOW).unwrap();
    let back = again(&rule, &token_of(&rule, &pending, NOW), NOW + 1);
    assert_eq!(
        (back.session_key(), back.reason()),
        (Some("HTTPRoute/shop/store#0/b"), Reason::Session)
    );
    assert_eq!(back.requested_host(), None);
    // Only the cluster shows whether the session route was missed.
    assert!(back.needs_cluster(false));
    assert!(!back.missed_session_route(Some(1)));
    assert_eq!(back.pending_token(Some(1), None, NOW + 1), None);
    assert!(back.missed_session_route(Some(0)));
    assert_eq!(back.pending_token(Some(0), None, NOW + 1), None);
    // A request that a match rule sends to the canary begins no session: the next one without the header follows the weights.
    assert_eq!(matching(&rule, &[]).pending_token(Some(1), None, NOW), None);
}

#[test]
#[wasm_bindgen_test]
fn a_request_beyond_the_budget_goes_where_it_would_go_without_the_canary() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let token = visit(&rule, HOST, NOW);
    let cookie = format!("cart={token}");
    let mut lines = vec![("cookie", cookie.as_str())];
    lines.extend(MATCHING);
    let matched = request(&rule, &[], &lines, NOW);
    assert!(!matched.over_budget() && matches!(matched.reason(), Reason::CanaryRule(_)));
    // Each line costs some steps.
    lines.extend(vec![("y-canary", "yes"); 30_000]);
    let expensive = request(&rule, &[], &lines, NOW);
    assert!(expensive.over_budget());
    assert_eq!(expensive.reason(), Reason::Session);
}
