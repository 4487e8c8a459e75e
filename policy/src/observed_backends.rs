//! Tracks the backends that the route of a rule selects.
//!
//! The weights of a split may have changed since the configuration was written. The module only observes which backend the route
//! selects for requests without `x-mooring-backend`, by the cluster of the request. It sends a request to a backend that the
//! route did not select for it only if that backend was observed recently. So a backend that was removed from the split gets no
//! such requests.

use crate::per_rule::PerRule;

/// How long an observation counts as recent, in seconds: long enough for a backend with a small weight to be selected again,
/// short enough to follow changes of the weights.
const RECENT: u64 = 60;

/// The minimum time for which an observed backend counts as still selected, in seconds. The route and the plugin configuration
/// are updated separately, and a route that lags behind may select a backend that was just removed from the split.
const MIN_TRUST: u64 = 3;

/// The backends that the routes of all rules selected for the requests of one worker.
#[derive(Debug, Default)]
pub struct ObservedBackends {
    /// For each rule its backends, the latest at the end.
    observations: PerRule<Vec<Observation>>,
}

#[derive(Clone, Copy, Debug)]
struct Observation {
    backend: usize,
    /// The beginning of the period in which each observation was recent at the next one.
    since: u64,
    /// When the route last selected the backend.
    last: u64,
}

impl Observation {
    // Requests may be recorded some seconds out of order. An observation far in the future dates from before the clock was set
    // back.
    fn is_within(&self, seconds: u64, now: u64) -> bool {
        now.abs_diff(self.last) <= seconds
    }
}

impl ObservedBackends {
    /// Records that the route of a rule selected a backend, at `now` seconds since the Unix epoch. Rule and backend are
    /// identified by their positions.
    pub fn record(&self, rule: usize, backend: usize, now: u64) {
        self.observations.change(rule, |observations| {
            let before = observations
                .iter()
                .position(|observation| observation.backend == backend);
            let before = before.map(|position| observations.remove(position));
            let before = before.filter(|observation| observation.is_within(RECENT, now));
            let since = before.map_or(now, |observation| observation.since);
            observations.push(Observation {
                backend,
                since,
                last: now,
            });
        });
    }

    /// Whether the route of the rule recently selected this backend.
    #[must_use]
    pub fn is_recent(&self, rule: usize, backend: usize, now: u64) -> bool {
        self.latest(rule, now, |other| other == backend).is_some()
    }

    /// The backend that the route of the rule selected last, among the recent backends that are `eligible`.
    #[must_use]
    pub fn latest(&self, rule: usize, now: u64, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let is_eligible = |one: &&Observation| one.is_within(RECENT, now) && eligible(one.backend);
        let latest = |all: &Vec<Observation>| Some(all.iter().rev().find(is_eligible)?.backend);
        self.observations.read(rule, latest)?
    }

    /// Whether the route of the rule probably still selects this backend. The longer it has been observed, the longer ago the
    /// last observation may be.
    #[must_use]
    pub fn is_still_selected(&self, rule: usize, backend: usize, now: u64) -> bool {
        let is_trusted = |one: &Observation| {
            let trust = one.last.saturating_sub(one.since).clamp(MIN_TRUST, RECENT);
            one.backend == backend && one.is_within(trust, now)
        };
        let still = self.observations.read(rule, |all| all.iter().any(is_trusted));
        still.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    #[wasm_bindgen_test]
    fn an_observation_is_recent_for_a_minute_and_concerns_one_backend_of_one_rule() {
        let observed = ObservedBackends::default();
        assert!(!observed.is_recent(3, 1, NOW));
        observed.record(3, 1, NOW);
        assert!(observed.is_recent(3, 1, NOW) && observed.is_recent(3, 1, NOW + RECENT));
        assert!(!observed.is_recent(3, 1, NOW + RECENT + 1));
        assert!(!observed.is_recent(3, 0, NOW) && !observed.is_recent(2, 1, NOW));
        observed.record(3, 1, NOW + RECENT);
        assert!(observed.is_recent(3, 1, NOW + RECENT + 1));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_clock_that_is_set_back_makes_no_observation_last() {
        let observed = ObservedBackends::default();
        observed.record(0, 0, NOW);
        assert!(observed.is_recent(0, 0, NOW - RECENT));
        assert!(!observed.is_recent(0, 0, NOW - RECENT - 1));
        observed.record(0, 0, NOW - 3_600);
        assert!(observed.is_recent(0, 0, NOW - 3_600));
        assert!(!observed.is_recent(0, 0, NOW));
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_longer_a_backend_has_been_observed_the_longer_it_counts_as_still_selected() {
        let observed = ObservedBackends::default();
        assert!(!observed.is_still_selected(0, 1, NOW));
        let still_until = |from: u64| {
            (from..from + 100)
                .find(|at| !observed.is_still_selected(0, 1, *at))
                .unwrap()
                - 1
        };
        observed.record(0, 1, NOW);
        assert_eq!(still_until(NOW), NOW + MIN_TRUST);
        assert!(!observed.is_still_selected(0, 0, NOW) && !observed.is_still_selected(1, 1, NOW));
        for (at, until) in [(2, 5), (10, 20), (50, 100), (100, 160), (150, 210)] {
            observed.record(0, 1, NOW + at);
            assert_eq!(still_until(NOW + at), NOW + until);
        }
        // It starts over after a pause, and when the clock is set back.
        for at in [NOW + 150 + RECENT + 1, NOW - 3_600] {
            observed.record(0, 1, at);
            assert_eq!(still_until(at), at + MIN_TRUST);
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_latest_eligible_backend_comes_first() {
        let observed = ObservedBackends::default();
        for (backend, at) in [(0, NOW), (1, NOW), (2, NOW + 1), (1, NOW + 2), (1, NOW + 2)] {
            observed.record(0, backend, at);
        }
        let latest = |at, not: &[usize]| observed.latest(0, at, |backend| !not.contains(&backend));
        assert_eq!(latest(NOW + 2, &[]), Some(1));
        assert_eq!(latest(NOW + 2, &[1]), Some(2));
        assert_eq!(latest(NOW + 2, &[1, 2]), Some(0));
        assert_eq!(latest(NOW + 2, &[0, 1, 2]), None);
        assert_eq!(latest(NOW + 2 + RECENT, &[1]), None);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// It equals a list of all observations that is searched from its end, for any clock.
            #[test]
            fn the_tracker_equals_a_list_of_all_observations(
                observations in proptest::collection::vec((0..3_usize, 0..4_usize, 0..200_u64), 0..40),
                at in 0..200_u64,
                excluded in 0..4_usize,
            ) {
                let observed = ObservedBackends::default();
                for (rule, backend, now) in &observations {
                    observed.record(*rule, *backend, *now);
                }
                for rule in 0..3 {
                    let last = |backend: usize| observations.iter().rposition(|(r, b, _)| (*r, *b) == (rule, backend));
                    let lately = |backend| last(backend).filter(|position| observations[*position].2.abs_diff(at) <= RECENT);
                    for backend in 0..4 {
                        prop_assert_eq!(observed.is_recent(rule, backend, at), lately(backend).is_some());
                    }
                    let latest = (0..4).filter(|backend| *backend != excluded).filter_map(|b| Some((lately(b)?, b))).max();
                    prop_assert_eq!(observed.latest(rule, at, |b| b != excluded), latest.map(|(_, backend)| backend));
                }
            }
        }
    }
}
