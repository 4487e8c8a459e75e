//! What a decision makes of the response.

use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::handover::HOST_HEADER;

/// More header lines than a response of Envoy's own has.
const MANY: usize = 8;

/// A response of the backend with this key, from `host`.
fn from(backend: &str, address: &[u8], lines: &[(&str, &str)]) -> Memory {
    Memory {
        cluster_name: Some(format!("outbound|80||{backend}.shop.svc.cluster.local").into_bytes()),
        upstream_address: Some(address.into()),
        response: lines
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect(),
        ..host(NOW)
    }
}

/// A response of Envoy's own.
fn local(details: &str) -> Memory {
    Memory {
        code_details: Some(details.into()),
        ..host(NOW)
    }
}

fn split(session: Option<config::Session>) -> Rc<Rule> {
    rule(&[("a.shop:80", 1), ("b.shop:80", 1)], session)
}

fn respond(decision: &Decision, count: usize, host: &Memory) -> (Vec<String>, Option<Issue>) {
    let gateway = gateway();
    let response = decision.respond(&gateway, count, host).unwrap();
    let names = response.changes.iter().map(|change| match change {
        Change::Add(name, value) if value.len() < 20 => {
            format!("{name}: {}", String::from_utf8_lossy(value))
        }
        Change::Add(name, _) => (*name).to_owned(),
        other => panic!("{other:?}"),
    });
    (names.collect(), response.issue)
}

#[test]
#[wasm_bindgen_test]
fn a_first_response_carries_a_token_of_the_backend_and_host_that_answered() {
    let rule = split(Some(session()));
    let first = request(&rule, &[], &[], NOW);
    let gateway = gateway();
    let response = first.respond(&gateway, MANY, &from("b", HOST, &[])).unwrap();
    assert_eq!((response.issue, response.chosen), (Some(Issue::New), Some(1)));
    assert!(!response.missed && !response.unknown_backend);
    let [Change::Add("set-cookie", cookie), Change::Add("cache-control", private)] = response.changes.as_slice() else {
        panic!("{:?}", response.changes);
    };
    assert_eq!(**private, *b"private");
    let cookie = str::from_utf8(cookie).unwrap();
    let token = cookie.strip_prefix("cart=").unwrap().split(';').next().unwrap();
    let back = again(&rule, token, NOW + 1);
    assert_eq!((back.backend(), back.asked_host()), (Some(1), Some(HOST)));
}

#[test]
#[wasm_bindgen_test]
fn a_response_that_no_cache_stores_is_not_marked_again() {
    let rule = split(Some(session()));
    let first = request(&rule, &[], &[], NOW);
    let private = from("a", HOST, &[("cache-control", "private, max-age=1")]);
    assert_eq!(respond(&first, MANY, &private).0, ["set-cookie"]);
    let public = from("a", HOST, &[("cache-control", "public")]);
    assert_eq!(
        respond(&first, MANY, &public).0,
        ["set-cookie", "cache-control: private"]
    );
}

#[test]
#[wasm_bindgen_test]
fn a_live_session_costs_its_response_one_question() {
    let rule = rule(&[("a.shop:80", 1)], Some(session()));
    let live = again(&rule, &visit(&rule, HOST, NOW), NOW + 1);
    // A response from the host that was asked for does not name one. Whatever else Envoy would say is not asked.
    let silent = Memory::default();
    assert_eq!(live.respond(&gateway(), MANY, &silent).unwrap(), Response::default());
}

#[test]
#[wasm_bindgen_test]
fn a_response_from_another_host_moves_the_session() {
    let rule = rule(&[("a.shop:80", 1)], Some(session()));
    let live = again(&rule, &visit(&rule, HOST, NOW), NOW);
    let moved = from("a", OTHER, &[(HOST_HEADER, "whatever an app says")]);
    assert_eq!(respond(&live, MANY, &moved).1, Some(Issue::Repinned));
    // The header alone is no news.
    let same = from("a", HOST, &[(HOST_HEADER, "whatever an app says")]);
    assert_eq!(respond(&live, MANY, &same), (vec![], None));
}

#[test]
#[wasm_bindgen_test]
fn a_response_of_envoys_own_carries_no_token() {
    let rule = split(Some(session()));
    let token = visit(&rule, HOST, NOW);
    for details in [
        "no_healthy_upstream",
        "direct_response",
        "upstream_reset_before_response_started{}",
        "",
    ] {
        let host = Memory {
            upstream_address: Some(HOST.into()),
            response: vec![(HOST_HEADER.to_owned(), b"x".into())],
            ..local(details)
        };
        for decision in [request(&rule, &[], &[], NOW), again(&rule, &token, NOW)] {
            assert_eq!(respond(&decision, 3, &host), (vec![], None), "{details}");
        }
    }
}

#[test]
#[wasm_bindgen_test]
fn a_session_route_that_leads_nowhere_is_remembered() {
    let rule = split(Some(session()));
    let live = again(&rule, &visit(&rule, HOST, NOW), NOW);
    let gateway = gateway();
    let response = live.respond(&gateway, 3, &local("direct_response")).unwrap();
    assert!(response.missed);
    assert!(gateway.outages.has(rule.position(), 0, NOW));
    // The same of a response to a request that left the choice to the route.
    let gateway = super::gateway();
    let first = request(&rule, &[], &[], NOW);
    let response = first.respond(&gateway, 3, &local("direct_response")).unwrap();
    assert!(!response.missed);
    assert!(!gateway.outages.has(rule.position(), 0, NOW));
}

#[test]
#[wasm_bindgen_test]
fn a_session_route_that_is_missed_is_counted_and_moves_nothing() {
    let rule = split(Some(session()));
    let live = again(&rule, &visit(&rule, HOST, NOW), NOW);
    let elsewhere = from("b", OTHER, &[(HOST_HEADER, "x")]);
    let gateway = gateway();
    let response = live.respond(&gateway, MANY, &elsewhere).unwrap();
    assert!(response.missed && response.changes.is_empty());
    assert_eq!(response.chosen, None);
}

#[test]
#[wasm_bindgen_test]
fn a_cluster_that_is_no_backend_of_the_rule_is_counted_and_gets_no_token() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let first = request(&rule, &[], &[], NOW);
    let response = first.respond(&gateway, MANY, &from("z", HOST, &[])).unwrap();
    assert!(response.unknown_backend && response.changes.is_empty());
    assert_eq!((response.issue, response.chosen), (None, None));
}

#[test]
#[wasm_bindgen_test]
fn without_keys_and_without_a_choice_nothing_is_asked_of_the_response() {
    let off = Gateway::default();
    let single = rule(&[("a.shop:80", 1)], Some(session()));
    assert!(!request_with(&single, &[], &[], &off, NOW).awaits_response());
    // A split counts which backend was chosen, keys or not.
    let split = split(Some(session()));
    let decision = request_with(&split, &[], &[], &off, NOW);
    assert!(decision.awaits_response());
    let response = decision.respond(&off, MANY, &from("b", HOST, &[])).unwrap();
    assert_eq!((response.chosen, response.issue), (Some(1), None));
    assert!(response.changes.is_empty());
}
