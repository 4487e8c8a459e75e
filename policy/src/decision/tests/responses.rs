//! What a decision makes of the response.

use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::internal_headers::HOST_HEADER;

/// More header lines than a response of Envoy's own has.
pub(super) const MANY: usize = 8;

/// A response of the backend with this key, from `host`.
pub(super) fn from(backend: &str, address: &[u8], lines: &[(&str, &str)]) -> MemoryHost {
    MemoryHost {
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
pub(super) fn local(details: &str) -> MemoryHost {
    MemoryHost {
        code_details: Some(details.into()),
        ..host(NOW)
    }
}

pub(super) fn split(session: Option<config::SessionConfig>) -> Rc<Rule> {
    rule(&[("a.shop:80", 1), ("b.shop:80", 1)], session)
}

fn respond(decision: &Decision, count: usize, host: &MemoryHost) -> (Vec<String>, Option<IssueReason>) {
    let gateway = gateway();
    let response = decision.respond(&gateway, count, host).unwrap();
    let names = response.changes.iter().map(|change| match change {
        Change::Add(name, value) if value.len() < 20 => {
            format!("{name}: {}", String::from_utf8_lossy(value))
        }
        Change::Add(name, _) => (*name).to_owned(),
        Change::SetField(field) => format!("{}: {}", field.name, String::from_utf8_lossy(&field.value)),
        other => panic!("{other:?}"),
    });
    (names.collect(), response.issued)
}

#[test]
#[wasm_bindgen_test]
fn a_first_response_carries_a_token_of_the_backend_and_host_that_answered() {
    let rule = split(Some(session()));
    let first = request(&rule, &[], &[], NOW);
    let gateway = gateway();
    let response = first.respond(&gateway, MANY, &from("b", HOST, &[])).unwrap();
    assert_eq!((response.issued, response.routed), (Some(IssueReason::New), Some(1)));
    assert!(!response.missed_session_route && !response.unknown_backend);
    let [Change::Add("set-cookie", cookie), Change::SetField(private)] = response.changes.as_slice() else {
        panic!("{:?}", response.changes);
    };
    assert_eq!(
        (&*private.name, &*private.value),
        ("cache-control", b"private".as_slice())
    );
    let cookie = str::from_utf8(cookie).unwrap();
    let token = cookie.strip_prefix("cart=").unwrap().split(';').next().unwrap();
    let back = again(&rule, token, NOW + 1);
    assert_eq!((back.backend(), back.requested_host()), (Some(1), Some(HOST)));
}

#[test]
#[wasm_bindgen_test]
fn a_response_that_no_cache_stores_is_not_marked_again() {
    let rule = split(Some(session()));
    let first = request(&rule, &[], &[], NOW);
    let private = from("a", HOST, &[("cache-control", "private, max-age=1")]);
    assert_eq!(respond(&first, MANY, &private).0, ["set-cookie"]);
    let public = from(
        "a",
        HOST,
        &[("cache-control", "public"), ("cdn-cache-control", "max-age=9")],
    );
    let marked = [
        "cache-control: public, private",
        "cdn-cache-control: max-age=9, private",
    ];
    assert_eq!(
        respond(&first, MANY, &public).0,
        [["set-cookie"].as_slice(), &marked].concat()
    );
    // Those who cache nothing that they should not can have it left out.
    let raw = config::CookieConfig {
        private_cache: false,
        ..config::CookieConfig::default()
    };
    let unmarked = split(Some(config::SessionConfig {
        cookie: raw,
        ..session()
    }));
    let first = request(&unmarked, &[], &[], NOW);
    assert_eq!(respond(&first, MANY, &public).0, ["set-cookie"]);
}

#[test]
#[wasm_bindgen_test]
fn a_response_with_a_session_header_is_marked_too() {
    let by_header = config::SessionConfig {
        name: "x-cart".to_owned(),
        transport: Transport::Header,
        ..session()
    };
    let first = request(&split(Some(by_header)), &[], &[], NOW);
    let public = from("a", HOST, &[("cache-control", "public")]);
    assert_eq!(
        respond(&first, MANY, &public).0,
        ["x-cart", "cache-control: public, private"]
    );
}

#[test]
#[wasm_bindgen_test]
fn a_strict_session_ends_when_its_host_is_gone() {
    let strict = |transport| config::SessionConfig {
        strict: true,
        transport,
        ..session()
    };
    for transport in [Transport::Cookie, Transport::Header] {
        let rule = split(Some(strict(transport)));
        let token = visit(&rule, HOST, NOW);
        let live = again(&rule, &token, NOW);
        let gateway = gateway();
        let response = live.respond(&gateway, 3, &local("no_healthy_upstream")).unwrap();
        assert_eq!(response.issued, Some(IssueReason::Ended));
        let [Change::Add(name, value), Change::SetField(private)] = response.changes.as_slice() else {
            panic!("{:?}", response.changes);
        };
        assert_eq!(
            *name,
            if transport == Transport::Cookie {
                "set-cookie"
            } else {
                "cart"
            }
        );
        assert_eq!(&*private.name, "cache-control");
        // It has the attributes of every other one, so that it takes the place of the cookie of the session.
        let (end, attributes) = str::from_utf8(value)
            .unwrap()
            .split_once(';')
            .unwrap_or((str::from_utf8(value).unwrap(), ""));
        if transport == Transport::Cookie {
            assert_eq!(attributes, " HttpOnly; SameSite=Lax; Path=/");
        }
        let end = end.strip_prefix("cart=").unwrap_or(end);
        // The next request begins a session, also where the token of before is still sent.
        for sent in [[end].as_slice(), &[end, &token], &[&token, end]] {
            let next = request(&rule, sent, &[], NOW + 1);
            assert_eq!(
                (next.session_outcome(), next.requested_host()),
                (SessionOutcome::New, None)
            );
            let pending = next.pending_token(Some(1), Some(OTHER), NOW + 1).unwrap();
            assert_eq!(pending.reason, IssueReason::New);
            let begun = token_of(&rule, &pending, NOW + 1);
            assert_eq!(
                request(&rule, &[&begun, end, &token], &[], NOW + 2).requested_host(),
                Some(OTHER)
            );
        }
    }
}

#[test]
#[wasm_bindgen_test]
fn nothing_else_ends_a_strict_session() {
    let strict = config::SessionConfig {
        strict: true,
        ..session()
    };
    let rule = split(Some(strict));
    let live = again(&rule, &visit(&rule, HOST, NOW), NOW);
    // A host that refuses or resets may be back, and what an upstream says of itself is no word of Envoy's.
    for details in [
        "upstream_reset_before_response_started{connection_failure}",
        "response_timeout",
        "via_upstream",
    ] {
        assert_eq!(respond(&live, 3, &local(details)), (vec![], None), "{details}");
    }
    // Without a session there is none to end, and one that is not strict goes on.
    let first = request(&rule, &[], &[], NOW);
    assert_eq!(respond(&first, 3, &local("no_healthy_upstream")), (vec![], None));
    let lax = split(Some(session()));
    let live = again(&lax, &visit(&lax, HOST, NOW), NOW);
    assert_eq!(respond(&live, 3, &local("no_healthy_upstream")), (vec![], None));
}

#[test]
#[wasm_bindgen_test]
fn a_live_session_costs_its_response_one_question() {
    let rule = rule(&[("a.shop:80", 1)], Some(session()));
    let live = again(&rule, &visit(&rule, HOST, NOW), NOW + 1);
    // A response from the host that was asked for does not name one. Whatever else Envoy would say is not asked.
    let silent = MemoryHost::default();
    assert_eq!(live.respond(&gateway(), MANY, &silent).unwrap(), Response::default());
}

#[test]
#[wasm_bindgen_test]
fn a_response_from_another_host_moves_the_session() {
    let rule = rule(&[("a.shop:80", 1)], Some(session()));
    let live = again(&rule, &visit(&rule, HOST, NOW), NOW);
    let moved = from("a", OTHER, &[(HOST_HEADER, "whatever an app says")]);
    assert_eq!(respond(&live, MANY, &moved).1, Some(IssueReason::Moved));
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
        let host = MemoryHost {
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
fn a_session_route_that_is_missed_is_counted_and_moves_nothing() {
    let rule = split(Some(session()));
    let live = again(&rule, &visit(&rule, HOST, NOW), NOW);
    let elsewhere = from("b", OTHER, &[(HOST_HEADER, "x")]);
    let gateway = gateway();
    let response = live.respond(&gateway, MANY, &elsewhere).unwrap();
    assert!(response.missed_session_route && response.changes.is_empty());
    assert_eq!(response.routed, None);
}

#[test]
#[wasm_bindgen_test]
fn a_cluster_that_is_no_backend_of_the_rule_is_counted_and_gets_no_token() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let first = request(&rule, &[], &[], NOW);
    let response = first.respond(&gateway, MANY, &from("z", HOST, &[])).unwrap();
    assert!(response.unknown_backend && response.changes.is_empty());
    assert_eq!((response.issued, response.routed), (None, None));
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
    assert_eq!((response.routed, response.issued), (Some(1), None));
    assert!(response.changes.is_empty());
}
