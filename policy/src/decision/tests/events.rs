//! The events that metrics count by rule.

use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    failover::FEW,
    responses::{MANY, from, local, split},
    *,
};
use crate::{decision::Event, internal_headers::HOST_HEADER};

/// The events of a request and of its response.
fn events(decision: &Decision, gateway: &Gateway, response: &MemoryHost) -> Vec<Event> {
    // A response of Envoy's own has no header besides those that it adds.
    let count = if response.cluster_name.is_some() { MANY } else { FEW };
    let response = decision.respond(gateway, count, response).unwrap();
    decision.events().chain(response.events()).collect()
}

#[test]
#[wasm_bindgen_test]
fn a_session_that_goes_on_is_no_event() {
    let (rule, gateway) = (split(Some(session())), gateway());
    let token = visit_split(&rule, "a", NOW);
    for (at, outcome) in [
        (NOW + 1, SessionOutcome::Resumed),
        (NOW + 30, SessionOutcome::NeedsRefresh),
    ] {
        let back = again(&rule, &token, at);
        assert_eq!(back.session_outcome(), outcome);
        assert_eq!(events(&back, &gateway, &from("a", HOST, &[])), []);
    }
}

#[test]
#[wasm_bindgen_test]
fn sessions_begin_move_and_expire() {
    let (rule, gateway) = (split(Some(session())), gateway());
    let first = request(&rule, &[], &[], NOW);
    assert_eq!(events(&first, &gateway, &from("a", HOST, &[])), [Event::New]);

    let token = visit_split(&rule, "a", NOW);
    let elsewhere = from("a", OTHER, &[(HOST_HEADER, "x")]);
    assert_eq!(
        events(&again(&rule, &token, NOW + 1), &gateway, &elsewhere),
        [Event::Moved]
    );

    let idle = again(&rule, &token, NOW + 601);
    let expected = [Event::ExpiredIdle, Event::New];
    assert_eq!(events(&idle, &gateway, &from("a", HOST, &[])), expected);
    let absolute = again(&rule, &token, NOW + 3_600);
    let expected = [Event::ExpiredAbsolute, Event::New];
    assert_eq!(events(&absolute, &gateway, &from("a", HOST, &[])), expected);
}

#[test]
#[wasm_bindgen_test]
fn a_backend_that_is_gone_costs_one_request_and_then_sessions_fail_over() {
    let (rule, gateway) = (split(Some(session())), gateway());
    let token = visit_split(&rule, "a", NOW);
    let lines = carried(&rule, &[&token], &[]);
    let ask = |at: u64| {
        let host = MemoryHost {
            now: at,
            ..from("b", OTHER, &[(HOST_HEADER, "x")])
        };
        decide(&rule, &gateway, &lines.as_slice().into(), &host).unwrap()
    };
    assert_eq!(
        events(&ask(NOW), &gateway, &local("no_healthy_upstream")),
        [Event::BackendUnreachable]
    );
    let answer = from("b", OTHER, &[(HOST_HEADER, "x")]);
    assert_eq!(events(&ask(NOW), &gateway, &answer), [Event::Moved, Event::FailedOver]);
}

#[test]
#[wasm_bindgen_test]
fn objects_that_are_out_of_date_are_events() {
    let (rule, gateway) = (split(Some(session())), gateway());
    let first = request(&rule, &[], &[], NOW);
    let other = from("other", HOST, &[]);
    assert_eq!(events(&first, &gateway, &other), [Event::UnknownBackend]);

    let token = visit_split(&rule, "a", NOW);
    let missed = from("b", OTHER, &[(HOST_HEADER, "x")]);
    assert_eq!(
        events(&again(&rule, &token, NOW + 1), &gateway, &missed),
        [Event::SessionRouteMissed]
    );
}

#[test]
#[wasm_bindgen_test]
fn a_strict_session_whose_host_is_gone_is_lost() {
    let strict = config::SessionConfig {
        strict: true,
        ..session()
    };
    let (rule, gateway) = (rule(&[("a", 1)], Some(strict)), gateway());
    let back = again(&rule, &visit(&rule, HOST, NOW), NOW + 1);
    assert_eq!(events(&back, &gateway, &local("no_healthy_upstream")), [Event::Lost]);
}

/// The token of a session that began with a response of this backend.
fn visit_split(rule: &Rc<Rule>, backend: &str, at: u64) -> String {
    let first = request(rule, &[], &[], at);
    let position = rule.backend(format!("{backend}.shop:80").as_bytes());
    let pending = first.pending_token(position, Some(HOST), at).unwrap();
    token_of(rule, &pending, at)
}
