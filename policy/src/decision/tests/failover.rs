//! Where requests go whose backend cannot be reached, and how that is found out.

use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    responses::{MANY, from, local, split},
    *,
};
use crate::reachability::{Reachability, UnreachableCause};

/// A response of Envoy's own has so many header lines.
pub(super) const FEW: usize = 3;

/// A request at a time at which the weights of the route choose the backend with this key.
fn ask(rule: &Rc<Rule>, gateway: &Gateway, tokens: &[&str], picked: &str, at: u64) -> Decision {
    let lines = carried(rule, tokens, &[]);
    decide(
        rule,
        gateway,
        &lines.as_slice().into(),
        &at_time(from(picked, HOST, &[]), at),
    )
    .unwrap()
}

fn at_time(host: MemoryHost, now: u64) -> MemoryHost {
    MemoryHost { now, ..host }
}

/// The token of a session on backend `a`, on `HOST`.
fn on_a(rule: &Rc<Rule>) -> String {
    visit(rule, HOST, NOW)
}

/// A request for the session route of `a` that Envoy answers itself. What the route would have chosen is left open.
fn fail(rule: &Rc<Rule>, gateway: &Gateway, token: &str, details: &str, at: u64) {
    let decision = ask(rule, gateway, &[token], "unknown", at);
    assert_eq!(decision.requested_backend(), Some(0));
    let response = decision.respond(gateway, FEW, &at_time(local(details), at)).unwrap();
    assert!(response.unreachable.is_some());
}

fn failed_over(response: &Response) -> bool {
    response.left_backend == Some(SessionOutcome::BackendUnreachable)
}

/// What the response of `backend` from a host makes of a decision.
fn answer(
    decision: &Decision,
    gateway: &Gateway,
    backend: &str,
    address: &[u8],
    at: u64,
) -> (Option<IssueReason>, bool) {
    // The bound_to names each host that was not asked for.
    let pinned = decision.requested_host() != Some(address);
    let lines: &[(&str, &str)] = if pinned {
        &[(crate::internal_headers::HOST_HEADER, "x")]
    } else {
        &[]
    };
    let host = at_time(from(backend, address, lines), at);
    let response = decision.respond(gateway, MANY, &host).unwrap();
    (response.issued, failed_over(&response))
}

#[test]
#[wasm_bindgen_test]
fn a_session_whose_backend_has_no_host_follows_the_weights_and_stays_there() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    fail(&rule, &gateway, &token, "no_healthy_upstream", NOW);
    let moved = ask(&rule, &gateway, &[&token], "b", NOW);
    assert_eq!(
        (moved.session_outcome(), moved.reason()),
        (SessionOutcome::BackendUnreachable, Reason::Split)
    );
    assert_eq!((moved.session_key(), moved.requested_host()), (None, None));
    let host = from("b", OTHER, &[]);
    let response = moved.respond(&gateway, MANY, &host).unwrap();
    assert_eq!(
        (response.issued, failed_over(&response)),
        (Some(IssueReason::Moved), true)
    );
    assert_eq!(response.routed, Some(1));
    assert!(!response.missed_session_route);

    // When the backend is back, the session is bound to the other one.
    let pending = moved.pending_token(Some(1), Some(OTHER), NOW).unwrap();
    let there = token_of(&rule, &pending, NOW);
    gateway.reachability.record_response(0, 0, false);
    let back = ask(&rule, &gateway, &[&there], "a", NOW + 1);
    assert_eq!(
        (back.session_outcome(), back.backend()),
        (SessionOutcome::Resumed, Some(1))
    );
    assert_eq!(back.requested_host(), Some(OTHER));
}

#[test]
#[wasm_bindgen_test]
fn a_session_that_did_not_come_meanwhile_keeps_its_backend() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    fail(&rule, &gateway, &token, "no_healthy_upstream", NOW);
    // The route has sent a new client there, who was answered.
    let new = ask(&rule, &gateway, &[], "a", NOW);
    assert_eq!(answer(&new, &gateway, "a", OTHER, NOW), (Some(IssueReason::New), false));
    let back = ask(&rule, &gateway, &[&token], "b", NOW);
    assert_eq!(
        (back.session_outcome(), back.backend()),
        (SessionOutcome::Resumed, Some(0))
    );
}

#[test]
#[wasm_bindgen_test]
fn after_a_pause_one_request_finds_out() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    fail(&rule, &gateway, &token, "no_healthy_upstream", NOW);
    let probe = ask(&rule, &gateway, &[&token], "b", NOW + 2);
    assert_eq!(
        (probe.session_outcome(), probe.backend()),
        (SessionOutcome::Resumed, Some(0))
    );
    let other = ask(&rule, &gateway, &[&token], "b", NOW + 2);
    assert_eq!(
        (other.session_outcome(), other.backend()),
        (SessionOutcome::BackendUnreachable, None)
    );
    // It is looked at although a response of a live session is not.
    assert_eq!(answer(&probe, &gateway, "a", HOST, NOW + 2), (None, false));
    let back = ask(&rule, &gateway, &[&token], "b", NOW + 2);
    assert_eq!(back.backend(), Some(0));

    fail(&rule, &gateway, &token, "no_healthy_upstream", NOW + 3);
    fail(&rule, &gateway, &token, "no_healthy_upstream", NOW + 5);
    assert_eq!(
        gateway.reachability.reachability(0, 0, NOW + 7),
        Reachability::Unreachable(UnreachableCause::NoHost)
    );
    assert_eq!(gateway.reachability.reachability(0, 0, NOW + 8), Reachability::Probe);
}

#[test]
#[wasm_bindgen_test]
fn where_the_weights_choose_a_backend_without_hosts_too_only_what_they_chose_lately_takes_its_place() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    fail(&rule, &gateway, &token, "no_healthy_upstream", NOW);
    let stuck = ask(&rule, &gateway, &[&token], "a", NOW);
    assert_eq!((stuck.backend(), stuck.reason()), (None, Reason::Split));

    // The worker has seen that the route chooses b.
    let new = ask(&rule, &gateway, &[], "b", NOW);
    assert_eq!(answer(&new, &gateway, "b", OTHER, NOW), (Some(IssueReason::New), false));
    let moved = ask(&rule, &gateway, &[&token], "a", NOW + 1);
    assert_eq!((moved.backend(), moved.reason()), (Some(1), Reason::Failover));
    assert_eq!(moved.session_key(), Some("HTTPRoute/shop/store#0/b.shop:80"));
    assert_eq!(
        answer(&moved, &gateway, "b", OTHER, NOW + 1),
        (Some(IssueReason::Moved), true)
    );

    // That was long ago: b may have no weight any more.
    let late = NOW + 100;
    gateway
        .reachability
        .record_failure(0, 0, UnreachableCause::NoHost, late);
    let stuck = ask(&rule, &gateway, &[&token], "a", late);
    assert_eq!((stuck.backend(), stuck.reason()), (None, Reason::Split));
}

#[test]
#[wasm_bindgen_test]
fn requests_that_fail_over_tell_each_other_what_the_route_chooses() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    fail(&rule, &gateway, &token, "no_healthy_upstream", NOW);
    assert_eq!(ask(&rule, &gateway, &[&token], "a", NOW).backend(), None);
    assert_eq!(ask(&rule, &gateway, &[&token], "b", NOW).backend(), None);
    assert_eq!(ask(&rule, &gateway, &[&token], "a", NOW).backend(), Some(1));
}

#[test]
#[wasm_bindgen_test]
fn one_live_session_a_second_tells_what_the_route_chooses() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    for (at, picked, chosen) in [
        (NOW, "a", [true, false]),
        (NOW, "b", [true, false]),
        (NOW + 1, "b", [true, true]),
    ] {
        let live = ask(&rule, &gateway, &[&token], picked, at);
        assert_eq!(live.backend(), Some(0));
        assert_eq!([0, 1].map(|backend| gateway.observed.is_recent(0, backend, at)), chosen);
    }
}

#[test]
#[wasm_bindgen_test]
fn an_answer_of_envoys_own_with_many_headers_is_found_within_a_second_and_then_at_once() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    let respond = |at| {
        let live = ask(&rule, &gateway, &[&token], "b", at);
        let response = live.respond(&gateway, MANY, &at_time(local("no_healthy_upstream"), at));
        response.unwrap().unreachable.is_some()
    };
    // The look of this second is spent.
    assert_eq!(ask(&rule, &gateway, &[&token], "b", NOW).backend(), Some(0));
    assert!(!respond(NOW));
    assert!(respond(NOW + 1));
    gateway.reachability.record_response(0, 0, false);
    assert!(respond(NOW + 1));
}

#[test]
#[wasm_bindgen_test]
fn an_answer_of_envoys_own_to_grpc_has_a_header_more() {
    let rule = split(Some(session()));
    let token = on_a(&rule);
    for (content_type, found) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
        ("application/json", false),
    ] {
        let gateway = gateway();
        let lines = carried(&rule, &[&token], &[("content-type", content_type)]);
        let headers = lines.as_slice().into();
        // The look of this second is spent.
        decide(&rule, &gateway, &headers, &host(NOW)).unwrap();
        let live = decide(&rule, &gateway, &headers, &host(NOW)).unwrap();
        let response = live.respond(&gateway, FEW + 1, &local("no_healthy_upstream")).unwrap();
        assert_eq!(response.unreachable.is_some(), found, "{content_type}");
    }
}

#[test]
#[wasm_bindgen_test]
fn the_end_of_a_strict_session_closes_its_backend_to_no_other() {
    let strict = config::SessionConfig {
        strict: true,
        ..session()
    };
    let rule = split(Some(strict));
    let gateway = gateway();
    let token = on_a(&rule);
    let live = ask(&rule, &gateway, &[&token], "b", NOW);
    let response = live.respond(&gateway, FEW, &local("no_healthy_upstream")).unwrap();
    assert_eq!(
        (response.issued, response.unreachable),
        (Some(IssueReason::Ended), None)
    );
    let again = ask(&rule, &gateway, &[&token], "b", NOW);
    assert_eq!(
        (again.session_outcome(), again.backend()),
        (SessionOutcome::Resumed, Some(0))
    );
    assert_eq!(again.requested_host(), Some(HOST));
    // Where the session route leads nowhere, that is so for all of them.
    fail(&rule, &gateway, &token, "direct_response", NOW);
    assert_eq!(
        ask(&rule, &gateway, &[&token], "b", NOW).session_outcome(),
        SessionOutcome::BackendUnreachable
    );
}

#[test]
#[wasm_bindgen_test]
fn a_rule_with_one_backend_has_nowhere_else_to_go() {
    let rule = rule(&[("a.shop:80", 1)], Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    for _ in 0..3 {
        let live = ask(&rule, &gateway, &[&token], "a", NOW);
        assert_eq!(
            (live.session_outcome(), live.requested_host()),
            (SessionOutcome::Resumed, Some(HOST))
        );
        let response = live.respond(&gateway, FEW, &local("no_healthy_upstream")).unwrap();
        assert_eq!(response, Response::default());
    }
}

#[test]
#[wasm_bindgen_test]
fn only_the_answer_to_a_request_for_a_session_route_is_about_its_backend() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let first = ask(&rule, &gateway, &[], "a", NOW);
    for details in ["no_healthy_upstream", "direct_response"] {
        assert_eq!(
            first.respond(&gateway, FEW, &local(details)).unwrap(),
            Response::default()
        );
    }
    assert_eq!(gateway.reachability.reachability(0, 0, NOW), Reachability::Reachable);
}

#[test]
#[wasm_bindgen_test]
fn a_session_route_that_leads_nowhere_is_counted_as_missed_and_a_backend_without_hosts_is_not() {
    let rule = split(Some(session()));
    let token = on_a(&rule);
    for (details, missed) in [
        ("direct_response", true),
        ("cluster_not_found", true),
        ("route_not_found", true),
        ("no_healthy_upstream", false),
    ] {
        let gateway = gateway();
        let live = ask(&rule, &gateway, &[&token], "b", NOW);
        let response = live.respond(&gateway, FEW, &local(details)).unwrap();
        assert_eq!(
            (response.missed_session_route, response.unreachable),
            (missed, UnreachableCause::from_code_details(details.as_bytes())),
            "{details}"
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn while_no_session_route_can_be_reached_a_session_gets_no_token_for_each_request() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    fail(&rule, &gateway, &token, "route_not_found", NOW);
    let moved = ask(&rule, &gateway, &[&token], "b", NOW);
    assert_eq!(
        answer(&moved, &gateway, "b", OTHER, NOW),
        (Some(IssueReason::Moved), true)
    );
    gateway
        .reachability
        .record_failure(0, 1, UnreachableCause::NoRoute, NOW);
    for (backend, host) in [("a", OTHER), ("b", OTHER), ("a", HOST)] {
        let by_weight = ask(&rule, &gateway, &[&token], backend, NOW);
        assert_eq!(
            (by_weight.session_outcome(), by_weight.backend()),
            (SessionOutcome::BackendUnreachable, None)
        );
        assert_eq!(
            answer(&by_weight, &gateway, backend, host, NOW),
            (None, false),
            "{backend}"
        );
    }
    // An answer that came by weight says nothing of the session route.
    assert_eq!(
        gateway.reachability.reachability(0, 0, NOW),
        Reachability::Unreachable(UnreachableCause::NoRoute)
    );
    // It is still kept from idling out.
    gateway
        .reachability
        .record_failure(0, 0, UnreachableCause::NoRoute, NOW + 30);
    gateway
        .reachability
        .record_failure(0, 1, UnreachableCause::NoRoute, NOW + 30);
    let renewed = ask(&rule, &gateway, &[&token], "b", NOW + 30);
    assert_eq!(
        answer(&renewed, &gateway, "b", OTHER, NOW + 30),
        (Some(IssueReason::Refreshed), false)
    );
}

#[test]
#[wasm_bindgen_test]
fn a_session_whose_hosts_are_back_by_the_choice_of_the_route_stays_on_its_backend() {
    let rule = split(Some(session()));
    let gateway = gateway();
    let token = on_a(&rule);
    fail(&rule, &gateway, &token, "no_healthy_upstream", NOW);
    let back = ask(&rule, &gateway, &[&token], "a", NOW);
    assert_eq!(
        answer(&back, &gateway, "a", OTHER, NOW),
        (Some(IssueReason::Moved), false)
    );
    assert_eq!(gateway.reachability.reachability(0, 0, NOW), Reachability::Reachable);
}

#[test]
#[wasm_bindgen_test]
fn a_matching_client_goes_to_its_session_or_by_weight_while_the_canary_cannot_be_reached() {
    let rule = canary_rule(config::Override::Always, Some(session()));
    let gateway = gateway();
    gateway.reachability.record_failure(0, 1, UnreachableCause::NoHost, NOW);
    let without = request_with(&rule, &[], &MATCHING, &gateway, NOW);
    assert_eq!((without.backend(), without.reason()), (None, Reason::Split));
    let token = on_a(&rule);
    let with = request_with(&rule, &[&token], &MATCHING, &gateway, NOW);
    assert_eq!((with.backend(), with.reason()), (Some(0), Reason::Session));
    assert_eq!(
        (with.session_outcome(), with.requested_host()),
        (SessionOutcome::Resumed, Some(HOST))
    );
}

#[test]
#[wasm_bindgen_test]
fn a_client_that_is_placed_by_who_it_is_goes_to_the_same_other_backend_each_time() {
    let canary = config::CanaryConfig {
        hash_on: Some(config::SourceConfig::Header("user".to_owned())),
        ..config::CanaryConfig::default()
    };
    let raw = raw_rule(&[("a.shop:80", 1), ("b.shop:80", 1), ("c.shop:80", 1)], None);
    let rule = with_canary(raw, canary, 0);
    let gateway = gateway();
    let place = |user: &str| {
        let decision = request_with(&rule, &[], &[("user", user)], &gateway, NOW);
        (decision.backend().unwrap(), decision.reason())
    };
    let users: Vec<String> = (0..60).map(|number| format!("user-{number}")).collect();
    let before: Vec<_> = users.iter().map(|user| place(user)).collect();
    gateway.reachability.record_failure(0, 0, UnreachableCause::NoHost, NOW);
    let mut of_a = [0; 3];
    for (user, (backend, _)) in users.iter().zip(before) {
        let (now, reason) = place(user);
        assert_eq!(reason, Reason::Hash);
        assert!(
            now != 0 && (backend == 0 || now == backend),
            "{user} is moved from {backend} to {now}"
        );
        of_a[now] += u32::from(backend == 0);
    }
    assert!(of_a[1] > 0 && of_a[2] > 0, "{of_a:?}");
}
