use wasm_bindgen_test::wasm_bindgen_test;

use super::*;

const NOW: u64 = 1_700_000_000;

#[test]
#[wasm_bindgen_test]
fn only_answers_about_hosts_and_routes_are_outages() {
    assert_eq!(Cause::of(b"no_healthy_upstream"), Some(Cause::NoHost));
    for details in ["direct_response", "cluster_not_found", "route_not_found"] {
        assert_eq!(Cause::of(details.as_bytes()), Some(Cause::NoRoute), "{details}");
    }
    for details in [
        "via_upstream",
        "response_timeout",
        "upstream_reset_before_response_started{connection_failure}",
        "direct_response_",
        "",
    ] {
        assert_eq!(Cause::of(details.as_bytes()), None, "{details}");
    }
}

#[test]
#[wasm_bindgen_test]
fn an_outage_concerns_one_backend_of_one_rule_and_after_a_pause_one_request_finds_out() {
    let outages = Outages::default();
    outages.fail(3, 1, Cause::NoHost, NOW);
    let end = NOW + FIRST_PAUSE;
    assert_eq!(outages.reach(3, 1, end), Reach::Closed(Cause::NoHost));
    assert_eq!(outages.reach(3, 1, end + 1), Reach::Probe);
    assert_eq!(outages.reach(3, 0, NOW), Reach::Open);
    assert_eq!(outages.reach(2, 1, NOW), Reach::Open);

    outages.probe(3, 1, end + 1);
    assert_eq!(outages.reach(3, 1, end + 1), Reach::Closed(Cause::NoHost));
    // It has found nothing for a while, so another one may try.
    assert_eq!(outages.reach(3, 1, end + 1 + FIRST_PAUSE), Reach::Closed(Cause::NoHost));
    assert_eq!(outages.reach(3, 1, end + 2 + FIRST_PAUSE), Reach::Probe);
    outages.answered(3, 1, true);
    assert_eq!(outages.reach(3, 1, end + 1), Reach::Open);
}

#[test]
#[wasm_bindgen_test]
fn hosts_are_back_when_they_answer_anything_and_a_session_route_when_it_leads_there() {
    let outages = Outages::default();
    for (cause, by_session_route, ends) in [
        (Cause::NoHost, false, true),
        (Cause::NoHost, true, true),
        (Cause::NoRoute, false, false),
        (Cause::NoRoute, true, true),
    ] {
        outages.fail(0, 0, cause, NOW);
        outages.answered(0, 1, by_session_route);
        assert_eq!(outages.reach(0, 0, NOW), Reach::Closed(cause));
        outages.answered(0, 0, by_session_route);
        assert_eq!(
            outages.reach(0, 0, NOW) == Reach::Open,
            ends,
            "{cause:?} {by_session_route}"
        );
        outages.answered(0, 0, true);
    }
}

#[test]
#[wasm_bindgen_test]
fn a_pause_ends_where_the_clock_is_set_back() {
    let outages = Outages::default();
    outages.fail(0, 0, Cause::NoHost, NOW);
    assert_eq!(outages.reach(0, 0, NOW - 3_600), Reach::Probe);
    outages.fail(0, 0, Cause::NoHost, NOW - 3_600);
    assert_eq!(outages.reach(0, 0, NOW - 3_600), Reach::Closed(Cause::NoHost));
    assert_eq!(outages.reach(0, 0, NOW), Reach::Open);
}

#[test]
#[wasm_bindgen_test]
fn pauses_grow_up_to_a_limit_and_start_over_after_a_quiet_time() {
    for (cause, expected) in [
        (Cause::NoHost, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        (Cause::NoRoute, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]),
    ] {
        let outages = Outages::default();
        let mut now = NOW;
        let mut end = now;
        let pauses = expected.map(|_| {
            outages.fail(0, 0, cause, now);
            let closed = |at: &u64| matches!(outages.reach(0, 0, *at), Reach::Closed(_));
            end = (now..now + 400).find(|at| !closed(at)).unwrap();
            let pause = end - now - 1;
            outages.probe(0, 0, end);
            now = end;
            pause
        });
        assert_eq!(pauses, expected, "{cause:?}");
        let quiet = end + FIRST_PAUSE + cause.longest_pause() + 1;
        assert_eq!(outages.reach(0, 0, quiet - 1), Reach::Probe);
        assert_eq!(outages.reach(0, 0, quiet), Reach::Open);
        outages.fail(0, 0, cause, quiet);
        assert_eq!(outages.reach(0, 0, quiet + FIRST_PAUSE + 1), Reach::Probe);
    }
}

#[test]
#[wasm_bindgen_test]
fn many_requests_that_fail_at_once_make_one_pause() {
    let outages = Outages::default();
    for _ in 0..50 {
        outages.fail(0, 0, Cause::NoHost, NOW);
    }
    let after = NOW + FIRST_PAUSE + 1;
    assert_eq!(outages.reach(0, 0, after), Reach::Probe);
    outages.probe(0, 0, after);
    for _ in 0..50 {
        outages.fail(0, 0, Cause::NoHost, after);
    }
    assert_eq!(outages.reach(0, 0, after + 2), Reach::Closed(Cause::NoHost));
    assert_eq!(outages.reach(0, 0, after + 3), Reach::Probe);
}

#[test]
#[wasm_bindgen_test]
fn a_detour_leads_only_to_backends_that_the_route_chooses_itself() {
    let (outages, chosen) = (Outages::default(), Chosen::default());
    let detour = |picked| outages.detour(0, picked, &chosen, NOW);
    chosen.note(0, 1, NOW);
    assert_eq!(detour(Some(0)), None, "what the route picks can be reached");
    outages.fail(0, 0, Cause::NoHost, NOW);
    assert_eq!(detour(Some(0)), Some(1));
    assert_eq!(detour(Some(1)), None, "the route picks another one by itself");
    assert_eq!(detour(None), None, "the route leads to no backend of the rule");
    assert_eq!(outages.detour(1, Some(0), &chosen, NOW), None);
    chosen.note(0, 2, NOW);
    assert_eq!(detour(Some(0)), Some(2));
    outages.fail(0, 2, Cause::NoRoute, NOW);
    assert_eq!(detour(Some(0)), Some(1));
    outages.fail(0, 1, Cause::NoHost, NOW);
    assert_eq!(detour(Some(0)), None);
    // What may be probed is for the sessions of that backend.
    assert_eq!(outages.detour(0, Some(0), &chosen, NOW + 2), None);
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
            let cause = if no_host { Cause::NoHost } else { Cause::NoRoute };
            let outages = Outages::default();
            let mut now = NOW;
            let mut last: Option<(u64, u64)> = None;
            for step in steps {
                now += step;
                for _ in 0..at_once {
                    match outages.reach(0, 0, now) {
                        Reach::Open => {}
                        Reach::Probe => outages.probe(0, 0, now),
                        Reach::Closed(_) => continue,
                    }
                    outages.fail(0, 0, cause, now);
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

        /// While a probe is out, no other request is sent; and a detour never leads to a backend that the route has not chosen.
        #[test]
        fn a_detour_is_open_and_chosen(
            events in proptest::collection::vec((0..4_u8, 0..3_usize, 0..5_u64), 0..60), picked in 0..3_usize
        ) {
            let (outages, chosen) = (Outages::default(), Chosen::default());
            let mut now = NOW;
            for (kind, backend, step) in events {
                now += step;
                match kind {
                    0 => outages.fail(0, backend, Cause::NoHost, now),
                    1 => outages.fail(0, backend, Cause::NoRoute, now),
                    2 => outages.answered(0, backend, step % 2 == 0),
                    _ => chosen.note(0, backend, now),
                }
                if outages.reach(0, backend, now) == Reach::Probe {
                    outages.probe(0, backend, now);
                    prop_assert!(matches!(outages.reach(0, backend, now), Reach::Closed(_)));
                }
            }
            if let Some(detour) = outages.detour(0, Some(picked), &chosen, now) {
                prop_assert!(matches!(outages.reach(0, picked, now), Reach::Closed(_)));
                prop_assert_eq!(outages.reach(0, detour, now), Reach::Open);
                prop_assert!(chosen.lately(0, detour, now));
            }
        }
    }
}
