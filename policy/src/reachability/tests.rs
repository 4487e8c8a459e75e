use wasm_bindgen_test::wasm_bindgen_test;

use super::*;

const NOW: u64 = 1_700_000_000;

#[test]
#[wasm_bindgen_test]
fn only_answers_about_hosts_and_routes_are_outages() {
    assert_eq!(
        UnreachableCause::from_code_details(b"no_healthy_upstream"),
        Some(UnreachableCause::NoHost)
    );
    for details in ["direct_response", "cluster_not_found", "route_not_found"] {
        assert_eq!(
            UnreachableCause::from_code_details(details.as_bytes()),
            Some(UnreachableCause::NoRoute),
            "{details}"
        );
    }
    for details in [
        "via_upstream",
        "response_timeout",
        "upstream_reset_before_response_started{connection_failure}",
        "direct_response_",
        "",
    ] {
        assert_eq!(
            UnreachableCause::from_code_details(details.as_bytes()),
            None,
            "{details}"
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn an_outage_concerns_one_backend_of_one_rule_and_after_a_pause_one_request_finds_out() {
    let outages = ReachabilityTracker::default();
    outages.record_failure(3, 1, UnreachableCause::NoHost, NOW);
    let end = NOW + FIRST_PAUSE;
    assert_eq!(
        outages.reachability(3, 1, end),
        Reachability::Unreachable(UnreachableCause::NoHost)
    );
    assert_eq!(outages.reachability(3, 1, end + 1), Reachability::Probe);
    assert_eq!(outages.reachability(3, 0, NOW), Reachability::Reachable);
    assert_eq!(outages.reachability(2, 1, NOW), Reachability::Reachable);

    outages.start_probe(3, 1, end + 1);
    assert_eq!(
        outages.reachability(3, 1, end + 1),
        Reachability::Unreachable(UnreachableCause::NoHost)
    );
    // It has found nothing for a while, so another one may try.
    assert_eq!(
        outages.reachability(3, 1, end + 1 + FIRST_PAUSE),
        Reachability::Unreachable(UnreachableCause::NoHost)
    );
    assert_eq!(outages.reachability(3, 1, end + 2 + FIRST_PAUSE), Reachability::Probe);
    outages.record_response(3, 1, true);
    assert_eq!(outages.reachability(3, 1, end + 1), Reachability::Reachable);
}

#[test]
#[wasm_bindgen_test]
fn hosts_are_back_when_they_answer_anything_and_a_session_route_when_it_leads_there() {
    let outages = ReachabilityTracker::default();
    for (cause, by_session_route, ends) in [
        (UnreachableCause::NoHost, false, true),
        (UnreachableCause::NoHost, true, true),
        (UnreachableCause::NoRoute, false, false),
        (UnreachableCause::NoRoute, true, true),
    ] {
        outages.record_failure(0, 0, cause, NOW);
        outages.record_response(0, 1, by_session_route);
        assert_eq!(outages.reachability(0, 0, NOW), Reachability::Unreachable(cause));
        outages.record_response(0, 0, by_session_route);
        assert_eq!(
            outages.reachability(0, 0, NOW) == Reachability::Reachable,
            ends,
            "{cause:?} {by_session_route}"
        );
        outages.record_response(0, 0, true);
    }
}

#[test]
#[wasm_bindgen_test]
fn a_pause_ends_where_the_clock_is_set_back() {
    let outages = ReachabilityTracker::default();
    outages.record_failure(0, 0, UnreachableCause::NoHost, NOW);
    assert_eq!(outages.reachability(0, 0, NOW - 3_600), Reachability::Probe);
    outages.record_failure(0, 0, UnreachableCause::NoHost, NOW - 3_600);
    assert_eq!(
        outages.reachability(0, 0, NOW - 3_600),
        Reachability::Unreachable(UnreachableCause::NoHost)
    );
    assert_eq!(outages.reachability(0, 0, NOW), Reachability::Reachable);
}

#[test]
#[wasm_bindgen_test]
fn pauses_grow_up_to_a_limit_and_start_over_after_a_quiet_time() {
    for (cause, expected) in [
        (UnreachableCause::NoHost, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        (UnreachableCause::NoRoute, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]),
    ] {
        let outages = ReachabilityTracker::default();
        let mut now = NOW;
        let mut end = now;
        let pauses = expected.map(|_| {
            outages.record_failure(0, 0, cause, now);
            let closed = |at: &u64| matches!(outages.reachability(0, 0, *at), Reachability::Unreachable(_));
            end = (now..now + 400).find(|at| !closed(at)).unwrap();
            let pause = end - now - 1;
            outages.start_probe(0, 0, end);
            now = end;
            pause
        });
        assert_eq!(pauses, expected, "{cause:?}");
        let quiet = end + FIRST_PAUSE + cause.longest_pause() + 1;
        assert_eq!(outages.reachability(0, 0, quiet - 1), Reachability::Probe);
        assert_eq!(outages.reachability(0, 0, quiet), Reachability::Reachable);
        outages.record_failure(0, 0, cause, quiet);
        assert_eq!(outages.reachability(0, 0, quiet + FIRST_PAUSE + 1), Reachability::Probe);
    }
}

#[test]
#[wasm_bindgen_test]
fn many_requests_that_fail_at_once_make_one_pause() {
    let outages = ReachabilityTracker::default();
    for _ in 0..50 {
        outages.record_failure(0, 0, UnreachableCause::NoHost, NOW);
    }
    let after = NOW + FIRST_PAUSE + 1;
    assert_eq!(outages.reachability(0, 0, after), Reachability::Probe);
    outages.start_probe(0, 0, after);
    for _ in 0..50 {
        outages.record_failure(0, 0, UnreachableCause::NoHost, after);
    }
    assert_eq!(
        outages.reachability(0, 0, after + 2),
        Reachability::Unreachable(UnreachableCause::NoHost)
    );
    assert_eq!(outages.reachability(0, 0, after + 3), Reachability::Probe);
}

#[test]
#[wasm_bindgen_test]
fn a_detour_leads_only_to_backends_that_the_route_chooses_itself() {
    let (outages, observed) = (ReachabilityTracker::default(), ObservedBackends::default());
    let detour = |picked| outages.alternative(0, picked, &observed, NOW);
    observed.record(0, 1, NOW);
    assert_eq!(detour(Some(0)), None, "what the route picks can be reached");
    outages.record_failure(0, 0, UnreachableCause::NoHost, NOW);
    assert_eq!(detour(Some(0)), Some(1));
    assert_eq!(detour(Some(1)), None, "the route picks another one by itself");
    assert_eq!(detour(None), None, "the route leads to no backend of the rule");
    assert_eq!(outages.alternative(1, Some(0), &observed, NOW), None);
    observed.record(0, 2, NOW);
    assert_eq!(detour(Some(0)), Some(2));
    outages.record_failure(0, 2, UnreachableCause::NoRoute, NOW);
    assert_eq!(detour(Some(0)), Some(1));
    outages.record_failure(0, 1, UnreachableCause::NoHost, NOW);
    assert_eq!(detour(Some(0)), None);
    // What may be probed is for the sessions of that backend.
    assert_eq!(outages.alternative(0, Some(0), &observed, NOW + 2), None);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However often requests come, and however many at once, one fails; then none until its pause is over, which is twice
        /// as long as the one before unless that was long ago.
        #[test]
        fn one_request_for_each_pause_fails(
            steps in proptest::collection::vec(0..40_u64, 1..200), at_once in 1..5_usize, no_host in any::<bool>()
        ) {
            let cause = if no_host { UnreachableCause::NoHost } else { UnreachableCause::NoRoute };
            let outages = ReachabilityTracker::default();
            let mut now = NOW;
            let mut last: Option<(u64, u64)> = None;
            for step in steps {
                now += step;
                for _ in 0..at_once {
                    match outages.reachability(0, 0, now) {
                        Reachability::Reachable => {}
                        Reachability::Probe => outages.start_probe(0, 0, now),
                        Reachability::Unreachable(_) => continue,
                    }
                    outages.record_failure(0, 0, cause, now);
                    let pause = match last {
                        Some((at, pause)) if now <= at + pause + cause.longest_pause() => {
                            prop_assert!(now > at + pause, "{at} {pause} {now}");
                            (pause * 2).min(cause.longest_pause())
                        }
                        _ => FIRST_PAUSE,
                    };
                    last = Some((now, pause));
                }
            }
        }

        /// While a probe is out, no other request is sent; and a detour never leads to a backend that the route has not observed.
        #[test]
        fn a_detour_is_open_and_observed(
            events in proptest::collection::vec((0..4_u8, 0..3_usize, 0..5_u64), 0..60), picked in 0..3_usize
        ) {
            let (outages, observed) = (ReachabilityTracker::default(), ObservedBackends::default());
            let mut now = NOW;
            for (kind, backend, step) in events {
                now += step;
                match kind {
                    0 => outages.record_failure(0, backend, UnreachableCause::NoHost, now),
                    1 => outages.record_failure(0, backend, UnreachableCause::NoRoute, now),
                    2 => outages.record_response(0, backend, step % 2 == 0),
                    _ => observed.record(0, backend, now),
                }
                if outages.reachability(0, backend, now) == Reachability::Probe {
                    outages.start_probe(0, backend, now);
                    prop_assert!(matches!(outages.reachability(0, backend, now), Reachability::Unreachable(_)));
                }
            }
            if let Some(detour) = outages.alternative(0, Some(picked), &observed, now) {
                prop_assert!(matches!(outages.reachability(0, picked, now), Reachability::Unreachable(_)));
                prop_assert_eq!(outages.reachability(0, detour, now), Reachability::Reachable);
                prop_assert!(observed.is_recent(0, detour, now));
            }
        }
    }
}
