//! Sessions on a backend whose weight is 0, where the policy releases them.

use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    responses::{MANY, from},
    *,
};

/// A rule over `a`, which is released, and `b`, with canary routing.
fn released_rule(session: config::SessionConfig, canary: Option<config::CanaryConfig>) -> Rc<Rule> {
    let mut raw = raw_rule(&[("a.shop:80", 0), ("b.shop:80", 1)], Some(session));
    raw.backends[0].released = true;
    with_canary(raw, canary.unwrap_or_default(), 0)
}

/// A request at a time at which the weights of the route choose the backend with this key.
fn ask(
    rule: &Rc<Rule>,
    gateway: &Gateway,
    tokens: &[&str],
    picked: &str,
    headers: &[(&str, &str)],
    at: u64,
) -> Decision {
    let lines = carried(rule, tokens, headers);
    let host = MemoryHost {
        now: at,
        ..from(picked, HOST, &[])
    };
    decide(rule, gateway, &lines.as_slice().into(), &host).unwrap()
}

/// Why a token is pending after the answer of this backend from a host that was not asked for, and whether it counts as released.
fn answer(
    decision: &Decision,
    gateway: &Gateway,
    backend: &str,
    address: &[u8],
    at: u64,
) -> (Option<IssueReason>, bool) {
    let lines = [(crate::internal_headers::HOST_HEADER, "x")];
    let host = MemoryHost {
        now: at,
        ..from(backend, address, &lines)
    };
    let response = decision.respond(gateway, MANY, &host).unwrap();
    let released = response.left_backend == Some(SessionOutcome::Released);
    (response.issued, released)
}

fn canary(mut raw: serde_json::Value) -> config::CanaryConfig {
    raw["name"] = json!("shop/canary");
    serde_json::from_value(raw).unwrap()
}

fn to_a() -> serde_json::Value {
    json!([{"name": "to-a", "optIn": {"header": "x-canary"}}])
}

#[test]
#[wasm_bindgen_test]
fn a_released_session_follows_the_weights_once_with_its_old_issue_time() {
    for strict in [false, true] {
        let rule = released_rule(config::SessionConfig { strict, ..session() }, None);
        let gateway = gateway();
        let token = visit(&rule, HOST, NOW);
        let moved = ask(&rule, &gateway, &[&token], "b", &[], NOW + 1);
        assert_eq!(
            (moved.session_outcome(), moved.backend(), moved.reason()),
            (SessionOutcome::Released, None, Reason::Split)
        );
        assert_eq!((moved.session_key(), moved.requested_host()), (None, None));
        assert_eq!(
            answer(&moved, &gateway, "b", OTHER, NOW + 1),
            (Some(IssueReason::Moved), true)
        );

        let pending = moved.pending_token(Some(1), Some(OTHER), NOW + 1).unwrap();
        assert_eq!(
            (pending.token.issued, &*pending.token.backend),
            (NOW, b"b.shop:80".as_slice())
        );
        let there = token_of(&rule, &pending, NOW + 1);
        let back = ask(&rule, &gateway, &[&there], "b", &[], NOW + 2);
        assert_eq!(
            (back.session_outcome(), back.backend(), back.requested_host()),
            (SessionOutcome::Resumed, Some(1), Some(OTHER))
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn a_session_on_a_backend_alone_is_released_too() {
    let rule = released_rule(
        config::SessionConfig {
            bound_to: BoundTo::Backend,
            ..session()
        },
        None,
    );
    let gateway = gateway();
    let token = visit(&rule, b"", NOW);
    let moved = ask(&rule, &gateway, &[&token], "b", &[], NOW + 1);
    assert_eq!(
        (moved.session_outcome(), moved.backend()),
        (SessionOutcome::Released, None)
    );
    assert_eq!(
        answer(&moved, &gateway, "b", OTHER, NOW + 1),
        (Some(IssueReason::Moved), true)
    );
    // The route has chosen its own backend all the same, between a request and its answer: no token is pending.
    assert_eq!(answer(&moved, &gateway, "a", OTHER, NOW + 1), (None, false));
}

#[test]
#[wasm_bindgen_test]
fn without_a_mark_a_session_stays() {
    let rule = rule(&[("a.shop:80", 0), ("b.shop:80", 1)], Some(session()));
    let token = visit(&rule, HOST, NOW);
    let stays = ask(&rule, &gateway(), &[&token], "b", &[], NOW + 1);
    assert_eq!(
        (stays.session_outcome(), stays.backend(), stays.requested_host()),
        (SessionOutcome::Resumed, Some(0), Some(HOST))
    );
}

#[test]
#[wasm_bindgen_test]
fn a_mark_counts_only_while_the_route_is_not_seen_to_choose_the_backend() {
    let rule = released_rule(session(), None);
    let gateway = gateway();
    let token = visit(&rule, HOST, NOW);
    let released = |picked: &str, at: u64| {
        ask(&rule, &gateway, &[&token], picked, &[], at).session_outcome() == SessionOutcome::Released
    };
    assert!(released("b", NOW));
    // The request itself tells that the weights have been raised.
    assert!(!released("a", NOW + 1));
    assert!(!released("b", NOW + 4));
    assert!(released("b", NOW + 5));
    // So do requests of others: new ones by the answer, and those of sessions elsewhere.
    let new = ask(&rule, &gateway, &[], "a", &[], NOW + 10);
    assert_eq!(
        answer(&new, &gateway, "a", OTHER, NOW + 10),
        (Some(IssueReason::New), false)
    );
    assert!(!released("b", NOW + 11));
    let on_b = token_of(&rule, &new.pending_token(Some(1), Some(OTHER), NOW).unwrap(), NOW);
    let _other = ask(&rule, &gateway, &[&on_b], "a", &[], NOW + 40);
    // The longer the route has chosen it, the longer that counts.
    assert!(!released("b", NOW + 40 + 39));
    assert!(released("b", NOW + 40 + 40));
}

#[test]
#[wasm_bindgen_test]
fn whom_a_canary_rule_sends_to_a_released_backend_keeps_the_session_there() {
    for policy in ["Always", "Never"] {
        let rule = released_rule(session(), Some(canary(json!({"rules": to_a(), "override": policy}))));
        let gateway = gateway();
        let token = visit(&rule, HOST, NOW);
        let matched = ask(&rule, &gateway, &[&token], "b", &[("x-canary", "always")], NOW + 1);
        assert_eq!(
            (matched.session_outcome(), matched.reason()),
            (SessionOutcome::Resumed, Reason::CanaryRule(0))
        );
        assert_eq!((matched.backend(), matched.requested_host()), (Some(0), Some(HOST)));
        assert_eq!(matched.pending_token(Some(0), None, NOW + 1), None);
        // As soon as it is not sent there, it is released; so is one that opts out of the backend.
        let free = ask(&rule, &gateway, &[&token], "b", &[], NOW + 1);
        assert_eq!(
            (free.session_outcome(), free.backend()),
            (SessionOutcome::Released, None)
        );
        let never = ask(&rule, &gateway, &[&token], "b", &[("x-canary", "never")], NOW + 1);
        assert_eq!(
            (never.session_outcome(), never.backend()),
            (SessionOutcome::Released, Some(1))
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn a_released_session_goes_where_its_client_is_placed() {
    let rule = released_rule(session(), Some(canary(json!({"hashOn": {"header": "user"}}))));
    let gateway = gateway();
    let token = visit(&rule, HOST, NOW);
    let moved = ask(&rule, &gateway, &[&token], "b", &[("user", "anna")], NOW + 1);
    assert_eq!(
        (moved.session_outcome(), moved.backend(), moved.reason()),
        (SessionOutcome::Released, Some(1), Reason::Hash)
    );
    assert_eq!(
        answer(&moved, &gateway, "b", OTHER, NOW + 1),
        (Some(IssueReason::Moved), true)
    );
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    const KEYS: [&str; 3] = ["a.shop:80", "b.shop:80", "c.shop:80"];

    /// Three backends of which some are released, with a canary rule and perhaps a split by client.
    fn any_rule(released: [bool; 3], weights: [u32; 3], bound_to: BoundTo, never: bool, hashes: bool) -> Rc<Rule> {
        let weights: Vec<(&str, u32)> = KEYS.into_iter().zip(weights).collect();
        let mut raw = raw_rule(&weights, Some(config::SessionConfig { bound_to, ..session() }));
        for (backend, released) in raw.backends.iter_mut().zip(released) {
            backend.released = released;
        }
        let mut canary = canary(json!({"rules": to_a()}));
        if never {
            canary.override_session = config::Override::Never;
        }
        if hashes {
            canary.hash_on = Some(config::SourceConfig::Header("user".to_owned()));
        }
        with_canary(raw, canary, 0)
    }

    proptest! {
        /// A released session is decided like no session, and any other as if there were no marks; only a session on a backend
        /// with a mark is released, and neither where the route chooses that backend nor where a canary rule does.
        #[test]
        fn a_released_session_is_decided_like_none(
            released in any::<[bool; 3]>(),
            weights in any::<[u8; 3]>(),
            bound_to in prop_oneof![Just(BoundTo::Host), Just(BoundTo::Backend)],
            (never, hashes) in any::<(bool, bool)>(),
            (own, picked) in (0..3_usize, 0..3_usize),
            says in prop_oneof![Just("always"), Just("never"), Just("maybe")],
            user in "[a-c]?",
        ) {
            let rule = |marks| any_rule(marks, weights.map(u32::from), bound_to, never, hashes);
            let (marked, plain) = (rule(released), rule([false; 3]));
            let first = request(&plain, &[], &[], NOW);
            // A session that was sent there by force would have no token.
            let pending = Decision { reason: Reason::Split, ..first }.pending_token(Some(own), Some(HOST), NOW).unwrap();
            let token = token_of(&plain, &pending, NOW);
            let headers = [("x-canary", says), ("user", &*user)];
            let decided = |rule, tokens: &[&str]| ask(rule, &gateway(), tokens, ["a", "b", "c"][picked], &headers, NOW + 1);
            let decision = decided(&marked, &[&token]);
            let is_released = decision.session_outcome() == SessionOutcome::Released;
            let like = if is_released { decided(&plain, &[]) } else { decided(&plain, &[&token]) };
            prop_assert_eq!((decision.backend(), decision.requested_host()), (like.backend(), like.requested_host()));
            let as_new = decided(&plain, &[]);
            let sent_there = as_new.backend() == Some(own) && matches!(as_new.reason(), Reason::CanaryRule(_));
            prop_assert_eq!(is_released, released[own] && picked != own && !sent_there);
        }
    }
}
