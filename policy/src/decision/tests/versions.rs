//! Sessions whose policy names a version label, when the versions of the backends change.

use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    responses::{MANY, from, local},
    *,
};
use crate::{internal_headers::HOST_HEADER, token::Token};

/// The stable backend.
const STABLE: usize = 0;
/// The canary.
const CANARY: usize = 1;

/// A backend with this version. Its weight is 0 if the version has a `!` at its end.
fn backend(key: &str, version: &str) -> config::BackendConfig {
    let weight_zero = version.ends_with('!');
    let version = version.trim_end_matches('!');
    config::BackendConfig {
        key: format!("{key}.shop:80"),
        version: (!version.is_empty()).then(|| version.to_owned()),
        weight_zero,
        ..config::BackendConfig::default()
    }
}

/// A rule over the backends `s` (stable), `c` (canary) and more, with these versions.
fn versions_of(versions: &[&str], session: config::SessionConfig) -> config::RuleConfig {
    let keys = ["s", "c", "d", "e"].into_iter();
    config::RuleConfig {
        backends: keys.zip(versions).map(|(key, version)| backend(key, version)).collect(),
        ..raw_rule(&[], Some(session))
    }
}

fn rule_of(versions: &[&str]) -> Rc<Rule> {
    rule_with(versions, session())
}

fn rule_with(versions: &[&str], session: config::SessionConfig) -> Rc<Rule> {
    Rc::new(Rule::new(0, &versions_of(versions, session), &[]).unwrap())
}

fn sticky() -> config::SessionConfig {
    config::SessionConfig {
        bound_to: BoundTo::Backend,
        ..session()
    }
}

/// A token that was sealed when the backend had this version.
fn sealed_on(rule: &Rule, key: &str, version: &str) -> String {
    sealed_at(rule, key, version, NOW)
}

fn sealed_at(rule: &Rule, key: &str, version: &str, at: u64) -> String {
    let session = rule.session().unwrap();
    let by_host = session.bound_to() == BoundTo::Host;
    let token = Token {
        backend: format!("{key}.shop:80").into_bytes().into(),
        version: version.as_bytes().into(),
        host: if by_host { HOST.into() } else { Box::default() },
        ..Token::new(at, false)
    };
    token.seal(&keys(), session.binding(), NONCE).unwrap()
}

/// A request at a time at which the weights of the route choose the backend with this key.
fn ask(rule: &Rc<Rule>, gateway: &Gateway, token: &str, picked: &str, headers: &[(&str, &str)]) -> Decision {
    let lines = carried(rule, &[token], headers);
    decide(rule, gateway, &lines.as_slice().into(), &from(picked, HOST, &[])).unwrap()
}

/// What becomes of a session, and where it goes.
fn decided(rule: &Rc<Rule>, token: &str, picked: &str) -> (SessionOutcome, Option<usize>, Reason) {
    let decision = ask(rule, &gateway(), token, picked, &[]);
    (decision.session_outcome(), decision.backend(), decision.reason())
}

/// The token of the response of a backend from a host: why it is sent, and its backend, version and host.
fn token_after(decision: &Decision, backend: &str, address: &[u8]) -> Option<(IssueReason, Token)> {
    let gateway = gateway();
    let asked = decision.requested_host();
    let lines = [(HOST_HEADER, "x")];
    let lines = if asked == Some(address) {
        &lines[..0]
    } else {
        &lines[..]
    };
    let host = from(backend, address, lines);
    let response = decision.respond(&gateway, MANY, &host).unwrap();
    let cookie = response.changes.iter().find_map(|change| match change {
        Change::Add("set-cookie", cookie) => Some(cookie.clone()),
        _ => None,
    })?;
    let cookie = String::from_utf8(cookie.into_owned()).unwrap();
    let text = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let binding = decision.rule().session().unwrap().binding();
    let token = Token::open(text.as_bytes(), &keys(), binding).unwrap();
    Some((response.issued?, token))
}

fn parts(token: &Token) -> (&str, &str, &[u8]) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (text(&token.backend), text(&token.version), &token.host)
}

#[test]
#[wasm_bindgen_test]
fn a_new_session_gets_the_version_of_the_backend_that_answered() {
    let rule = rule_of(&["v1", "v2"]);
    let first = request(&rule, &[], &[], NOW);
    let (reason, token) = token_after(&first, "c", HOST).unwrap();
    assert_eq!((reason, parts(&token)), (IssueReason::New, ("c.shop:80", "v2", HOST)));
    let first = request(&rule_of(&["v1", ""]), &[], &[], NOW);
    let (_, token) = token_after(&first, "c", HOST).unwrap();
    assert_eq!(parts(&token), ("c.shop:80", "", HOST));
}

/// Argo Rollouts gives the canary the next version and a weight at once. Until the next configuration, the canary has the version of the release
/// before, which stable has by now.
#[test]
#[wasm_bindgen_test]
fn a_session_that_begins_on_a_backend_of_weight_zero_gets_its_version_from_the_next_configuration() {
    let outdated = rule_of(&["v2", "v2!"]);
    let gateway = gateway();
    let first = ask(&outdated, &gateway, "", "c", &[]);
    let (reason, token) = token_after(&first, "c", HOST).unwrap();
    assert_eq!((reason, parts(&token)), (IssueReason::New, ("c.shop:80", "", HOST)));
    // The route was seen to select it.
    let sealed = |rule: &Rc<Rule>| sealed_on(rule, "c", "");
    let next = ask(&outdated, &gateway, &sealed(&outdated), "c", &[]);
    assert_eq!(
        (next.session_outcome(), next.backend()),
        (SessionOutcome::Resumed, Some(CANARY))
    );
    let rule = rule_of(&["v2", "v3"]);
    let later = ask(&rule, &gateway, &sealed(&rule), "s", &[]);
    assert_eq!(
        (later.session_outcome(), later.backend()),
        (SessionOutcome::NeedsRefresh, Some(CANARY))
    );
    let (_, token) = token_after(&later, "c", HOST).unwrap();
    assert_eq!(parts(&token), ("c.shop:80", "v3", HOST));
}

/// After a rollback, the pods of the next version replace those of the canary before the module knows of that version.
#[test]
#[wasm_bindgen_test]
fn a_session_that_loses_its_host_on_a_backend_of_weight_zero_keeps_its_version() {
    let outdated = rule_of(&["v1", "v2!"]);
    let request = ask(&outdated, &gateway(), &sealed_on(&outdated, "c", "v2"), "s", &[]);
    let (reason, token) = token_after(&request, "c", OTHER).unwrap();
    assert_eq!(
        (reason, parts(&token)),
        (IssueReason::Moved, ("c.shop:80", "v2", OTHER))
    );
    // So with the next configuration it leaves.
    let rule = rule_of(&["v1", "v3!"]);
    assert_eq!(
        decided(&rule, &sealed_on(&rule, "c", "v2"), "s"),
        (SessionOutcome::VersionRemoved, None, Reason::Split)
    );
}

#[test]
#[wasm_bindgen_test]
fn while_its_backend_has_its_version_a_session_stays() {
    let stays = |versions: &[&str], key: &str, version: &str| {
        let rule = rule_of(versions);
        let decision = ask(&rule, &gateway(), &sealed_on(&rule, key, version), "s", &[]);
        assert_eq!(decision.requested_host(), Some(HOST));
        assert_eq!(token_after(&decision, key, HOST), None);
        (decision.session_outcome(), decision.backend())
    };
    let resumed = |backend| (SessionOutcome::Resumed, Some(backend));
    assert_eq!(stays(&["v1", "v2"], "s", "v1"), resumed(STABLE));
    assert_eq!(stays(&["v1", "v2"], "c", "v2"), resumed(CANARY));
    // Both have it: the promotion has begun, and the canary still has a weight.
    assert_eq!(stays(&["v2", "v2"], "c", "v2"), resumed(CANARY));
    // Weight 0 alone is no reason to leave (GEP-1619), and neither is a version that is not known.
    assert_eq!(stays(&["v1", "v2!"], "c", "v2"), resumed(CANARY));
    assert_eq!(stays(&["v1!", "v2!"], "c", "v2"), resumed(CANARY));
    assert_eq!(stays(&["v2!", "v2!"], "c", "v2"), resumed(CANARY));
    assert_eq!(stays(&["v2", ""], "c", "v2"), resumed(CANARY));
    assert_eq!(stays(&["v1", ""], "c", ""), resumed(CANARY));
}

#[test]
#[wasm_bindgen_test]
fn at_promotion_a_session_follows_its_version_to_stable() {
    // The canary has lost its weight, has the next version already, or is not in the rule.
    for versions in [["v2", "v2!"].as_slice(), &["v2", "v3"], &["v2", "v3!"], &["v2"]] {
        for session in [session(), sticky()] {
            let rule = rule_with(versions, session);
            let token = sealed_on(&rule, "c", "v2");
            let decision = ask(&rule, &gateway(), &token, "s", &[]);
            assert_eq!(
                (decision.session_outcome(), decision.backend(), decision.reason()),
                (SessionOutcome::Followed, Some(STABLE), Reason::Session),
                "{versions:?}"
            );
            let host = if decision.binds_host() { OTHER } else { b"" };
            let (reason, after) = token_after(&decision, "s", OTHER).unwrap();
            assert_eq!((reason, parts(&after)), (IssueReason::Moved, ("s.shop:80", "v2", host)));
            let response = decision
                .respond(&gateway(), MANY, &from("s", OTHER, &[(HOST_HEADER, "x")]))
                .unwrap();
            assert_eq!(response.left_backend, Some(SessionOutcome::Followed));
            // From then on it stays.
            let token = sealed_on(&rule, "s", "v2");
            assert_eq!(
                decided(&rule, &token, "s"),
                (SessionOutcome::Resumed, Some(STABLE), Reason::Session)
            );
        }
    }
}

#[test]
#[wasm_bindgen_test]
fn a_session_that_follows_keeps_a_host_that_both_backends_have() {
    // Argo Rollouts: at promotion, both Services select the same pods.
    let rule = rule_of(&["v2", "v2!"]);
    let decision = ask(&rule, &gateway(), &sealed_on(&rule, "c", "v2"), "s", &[]);
    assert_eq!(decision.requested_host(), Some(HOST));
    let (reason, token) = token_after(&decision, "s", HOST).unwrap();
    assert_eq!((reason, parts(&token)), (IssueReason::Moved, ("s.shop:80", "v2", HOST)));
    // A strict session would fail if stable does not have the host.
    let strict = rule_with(
        &["v2", "v2!"],
        config::SessionConfig {
            strict: true,
            ..session()
        },
    );
    let decision = ask(&strict, &gateway(), &sealed_on(&strict, "c", "v2"), "s", &[]);
    assert_eq!((decision.backend(), decision.requested_host()), (Some(STABLE), None));
    let (_, token) = token_after(&decision, "s", OTHER).unwrap();
    assert_eq!(parts(&token), ("s.shop:80", "v2", OTHER));
}

#[test]
#[wasm_bindgen_test]
fn with_the_next_release_nobody_is_on_the_canary() {
    for session in [session(), sticky()] {
        // A rollback left the session on the canary, which has the next version now.
        let rule = rule_with(&["v1", "v3"], session);
        let token = sealed_on(&rule, "c", "v2");
        assert_eq!(
            decided(&rule, &token, "s"),
            (SessionOutcome::VersionRemoved, None, Reason::Split)
        );
        let decision = ask(&rule, &gateway(), &token, "s", &[]);
        assert_eq!((decision.session_key(), decision.requested_host()), (None, None));
        let (reason, after) = token_after(&decision, "s", OTHER).unwrap();
        assert_eq!(
            (reason, parts(&after).0, parts(&after).1),
            (IssueReason::Moved, "s.shop:80", "v1")
        );
        let response = decision.respond(&gateway(), MANY, &from("s", OTHER, &[])).unwrap();
        assert_eq!(response.left_backend, Some(SessionOutcome::VersionRemoved));
    }
}

#[test]
#[wasm_bindgen_test]
fn a_session_whose_version_is_gone_keeps_its_host_if_the_weights_select_its_backend() {
    let rule = rule_of(&["v1", "v3"]);
    let token = sealed_on(&rule, "c", "v2");
    let decision = ask(&rule, &gateway(), &token, "c", &[]);
    assert_eq!(
        (decision.session_outcome(), decision.backend(), decision.reason()),
        (SessionOutcome::NeedsRefresh, Some(CANARY), Reason::Session)
    );
    assert_eq!(decision.requested_host(), Some(HOST));
    // It has the new version from then on, so that it is decided only once.
    let (reason, after) = token_after(&decision, "c", HOST).unwrap();
    assert_eq!(
        (reason, parts(&after)),
        (IssueReason::Refreshed, ("c.shop:80", "v3", HOST))
    );
}

#[test]
#[wasm_bindgen_test]
fn sessions_stay_with_a_backend_whose_pods_are_updated_in_place() {
    // A rule with one backend, a stable backend during a promotion, and one beside a backend whose version is unknown. The
    // weights would choose another backend.
    for versions in [["v2"].as_slice(), &["v2", "v2"], &["v2", "v2!"], &["v2", ""]] {
        for session in [session(), sticky()] {
            let rule = rule_with(versions, session);
            let decision = ask(&rule, &gateway(), &sealed_on(&rule, "s", "v1"), "c", &[]);
            assert_eq!(
                (decision.session_outcome(), decision.backend(), decision.reason()),
                (SessionOutcome::NeedsRefresh, Some(STABLE), Reason::Session),
                "{versions:?}"
            );
            let host = decision.requested_host().unwrap_or_default();
            assert_eq!(host, if decision.binds_host() { HOST } else { b"" });
            let (reason, after) = token_after(&decision, "s", HOST).unwrap();
            assert_eq!(
                (reason, parts(&after)),
                (IssueReason::Refreshed, ("s.shop:80", "v2", host))
            );
        }
    }
    // When the old pod is gone, another pod of the backend takes over.
    let rule = rule_of(&["v2", "v2"]);
    let decision = ask(&rule, &gateway(), &sealed_on(&rule, "s", "v1"), "c", &[]);
    let (reason, after) = token_after(&decision, "s", OTHER).unwrap();
    assert_eq!(
        (reason, parts(&after)),
        (IssueReason::Moved, ("s.shop:80", "v2", OTHER))
    );
}

#[test]
#[wasm_bindgen_test]
fn a_token_without_a_version_gets_that_of_its_backend_and_stays() {
    let rule = rule_of(&["v1", "v2"]);
    let decision = ask(&rule, &gateway(), &sealed_on(&rule, "c", ""), "s", &[]);
    assert_eq!(
        (decision.session_outcome(), decision.backend()),
        (SessionOutcome::NeedsRefresh, Some(CANARY))
    );
    let (reason, after) = token_after(&decision, "c", HOST).unwrap();
    assert_eq!(
        (reason, parts(&after)),
        (IssueReason::Refreshed, ("c.shop:80", "v2", HOST))
    );
    // Where the version is unknown, a renewed token keeps the one that it has.
    let rule = rule_of(&["v1", ""]);
    let token = sealed_at(&rule, "c", "v2", NOW - 60);
    let decision = ask(&rule, &gateway(), &token, "s", &[]);
    let (reason, after) = token_after(&decision, "c", HOST).unwrap();
    assert_eq!(
        (reason, parts(&after)),
        (IssueReason::Refreshed, ("c.shop:80", "v2", HOST))
    );
}

#[test]
#[wasm_bindgen_test]
fn no_session_follows_to_a_backend_that_the_weights_do_not_select() {
    let rule = rule_of(&["v1", "v2!"]);
    let token = sealed_on(&rule, "s", "v2");
    assert_eq!(
        decided(&rule, &token, "s"),
        (SessionOutcome::NeedsRefresh, Some(STABLE), Reason::Session)
    );
    // And to none that cannot be reached.
    let rule = rule_of(&["v1", "v2"]);
    let (gateway, token) = (gateway(), sealed_on(&rule, "s", "v2"));
    let follows = ask(&rule, &gateway, &token, "s", &[]);
    assert_eq!(
        (follows.session_outcome(), follows.backend()),
        (SessionOutcome::Followed, Some(CANARY))
    );
    let _response = follows.respond(&gateway, 3, &local("no_healthy_upstream")).unwrap();
    let stays = ask(&rule, &gateway, &token, "s", &[]);
    assert_eq!(
        (stays.session_outcome(), stays.backend()),
        (SessionOutcome::NeedsRefresh, Some(STABLE))
    );
}

#[test]
#[wasm_bindgen_test]
fn a_session_whose_backend_has_no_host_follows_its_version() {
    // The configuration does not show yet that the canary has lost its weight and its pods.
    let rule = rule_of(&["v2", "v2", "v1"]);
    let (gateway, token) = (gateway(), sealed_on(&rule, "c", "v2"));
    let fails = ask(&rule, &gateway, &token, "d", &[]);
    assert_eq!(fails.backend(), Some(CANARY));
    let _response = fails.respond(&gateway, 3, &local("no_healthy_upstream")).unwrap();
    let follows = ask(&rule, &gateway, &token, "d", &[]);
    assert_eq!(
        (follows.session_outcome(), follows.backend(), follows.reason()),
        (SessionOutcome::Followed, Some(STABLE), Reason::Session)
    );
}

#[test]
#[wasm_bindgen_test]
fn a_weight_that_was_raised_since_keeps_its_sessions() {
    let rule = rule_of(&["v2", "v2!"]);
    let token = sealed_on(&rule, "c", "v2");
    assert_eq!(decided(&rule, &token, "s").0, SessionOutcome::Followed);
    // The route itself selects the canary.
    assert_eq!(
        decided(&rule, &token, "c"),
        (SessionOutcome::Resumed, Some(CANARY), Reason::Session)
    );
}

#[test]
#[wasm_bindgen_test]
fn of_several_backends_of_a_version_the_weights_select_one() {
    let rule = rule_of(&["v2", "v3", "v2", "v2!"]);
    let token = sealed_on(&rule, "c", "v2");
    for (picked, backend) in [("s", 0), ("d", 2), ("c", 0), ("e", 0)] {
        assert_eq!(
            decided(&rule, &token, picked),
            (SessionOutcome::Followed, Some(backend), Reason::Session),
            "{picked}"
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn a_session_does_not_move_if_it_missed_the_route_to_its_version() {
    let rule = rule_of(&["v2", "v3", "v1"]);
    let decision = ask(&rule, &gateway(), &sealed_on(&rule, "c", "v2"), "d", &[]);
    assert_eq!(decision.backend(), Some(STABLE));
    for other in ["c", "d"] {
        assert_eq!(token_after(&decision, other, OTHER), None, "{other}");
    }
}

#[test]
#[wasm_bindgen_test]
fn a_released_session_follows_its_version_first() {
    let mut raw = versions_of(&["v1", "v2!"], session());
    raw.backends[CANARY].released = true;
    let rolled_back = Rc::new(Rule::new(0, &raw, &[]).unwrap());
    let token = sealed_on(&rolled_back, "c", "v2");
    assert_eq!(
        decided(&rolled_back, &token, "s"),
        (SessionOutcome::Released, None, Reason::Split)
    );
    raw.backends[STABLE].version = Some("v2".to_owned());
    let promoted = Rc::new(Rule::new(0, &raw, &[]).unwrap());
    assert_eq!(
        decided(&promoted, &token, "s"),
        (SessionOutcome::Followed, Some(STABLE), Reason::Session)
    );
}

#[test]
#[wasm_bindgen_test]
fn a_canary_rule_leaves_a_session_as_it_is() {
    let rules = json!({"name": "shop/canary", "rules": [{"name": "to-c", "optIn": {"header": "x-canary"}}]});
    let canary: config::CanaryConfig = serde_json::from_value(rules).unwrap();
    let rule = |versions: &[&str]| with_canary(versions_of(versions, session()), canary.clone(), CANARY);
    let always = [("x-canary", "always")];
    // The next release: the session is one of v2, which stable has, and its client tests v3.
    let next = rule(&["v2", "v3"]);
    let token = sealed_on(&next, "c", "v2");
    let forced = ask(&next, &gateway(), &token, "s", &always);
    assert_eq!(
        (forced.backend(), forced.reason()),
        (Some(CANARY), Reason::CanaryRule(0))
    );
    assert_eq!(forced.requested_host(), None);
    assert_eq!(token_after(&forced, "c", OTHER), None);
    // If its version is gone, it may as well be one of v3.
    let rolled_back = rule(&["v1", "v3"]);
    let forced = ask(&rolled_back, &gateway(), &token, "s", &always);
    assert_eq!(
        (forced.session_outcome(), forced.backend(), forced.requested_host()),
        (SessionOutcome::NeedsRefresh, Some(CANARY), Some(HOST))
    );
}

#[test]
#[wasm_bindgen_test]
fn what_is_no_label_value_is_no_version() {
    let with = |version: &str| Rule::new(0, &versions_of(&[version], session()), &[]);
    assert!(with("6c5f9b7d4").is_ok() && with(&"a".repeat(63)).is_ok());
    for invalid in ["a b", "\u{e4}", &"a".repeat(64)] {
        let error = with(invalid).unwrap_err().to_string();
        assert!(error.contains("is not a version"), "{error}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    const VERSIONS: [&str; 8] = ["", "!", "v1", "v1!", "v2", "v2!", "v3", "v3!"];

    /// Where a session goes, as the documentation says. The weights select `picked`, and every backend is reachable.
    fn expected(versions: &[&str], own: usize, version: &str, picked: usize) -> (Option<usize>, SessionOutcome) {
        let of = |backend: usize| versions[backend].trim_end_matches('!');
        let weighs = |backend: &usize| !versions[*backend].ends_with('!');
        // The version of a backend without weight may be outdated.
        let stays = if of(own).is_empty() || of(own) == version || !weighs(&own) {
            (Some(own), SessionOutcome::Resumed)
        } else {
            (Some(own), SessionOutcome::NeedsRefresh)
        };
        let all = 0..versions.len();
        let differs = all.clone().any(|other| !of(other).is_empty() && of(other) != of(own));
        let is_somewhere = all.clone().any(|other| of(other) == version && weighs(&other));
        // The session gets the version of its backend if it has none, or if no backend has its own and all have the same.
        let gets = version.is_empty() || (!is_somewhere && !differs);
        let version = if gets { of(own) } else { version };
        if of(own).is_empty() || (of(own) == version && (weighs(&own) || picked == own)) {
            return stays;
        }
        let mut same: Vec<usize> = all
            .clone()
            .filter(|other| *other != own && of(*other) == version)
            .collect();
        same.retain(weighs);
        if let Some(first) = same.first() {
            let selected = same.iter().find(|other| **other == picked && same.len() > 1);
            return (Some(*selected.unwrap_or(first)), SessionOutcome::Followed);
        }
        if of(own) == version || !differs || picked == own {
            return stays;
        }
        (None, SessionOutcome::VersionRemoved)
    }

    proptest! {
        #[test]
        fn a_session_goes_where_its_version_is(
            versions in proptest::collection::vec(proptest::sample::select(&VERSIONS[..]), 1..5),
            own in 0..4_usize,
            version in proptest::sample::select(&["", "v1", "v2", "v4"][..]),
            picked in 0..4_usize,
            bound_to_host in any::<bool>(),
        ) {
            let (own, picked) = (own % versions.len(), picked % versions.len());
            let rule = rule_with(&versions, if bound_to_host { session() } else { sticky() });
            let key = |backend: usize| ["s", "c", "d", "e"][backend];
            let token = sealed_on(&rule, key(own), version);
            let decision = ask(&rule, &gateway(), &token, key(picked), &[]);
            let (backend, outcome) = expected(&versions, own, version, picked);
            prop_assert_eq!((decision.backend(), decision.session_outcome()), (backend, outcome));

            // Whatever it came to, the next request of the session stays where it is, and its response sends no token.
            let reached = backend.unwrap_or(picked);
            let after = token_after(&decision, key(reached), OTHER);
            let Some((_, after)) = after else {
                // A token is sent unless the session keeps everything.
                prop_assert_eq!(outcome, SessionOutcome::Resumed);
                return Ok(());
            };
            let again = after.seal(&keys(), rule.session().unwrap().binding(), NONCE).unwrap();
            let again = ask(&rule, &gateway(), &again, key(picked), &[]);
            prop_assert_eq!((again.backend(), again.session_outcome()), (Some(reached), SessionOutcome::Resumed));
            prop_assert_eq!(token_after(&again, key(reached), OTHER), None);
        }
    }
}
