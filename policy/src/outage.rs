//! Backends that their sessions cannot reach, as Envoy's own answers tell.
//!
//! A session route is generated, so it can lead to a Service that is gone: then Envoy answers the requests of its sessions
//! itself. The first such answer is remembered for a short time, which grows while nothing changes. Meanwhile those sessions
//! go on elsewhere, so that at most one request for each worker and pause fails.

use std::{cell::RefCell, collections::BTreeMap};

/// The first pause, in seconds.
const FIRST_PAUSE: u64 = 1;

/// The longest pause, in seconds.
const LONGEST_PAUSE: u64 = 30;

/// Whether an answer of Envoy's own (`response.code_details`) says that a route leads nowhere: what istiod makes of a route to
/// a Service that does not exist, and what Envoy answers for a cluster that is not there.
#[must_use]
pub fn is_outage(code_details: &[u8]) -> bool {
    matches!(code_details, b"direct_response" | b"cluster_not_found")
}

/// The backends that cannot be reached, each by the positions of its rule and of itself there.
#[derive(Debug, Default)]
pub struct Outages {
    by_backend: RefCell<BTreeMap<(usize, usize), Outage>>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    until: u64,
    pause: u64,
}

impl Outages {
    /// Whether a backend is taken for unreachable at `now` seconds since the Unix epoch.
    #[must_use]
    pub fn has(&self, rule: usize, backend: usize, now: u64) -> bool {
        let outages = self.by_backend.borrow();
        // A clock that has been set back ends a pause: it must not become as long as the step.
        let lasts = |outage: &Outage| now <= outage.until && outage.until.saturating_sub(now) <= outage.pause;
        outages.get(&(rule, backend)).is_some_and(lasts)
    }

    /// Remembers an answer of Envoy's own.
    pub fn note(&self, rule: usize, backend: usize, now: u64) {
        let mut outages = self.by_backend.borrow_mut();
        let before = outages.get(&(rule, backend));
        // An outage soon after the last one is the same one.
        let again = before.filter(|outage| now <= outage.until.saturating_add(LONGEST_PAUSE));
        let pause = again.map_or(FIRST_PAUSE, |outage| outage.pause.saturating_mul(2).min(LONGEST_PAUSE));
        let until = now.saturating_add(pause);
        outages.insert((rule, backend), Outage { until, pause });
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    #[wasm_bindgen_test]
    fn only_answers_about_the_route_are_outages() {
        assert!(is_outage(b"direct_response"));
        assert!(is_outage(b"cluster_not_found"));
        for details in [
            "via_upstream",
            "no_healthy_upstream",
            "route_not_found",
            "direct_response_",
            "",
        ] {
            assert!(!is_outage(details.as_bytes()), "{details}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn an_outage_ends_and_concerns_one_backend_of_one_rule() {
        let outages = Outages::default();
        outages.note(3, 1, NOW);
        assert!(outages.has(3, 1, NOW + FIRST_PAUSE));
        assert!(!outages.has(3, 1, NOW + FIRST_PAUSE + 1));
        assert!(!outages.has(3, 0, NOW));
        assert!(!outages.has(2, 1, NOW));
    }

    #[test]
    #[wasm_bindgen_test]
    fn an_outage_ends_where_the_clock_is_set_back() {
        let outages = Outages::default();
        outages.note(0, 0, NOW);
        assert!(!outages.has(0, 0, NOW - 3_600));
        outages.note(0, 0, NOW - 3_600);
        assert!(outages.has(0, 0, NOW - 3_600));
    }

    #[test]
    #[wasm_bindgen_test]
    fn pauses_grow_up_to_a_limit_and_start_over_after_a_quiet_time() {
        let outages = Outages::default();
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            outages.note(0, 0, now);
            let end = (now..now + 60).find(|at| !outages.has(0, 0, *at)).unwrap();
            pauses.push(end - now - 1);
            now = end;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        now += LONGEST_PAUSE;
        outages.note(0, 0, now);
        assert!(!outages.has(0, 0, now + FIRST_PAUSE + 1));
    }
}
