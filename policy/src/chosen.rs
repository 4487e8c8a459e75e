//! Backends that the route of a rule has been seen to choose lately.
//!
//! The weights of a split are the route's own, and may have changed since the configuration was written. What the module
//! knows for certain is which backend the route chose for a request for which the module asked for none: the request's cluster
//! tells. A backend may take requests that the route would send elsewhere only while it is remembered here, so that a backend
//! that its owner has taken out of the split gets none.

use crate::per_rule::PerRule;

/// For how many seconds a choice is remembered: long enough for a backend with a small share to be chosen again, short enough
/// for weights that have changed.
const MEMORY: u64 = 60;

/// For how many seconds at least a backend counts as still chosen. A route and the configuration of the module are two updates: a
/// route that is a moment behind may choose a backend that its owner has just taken out of the split.
const FIRST_TRUST: u64 = 3;

/// What the routes of all rules chose, as far as one worker has seen it.
#[derive(Debug, Default)]
pub struct Chosen {
    /// For each rule's position its backends, the latest choice at the end.
    by_rule: PerRule<Vec<Choice>>,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    backend: usize,
    /// Since when it has been chosen without a pause that is longer than the memory.
    since: u64,
    /// When it was chosen last.
    at: u64,
}

impl Choice {
    // A request may be some seconds behind what others have noted. A choice from far in the future is one from before the clock
    // was set back.
    fn is_within(&self, seconds: u64, now: u64) -> bool {
        now.abs_diff(self.at) <= seconds
    }
}

impl Chosen {
    /// Remembers that the route of a rule chose a backend, each by its position, at `now` seconds since the Unix epoch.
    pub fn note(&self, rule: usize, backend: usize, now: u64) {
        self.by_rule.change(rule, |choices| {
            let before = choices.iter().position(|choice| choice.backend == backend);
            let before = before.map(|position| choices.remove(position));
            let before = before.filter(|choice| choice.is_within(MEMORY, now));
            let since = before.map_or(now, |choice| choice.since);
            choices.push(Choice {
                backend,
                since,
                at: now,
            });
        });
    }

    /// Whether the route of the rule has chosen this backend lately.
    #[must_use]
    pub fn lately(&self, rule: usize, backend: usize, now: u64) -> bool {
        self.latest(rule, now, |other| other == backend).is_some()
    }

    /// The backend that the route of the rule chose last, among those that it has chosen lately and that will `do`.
    #[must_use]
    pub fn latest(&self, rule: usize, now: u64, will_do: impl Fn(usize) -> bool) -> Option<usize> {
        let is_one = |choice: &&Choice| choice.is_within(MEMORY, now) && will_do(choice.backend);
        let latest = |choices: &Vec<Choice>| Some(choices.iter().rev().find(is_one)?.backend);
        self.by_rule.read(rule, latest)?
    }

    /// Whether the route of the rule can be taken to choose this backend still: it has been chosen lately, where the longer it
    /// has been chosen, the longer ago that may be.
    #[must_use]
    pub fn still(&self, rule: usize, backend: usize, now: u64) -> bool {
        let is_trusted = |choice: &Choice| {
            let trust = choice.at.saturating_sub(choice.since).clamp(FIRST_TRUST, MEMORY);
            choice.backend == backend && choice.is_within(trust, now)
        };
        let still = self.by_rule.read(rule, |choices| choices.iter().any(is_trusted));
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
    fn a_choice_is_remembered_for_a_minute_and_concerns_one_backend_of_one_rule() {
        let chosen = Chosen::default();
        assert!(!chosen.lately(3, 1, NOW));
        chosen.note(3, 1, NOW);
        assert!(chosen.lately(3, 1, NOW) && chosen.lately(3, 1, NOW + MEMORY));
        assert!(!chosen.lately(3, 1, NOW + MEMORY + 1));
        assert!(!chosen.lately(3, 0, NOW) && !chosen.lately(2, 1, NOW));
        chosen.note(3, 1, NOW + MEMORY);
        assert!(chosen.lately(3, 1, NOW + MEMORY + 1));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_clock_that_is_set_back_makes_no_choice_last() {
        let chosen = Chosen::default();
        chosen.note(0, 0, NOW);
        assert!(chosen.lately(0, 0, NOW - MEMORY));
        assert!(!chosen.lately(0, 0, NOW - MEMORY - 1));
        chosen.note(0, 0, NOW - 3_600);
        assert!(chosen.lately(0, 0, NOW - 3_600));
        assert!(!chosen.lately(0, 0, NOW));
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_longer_a_backend_has_been_chosen_the_longer_it_counts_as_still_chosen() {
        let chosen = Chosen::default();
        assert!(!chosen.still(0, 1, NOW));
        let still_until = |from: u64| (from..from + 100).find(|at| !chosen.still(0, 1, *at)).unwrap() - 1;
        chosen.note(0, 1, NOW);
        assert_eq!(still_until(NOW), NOW + FIRST_TRUST);
        assert!(!chosen.still(0, 0, NOW) && !chosen.still(1, 1, NOW));
        for (at, until) in [(2, 5), (10, 20), (50, 100), (100, 160), (150, 210)] {
            chosen.note(0, 1, NOW + at);
            assert_eq!(still_until(NOW + at), NOW + until);
        }
        // After a pause it begins again, and so it does where the clock is set back.
        for at in [NOW + 150 + MEMORY + 1, NOW - 3_600] {
            chosen.note(0, 1, at);
            assert_eq!(still_until(at), at + FIRST_TRUST);
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_latest_choice_that_will_do_comes_first() {
        let chosen = Chosen::default();
        for (backend, at) in [(0, NOW), (1, NOW), (2, NOW + 1), (1, NOW + 2), (1, NOW + 2)] {
            chosen.note(0, backend, at);
        }
        let latest = |at, not: &[usize]| chosen.latest(0, at, |backend| !not.contains(&backend));
        assert_eq!(latest(NOW + 2, &[]), Some(1));
        assert_eq!(latest(NOW + 2, &[1]), Some(2));
        assert_eq!(latest(NOW + 2, &[1, 2]), Some(0));
        assert_eq!(latest(NOW + 2, &[0, 1, 2]), None);
        assert_eq!(latest(NOW + 2 + MEMORY, &[1]), None);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// The same as a list of all choices that is searched from its end, whatever the clock does.
            #[test]
            fn the_memory_is_a_list_of_all_choices(
                choices in proptest::collection::vec((0..3_usize, 0..4_usize, 0..200_u64), 0..40),
                at in 0..200_u64,
                refused in 0..4_usize,
            ) {
                let chosen = Chosen::default();
                for (rule, backend, now) in &choices {
                    chosen.note(*rule, *backend, *now);
                }
                for rule in 0..3 {
                    let last = |backend: usize| choices.iter().rposition(|(r, b, _)| (*r, *b) == (rule, backend));
                    let lately = |backend| last(backend).filter(|position| choices[*position].2.abs_diff(at) <= MEMORY);
                    for backend in 0..4 {
                        prop_assert_eq!(chosen.lately(rule, backend, at), lately(backend).is_some());
                    }
                    let latest = (0..4).filter(|backend| *backend != refused).filter_map(|b| Some((lately(b)?, b))).max();
                    prop_assert_eq!(chosen.latest(rule, at, |b| b != refused), latest.map(|(_, backend)| backend));
                }
            }
        }
    }
}
