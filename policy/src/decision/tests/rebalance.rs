//! Sessions whose policy rebalances them, when the weights change.

use std::cell::Cell;

use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    responses::{MANY, from, local},
    *,
};
use crate::{decision::Event, internal_headers::HOST_HEADER, share::Share, token::Token};

/// The stable backend, the canary, and a third one.
const KEYS: [&str; 3] = ["s", "c", "d"];
/// A random number at which each session that may be drawn again is.
const LOWEST: u64 = 0;

/// A random number at which no session is drawn again, unless all are.
const HIGHEST: u64 = u64::MAX;

#[expect(clippy::unnecessary_wraps, reason = "a token may have no share")]
fn share(percent: u32) -> Option<Share> {
    Some(Share::new(percent, 100))
}

fn raw(weights: &[u32], session: config::SessionConfig) -> config::RuleConfig {
    let backends = KEYS.iter().zip(weights).map(|(key, weight)| config::BackendConfig {
        key: format!("{key}.shop:80"),
        weight: Some(*weight),
        ..config::BackendConfig::default()
    });
    config::RuleConfig {
        backends: backends.collect(),
        rebalance: true,
        ..raw_rule(&[], Some(session))
    }
}

fn checked(raw: &config::RuleConfig) -> Rc<Rule> {
    Rc::new(Rule::new(0, raw, &[]).unwrap())
}

fn rule_of(weights: &[u32]) -> Rc<Rule> {
    checked(&raw(weights, session()))
}

fn sticky() -> config::SessionConfig {
    config::SessionConfig {
        bound_to: BoundTo::Backend,
        ..session()
    }
}

/// The token of a session that was drawn when its backend had this share.
fn drawn_at(key: &str, share: Option<Share>) -> Token {
    Token {
        backend: format!("{key}.shop:80").into_bytes().into(),
        host: HOST.into(),
        share,
        ..Token::new(NOW, false)
    }
}

fn sealed(rule: &Rule, token: &Token) -> String {
    token.seal(&keys(), rule.session().unwrap().binding(), NONCE).unwrap()
}

/// A request for which the route selects the backend with this key.
struct Ask<'a> {
    rule: &'a Rc<Rule>,
    token: Token,
    picked: &'a str,
    random: u64,
    headers: &'a [(&'a str, &'a str)],
}

impl Ask<'_> {
    fn decided(&self, gateway: &Gateway) -> Decision {
        let lines = carried(self.rule, &[&sealed(self.rule, &self.token)], self.headers);
        let host = MemoryHost {
            random: self.random.to_ne_bytes().into(),
            ..from(self.picked, HOST, &[])
        };
        decide(self.rule, gateway, &lines.as_slice().into(), &host).unwrap()
    }
}

fn ask<'a>(rule: &'a Rc<Rule>, token: &Token, picked: &'a str, random: u64) -> Ask<'a> {
    Ask {
        rule,
        token: token.clone(),
        picked,
        random,
        headers: &[],
    }
}

/// What becomes of a session, and where it goes.
fn outcome(decision: &Decision) -> (SessionOutcome, Option<usize>, Reason) {
    (decision.session_outcome(), decision.backend(), decision.reason())
}

/// The token of the response of a backend from a host.
fn token_after(decision: &Decision, backend: &str, address: &[u8]) -> Option<(IssueReason, Token)> {
    let asked = decision.requested_host();
    let lines = [(HOST_HEADER, "x")];
    let lines = if asked == Some(address) { &[] } else { lines.as_slice() };
    let response = decision
        .respond(&gateway(), MANY, &from(backend, address, lines))
        .unwrap();
    let cookie = response.changes.iter().find_map(|change| match change {
        Change::Add("set-cookie", cookie) => Some(String::from_utf8_lossy(cookie).into_owned()),
        _ => None,
    })?;
    let text = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let binding = decision.rule().session().unwrap().binding();
    Some((
        response.issued?,
        Token::open(text.as_bytes(), &keys(), binding).unwrap(),
    ))
}

const STAYS: (SessionOutcome, Option<usize>, Reason) = (SessionOutcome::NeedsRefresh, Some(0), Reason::Session);
const LEAVES: (SessionOutcome, Option<usize>, Reason) = (SessionOutcome::Rebalanced, None, Reason::Split);

#[test]
#[wasm_bindgen_test]
fn a_session_that_is_drawn_again_goes_where_the_route_selects() {
    for session in [
        session(),
        sticky(),
        config::SessionConfig {
            strict: true,
            ..session()
        },
    ] {
        let rule = checked(&raw(&[50, 50], session));
        let decision = ask(&rule, &drawn_at("s", share(75)), "c", LOWEST).decided(&gateway());
        assert_eq!(outcome(&decision), LEAVES);
        assert_eq!((decision.session_key(), decision.requested_host()), (None, None));
        let (reason, token) = token_after(&decision, "c", OTHER).unwrap();
        assert_eq!(
            (reason, &*token.backend, token.issued, token.share),
            (IssueReason::Moved, b"c.shop:80".as_slice(), NOW, share(50))
        );
        let response = decision.respond(&gateway(), MANY, &from("c", OTHER, &[])).unwrap();
        let events: Vec<Event> = response.events().collect();
        assert_eq!(events, [Event::Moved, Event::Rebalanced]);
        // From then on it stays, also at the lowest number.
        let next = ask(&rule, &token, "s", LOWEST).decided(&gateway());
        assert_eq!(outcome(&next), (SessionOutcome::Resumed, Some(1), Reason::Session));
    }
}

#[test]
#[wasm_bindgen_test]
fn a_session_that_is_not_drawn_or_gets_its_own_backend_keeps_its_host_and_gets_the_new_share() {
    let rule = rule_of(&[50, 50]);
    for (picked, random) in [("c", HIGHEST), ("s", LOWEST), ("other", LOWEST)] {
        let decision = ask(&rule, &drawn_at("s", share(75)), picked, random).decided(&gateway());
        assert_eq!((outcome(&decision), decision.requested_host()), (STAYS, Some(HOST)));
        let (reason, token) = token_after(&decision, "s", HOST).unwrap();
        assert_eq!((reason, &token), (IssueReason::Refreshed, &drawn_at("s", share(50))));
        // It is drawn once only.
        let next = ask(&rule, &token, "c", LOWEST).decided(&gateway());
        assert_eq!(outcome(&next), (SessionOutcome::Resumed, Some(0), Reason::Session));
        assert_eq!(token_after(&next, "s", HOST), None);
    }
}

#[test]
#[wasm_bindgen_test]
fn a_backend_whose_share_rises_loses_no_session_and_the_next_release_starts_from_its_share() {
    let rule = rule_of(&[50, 50]);
    let decision = ask(&rule, &drawn_at("c", share(25)), "s", LOWEST).decided(&gateway());
    assert_eq!(
        outcome(&decision),
        (SessionOutcome::NeedsRefresh, Some(1), Reason::Session)
    );
    let (reason, token) = token_after(&decision, "c", HOST).unwrap();
    assert_eq!((reason, token.share), (IssueReason::Refreshed, share(50)));
    let back = rule_of(&[75, 25]);
    let next = ask(&back, &token, "s", LOWEST).decided(&gateway());
    assert_eq!(next.session_outcome(), SessionOutcome::Rebalanced);
}

#[test]
#[wasm_bindgen_test]
fn sessions_of_a_backend_without_a_weight_are_a_matter_of_releasing() {
    let rule = rule_of(&[0, 100]);
    let decision = ask(&rule, &drawn_at("s", share(50)), "c", LOWEST).decided(&gateway());
    assert_eq!(outcome(&decision), STAYS);
    assert_eq!(token_after(&decision, "s", HOST).unwrap().1.share, share(0));
    let mut raw = raw(&[0, 100], session());
    raw.backends[0].released = true;
    let decision = ask(&checked(&raw), &drawn_at("s", share(50)), "c", LOWEST).decided(&gateway());
    assert_eq!(decision.session_outcome(), SessionOutcome::Released);
    // A weight that is raised again draws no session that stayed.
    let raised = rule_of(&[10, 90]);
    let next = ask(&raised, &drawn_at("s", share(0)), "c", LOWEST).decided(&gateway());
    assert_eq!(outcome(&next), STAYS);
}

#[test]
#[wasm_bindgen_test]
fn a_token_of_an_older_format_gets_a_share_and_is_not_drawn() {
    let rule = rule_of(&[10, 90]);
    let decision = ask(&rule, &drawn_at("s", None), "c", LOWEST).decided(&gateway());
    assert_eq!(outcome(&decision), STAYS);
    assert_eq!(token_after(&decision, "s", HOST).unwrap().1, drawn_at("s", share(10)));
}

#[test]
#[wasm_bindgen_test]
fn a_policy_that_does_not_rebalance_leaves_shares_alone() {
    let plain = checked(&config::RuleConfig {
        rebalance: false,
        ..raw(&[10, 90], session())
    });
    let decision = ask(&plain, &drawn_at("s", share(50)), "c", LOWEST).decided(&gateway());
    assert_eq!(outcome(&decision), (SessionOutcome::Resumed, Some(0), Reason::Session));
    assert_eq!(token_after(&decision, "s", HOST), None);
    // A token that is sent for another reason has none, so that its format is the older one.
    assert_eq!(token_after(&decision, "s", OTHER).unwrap().1.share, None);
}

#[test]
#[wasm_bindgen_test]
fn a_client_with_a_hash_goes_where_its_hash_says() {
    let by_user = json!({"name": "shop/canary", "hashOn": {"header": "user"}});
    let canary: config::CanaryConfig = serde_json::from_value(by_user).unwrap();
    let rule = with_canary(raw(&[50, 50], session()), canary, 0);
    let (mut left, mut stayed) = (0, 0);
    for user in 0..100 {
        let user = user.to_string();
        let placed = request(&rule, &[], &[("user", &user)], NOW).backend();
        // The route and the random number do not matter.
        for (picked, random) in [("s", HIGHEST), ("c", LOWEST)] {
            let ask = Ask {
                headers: &[("user", &user)],
                ..ask(&rule, &drawn_at("s", share(100)), picked, random)
            };
            let found = outcome(&ask.decided(&gateway()));
            if placed == Some(0) {
                assert_eq!(found, STAYS);
                stayed += 1;
            } else {
                assert_eq!(found, (SessionOutcome::Rebalanced, Some(1), Reason::Hash));
                left += 1;
            }
        }
    }
    assert!(left > 60 && stayed > 60, "{left} {stayed}");
    // Clients without the header are drawn.
    let decision = ask(&rule, &drawn_at("s", share(100)), "c", LOWEST).decided(&gateway());
    assert_eq!(outcome(&decision), LEAVES);
}

#[test]
#[wasm_bindgen_test]
fn a_request_of_a_canary_rule_does_not_draw_its_session() {
    for policy in ["Always", "Never"] {
        let rules = json!([{"name": "to-c", "optIn": {"header": "x-canary"}}]);
        let canary = json!({"name": "shop/canary", "rules": rules, "override": policy});
        let canary: config::CanaryConfig = serde_json::from_value(canary).unwrap();
        let rule = with_canary(raw(&[50, 50], session()), canary, 1);
        let with = |headers| Ask {
            headers,
            ..ask(&rule, &drawn_at("s", share(75)), "c", LOWEST)
        };
        if policy == "Always" {
            let forced = with(&[("x-canary", "always")]).decided(&gateway());
            assert_eq!((forced.backend(), forced.reason()), (Some(1), Reason::CanaryRule(0)));
            assert_eq!(token_after(&forced, "c", OTHER), None);
            // A client that opted out does not get the canary by the draw, and is drawn when it stops.
            let out = with(&[("x-canary", "never")]).decided(&gateway());
            assert_eq!(outcome(&out), (SessionOutcome::Resumed, Some(0), Reason::Session));
            assert_eq!(token_after(&out, "s", HOST), None);
            let (reason, token) = token_after(&out, "s", OTHER).unwrap();
            assert_eq!((reason, token.share), (IssueReason::Moved, share(75)));
        } else {
            // The rule does not apply to a live session.
            let forced = with(&[("x-canary", "always")]).decided(&gateway());
            assert_eq!(outcome(&forced), LEAVES);
        }
        assert_eq!(outcome(&with(&[]).decided(&gateway())), LEAVES);
    }
}

#[test]
#[wasm_bindgen_test]
fn a_session_does_not_leave_for_a_backend_that_is_unreachable() {
    let (rule, gateway) = (rule_of(&[50, 50]), gateway());
    let on_canary = ask(&rule, &drawn_at("c", share(50)), "c", HIGHEST).decided(&gateway);
    let _response = on_canary.respond(&gateway, 3, &local("no_healthy_upstream")).unwrap();
    let decision = ask(&rule, &drawn_at("s", share(75)), "c", LOWEST).decided(&gateway);
    assert_eq!(outcome(&decision), STAYS);
}

#[test]
#[wasm_bindgen_test]
fn a_session_follows_its_version_before_it_is_drawn() {
    let mut raw = raw(&[50, 50], session());
    for (backend, version) in raw.backends.iter_mut().zip(["v2", "v1"]) {
        backend.version = Some(version.to_owned());
    }
    let rule = checked(&raw);
    let token = Token {
        version: b"v1".as_slice().into(),
        ..drawn_at("s", share(75))
    };
    let decision = ask(&rule, &token, "s", LOWEST).decided(&gateway());
    assert_eq!(outcome(&decision), (SessionOutcome::Followed, Some(1), Reason::Session));
    let (_, token) = token_after(&decision, "c", OTHER).unwrap();
    assert_eq!((&*token.version, token.share), (b"v1".as_slice(), share(50)));
    // If no backend has its version, the weights decide, and the token gets the share too.
    let gone = Token {
        version: b"v0".as_slice().into(),
        ..drawn_at("s", share(75))
    };
    let decision = ask(&rule, &gone, "s", LOWEST).decided(&gateway());
    assert_eq!(outcome(&decision), STAYS);
    let (_, token) = token_after(&decision, "s", HOST).unwrap();
    assert_eq!((&*token.version, token.share), (b"v2".as_slice(), share(50)));
}

/// Counts the calls of another host.
struct Counting {
    host: MemoryHost,
    calls: Cell<usize>,
}

impl Counting {
    fn of(&self) -> &MemoryHost {
        self.calls.set(self.calls.get() + 1);
        &self.host
    }
}

impl Host for Counting {
    type Error = crate::token::SealError;

    fn now(&self) -> Result<u64, Self::Error> {
        self.of().now()
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        self.of().random()
    }

    fn route_name(&self) -> Result<Option<Vec<u8>>, Self::Error> {
        self.of().route_name()
    }

    fn virtual_host_name(&self) -> Result<Option<Vec<u8>>, Self::Error> {
        self.of().virtual_host_name()
    }

    fn route_object(&self) -> Result<Option<Vec<u8>>, Self::Error> {
        self.of().route_object()
    }

    fn cluster_name(&self) -> Result<Option<Vec<u8>>, Self::Error> {
        self.of().cluster_name()
    }

    fn code_details(&self) -> Result<Option<Vec<u8>>, Self::Error> {
        self.of().code_details()
    }

    fn upstream_address(&self) -> Result<Option<Vec<u8>>, Self::Error> {
        self.of().upstream_address()
    }

    fn response_header(&self, name: &str) -> Result<Option<Vec<u8>>, Self::Error> {
        self.of().response_header(name)
    }

    fn read_response<T>(&self, read: impl FnOnce(&Headers) -> T) -> Result<T, Self::Error> {
        self.of().read_response(read)
    }
}

#[test]
#[wasm_bindgen_test]
fn only_the_request_that_is_drawn_costs_more_host_calls() {
    let calls = |rule: &Rc<Rule>, token: &Token, random: u64| {
        let gateway = gateway();
        let host = Counting {
            host: MemoryHost {
                random: random.to_ne_bytes().into(),
                ..from("s", HOST, &[])
            },
            calls: Cell::new(0),
        };
        let lines = carried(rule, &[&sealed(rule, token)], &[]);
        let mut spent = [0; 2];
        for calls in &mut spent {
            host.calls.set(0);
            let decision = decide(rule, &gateway, &lines.as_slice().into(), &host).unwrap();
            decision.respond(&gateway, MANY, &host).unwrap();
            *calls = host.calls.get();
        }
        // The first request of a rule is sampled.
        spent[1]
    };
    let rule = rule_of(&[50, 50]);
    let plain = checked(&config::RuleConfig {
        rebalance: false,
        ..raw(&[50, 50], session())
    });
    let without = calls(&plain, &drawn_at("s", None), HIGHEST);
    assert_eq!(without, 2);
    assert_eq!(calls(&rule, &drawn_at("s", share(50)), HIGHEST), without);
    // To renew the token: the details of the code, the time, a nonce, and the headers for caches.
    let renewed = calls(&rule, &drawn_at("s", share(25)), HIGHEST);
    assert_eq!(renewed, without + 4);
    // A random number, and for one that is drawn the backend that the route selected.
    assert_eq!(calls(&rule, &drawn_at("s", share(75)), HIGHEST), renewed + 1);
    assert_eq!(calls(&rule, &drawn_at("s", share(75)), LOWEST), renewed + 2);
}

/// Evenly distributed numbers, by `SplitMix64` (Steele and others, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The key of the backend that the route selects by these weights.
    fn pick(&mut self, weights: &[u32]) -> &'static str {
        let mut left = self.next() % weights.iter().map(|weight| u64::from(*weight)).sum::<u64>();
        let picked = KEYS.iter().zip(weights).find(|(_, weight)| {
            let weight = u64::from(**weight);
            left.checked_sub(weight).map(|rest| left = rest).is_none()
        });
        picked.unwrap().0
    }
}

/// Sends a request of each session by these weights, and replaces the tokens of those that get one. Returns how many sessions have
/// changed their backends, from each to each.
fn step(tokens: &mut [Option<Token>], weights: &[u32], numbers: &mut Numbers) -> [[usize; 3]; 3] {
    let (rule, gateway) = (rule_of(weights), gateway());
    let position = |token: &Token| {
        KEYS.iter()
            .position(|key| token.backend.starts_with(key.as_bytes()))
            .unwrap()
    };
    let mut moved = [[0; 3]; 3];
    for token in tokens {
        let picked = numbers.pick(weights);
        let decision = match &token {
            Some(token) => ask(&rule, token, picked, numbers.next()).decided(&gateway),
            None => request(&rule, &[], &[], NOW),
        };
        let reached = decision.backend().map_or(picked, |backend| KEYS[backend]);
        if let Some((_, after)) = token_after(&decision, reached, decision.requested_host().unwrap_or(OTHER)) {
            if let Some(before) = &token {
                moved[position(before)][position(&after)] += 1;
            }
            *token = Some(after);
        }
    }
    moved
}

fn part_on(tokens: &[Option<Token>], key: &str) -> f64 {
    let on = |token: &&Token| token.backend.starts_with(key.as_bytes());
    let count = |number: usize| f64::from(u32::try_from(number).unwrap());
    count(tokens.iter().flatten().filter(on).count()) / count(tokens.len())
}

#[test]
#[wasm_bindgen_test]
fn sessions_follow_the_weights_up_down_and_through_the_next_release() {
    let mut numbers = Numbers(7);
    let mut tokens = vec![None; 10_000];
    let steps = [0_u32, 25, 50, 80, 50, 10, 60, 100];
    let mut before = 0;
    for canary in steps {
        let weights = [100 - canary, canary];
        let moved = step(&mut tokens, &weights, &mut numbers);
        let part = f64::from(canary) / 100.0;
        let (found, deviation) = (part_on(&tokens, "c"), (part * (1.0 - part) / 10_000.0).sqrt());
        // At 100% the sessions of stable stay: its weight is 0.
        if canary < 100 {
            assert!((found - part).abs() <= 3.0 * deviation, "{canary}: {found}");
        }
        // No session leaves a backend whose share has risen.
        let [from_stable, from_canary, _] = moved;
        if canary >= before {
            assert_eq!(from_canary[0], 0, "{canary}");
        } else {
            assert_eq!(from_stable[1], 0, "{canary}");
        }
        // The next requests change nothing and cost no token.
        let mut some: Vec<_> = tokens.iter().take(100).cloned().collect();
        assert_eq!(step(&mut some, &weights, &mut numbers), [[0; 3]; 3]);
        assert_eq!(tokens.get(..100), Some(some.as_slice()));
        before = canary;
    }
}

#[test]
#[wasm_bindgen_test]
fn of_three_backends_the_one_that_loses_share_keeps_what_it_should() {
    let mut numbers = Numbers(11);
    let mut tokens = vec![None; 5_000];
    step(&mut tokens, &[60, 20, 20], &mut numbers);
    step(&mut tokens, &[30, 50, 20], &mut numbers);
    let found = KEYS.map(|key| part_on(&tokens, key));
    // Those that leave are drawn by the weights, so the third backend gets some of them: 30% * 20 / 70.
    for (found, expected) in found
        .into_iter()
        .zip([0.3, 0.2 + 0.3 * 5.0 / 7.0, 0.2 + 0.3 * 2.0 / 7.0])
    {
        let deviation = (expected * (1.0 - expected) / 5_000.0_f64).sqrt();
        assert!((found - expected).abs() <= 4.0 * deviation, "{found} {expected}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A session leaves only a backend that has lost share and still has a weight, and only for the one that the route selects.
        /// The request after that costs no token, whatever it is drawn to.
        #[test]
        fn a_session_leaves_only_by_a_draw(
            weights in proptest::collection::vec(0..4_u32, 1..4),
            before in proptest::option::of(any::<u16>()),
            (own, picked) in (0..3_usize, 0..3_usize),
            (random, again) in (prop_oneof![Just(LOWEST), any::<u64>()], any::<u64>()),
            bound_to_host in any::<bool>(),
        ) {
            let (own, picked) = (own % weights.len(), picked % weights.len());
            let rule = checked(&raw(&weights, if bound_to_host { session() } else { sticky() }));
            let before = before.map(|before| Share::from_be_bytes(before.to_be_bytes()));
            let total = weights.iter().map(|weight| u64::from(*weight)).sum();
            let now = Share::new(weights[own], total);
            let decision = ask(&rule, &drawn_at(KEYS[own], before), KEYS[picked], random).decided(&gateway());
            let leaves = decision.session_outcome() == SessionOutcome::Rebalanced;
            if leaves {
                prop_assert!(before.is_some_and(|before| now < before) && weights[own] > 0 && picked != own);
            } else {
                prop_assert_eq!(decision.backend(), Some(own));
                let due = before != Some(now);
                let expected = if due { SessionOutcome::NeedsRefresh } else { SessionOutcome::Resumed };
                prop_assert_eq!(decision.session_outcome(), expected);
            }
            let reached = if leaves { picked } else { own };
            let address = if leaves { OTHER } else { HOST };
            let Some((_, after)) = token_after(&decision, KEYS[reached], address) else {
                prop_assert_eq!(before, Some(now));
                return Ok(());
            };
            prop_assert_eq!(after.share, rule.backends()[reached].share());
            let next = ask(&rule, &after, KEYS[own], again).decided(&gateway());
            prop_assert_eq!((next.backend(), next.session_outcome()), (Some(reached), SessionOutcome::Resumed));
            prop_assert_eq!(token_after(&next, KEYS[reached], next.requested_host().unwrap_or(HOST)), None);
        }
    }
}
