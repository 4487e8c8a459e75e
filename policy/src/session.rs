//! What a token is worth at a given time (GEP-1619, "Session Persistence API").
//!
//! The token says when the session began and when it was last seen; the rule says how long either may be ago.

use crate::token::{Rejection, Token};

/// How far a gateway's clock may be behind that of the one that issued a token, in seconds. A token from further ahead
/// is not believed.
pub const MAX_SKEW: u64 = 60;

/// The timeouts of a rule, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The age at which a session ends.
    pub absolute: Option<u64>,
    /// The end of a session by silence, with the age at which its last-seen time is renewed.
    pub idle: Option<Idle>,
}

/// An idle timeout, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// A session ends when it was last seen longer ago than this.
    pub timeout: u64,
    /// The last-seen time is renewed when it is at least this old.
    pub refresh: u64,
}

/// What a token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The session lives.
    Live {
        /// The last-seen time is old enough to be renewed.
        refresh_due: bool,
    },
    /// The session was silent for longer than the idle timeout.
    ExpiredIdle,
    /// The session is as old as the absolute timeout.
    ExpiredAbsolute,
    /// The token is not believed.
    Rejected(Rejection),
}

impl Timeouts {
    /// Judges a token that opened, at `now` seconds since the Unix epoch.
    #[must_use]
    pub fn judge(&self, token: &Token, now: u64) -> Standing {
        if token.issued > now.saturating_add(MAX_SKEW) {
            return Standing::Rejected(Rejection::Future);
        }
        let age = now.saturating_sub(token.issued);
        if self.absolute.is_some_and(|timeout| age >= timeout) {
            return Standing::ExpiredAbsolute;
        }
        let Some(idle) = self.idle else {
            return Standing::Live { refresh_due: false };
        };
        let silence = now.saturating_sub(token.seen);
        if silence > idle.timeout {
            return Standing::ExpiredIdle;
        }
        // A last-seen time far ahead was written by a clock that is wrong: left alone, it would suspend the timeout.
        let ahead = token.seen > now.saturating_add(MAX_SKEW);
        Standing::Live {
            refresh_due: ahead || silence >= idle.refresh,
        }
    }

    /// The seconds that are left of the absolute timeout for a session that began at `issued`.
    #[must_use]
    pub fn remaining(&self, issued: u64, now: u64) -> Option<u64> {
        let age = now.saturating_sub(issued);
        self.absolute.map(|timeout| timeout.saturating_sub(age))
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    const NOW: u64 = 1_700_000_000;
    const BOTH: Timeouts = Timeouts {
        absolute: Some(3_600),
        idle: Some(Idle {
            timeout: 600,
            refresh: 30,
        }),
    };
    const LIVE: Standing = Standing::Live { refresh_due: false };
    const REFRESH: Standing = Standing::Live { refresh_due: true };

    fn token(issued: u64, seen: u64) -> Token {
        Token {
            issued,
            seen,
            secure: false,
            backend: Box::default(),
            host: Box::default(),
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_absolute_timeout_ends_a_session_to_the_second() {
        assert_eq!(BOTH.judge(&token(NOW - 3_599, NOW), NOW), LIVE);
        assert_eq!(BOTH.judge(&token(NOW - 3_600, NOW), NOW), Standing::ExpiredAbsolute);
        assert_eq!(BOTH.judge(&token(0, NOW), NOW), Standing::ExpiredAbsolute);
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_idle_timeout_ends_a_session_to_the_second() {
        assert_eq!(BOTH.judge(&token(NOW - 700, NOW - 600), NOW), REFRESH);
        assert_eq!(BOTH.judge(&token(NOW - 700, NOW - 601), NOW), Standing::ExpiredIdle);
    }

    #[test]
    #[wasm_bindgen_test]
    fn absolute_comes_before_idle() {
        assert_eq!(BOTH.judge(&token(0, 0), NOW), Standing::ExpiredAbsolute);
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_last_seen_time_is_renewed_when_due_and_not_before() {
        assert_eq!(BOTH.judge(&token(NOW - 100, NOW - 29), NOW), LIVE);
        assert_eq!(BOTH.judge(&token(NOW - 100, NOW - 30), NOW), REFRESH);
    }

    #[test]
    #[wasm_bindgen_test]
    fn without_timeouts_a_session_lives_on_and_is_never_renewed() {
        let none = Timeouts {
            absolute: None,
            idle: None,
        };
        assert_eq!(none.judge(&token(0, 0), NOW), LIVE);
        assert_eq!(none.remaining(0, NOW), None);
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_clock_a_little_ahead_is_borne_and_one_far_ahead_is_not() {
        assert_eq!(BOTH.judge(&token(NOW + MAX_SKEW, NOW + MAX_SKEW), NOW), LIVE);
        assert_eq!(
            BOTH.judge(&token(NOW + MAX_SKEW + 1, NOW), NOW),
            Standing::Rejected(Rejection::Future)
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_last_seen_time_far_ahead_is_mended() {
        assert_eq!(BOTH.judge(&token(NOW - 10, NOW + 7_200), NOW), REFRESH);
    }

    #[test]
    #[wasm_bindgen_test]
    fn what_remains_is_never_negative() {
        assert_eq!(BOTH.remaining(NOW - 10, NOW), Some(3_590));
        assert_eq!(BOTH.remaining(NOW + 10, NOW), Some(3_600));
        assert_eq!(BOTH.remaining(0, NOW), Some(0));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn no_session_outlives_its_timeouts(issued in 0..2 * NOW, seen in 0..2 * NOW, now in 0..2 * NOW) {
                if let Standing::Live { .. } = BOTH.judge(&token(issued, seen), now) {
                    prop_assert!(now < issued + 3_600);
                    prop_assert!(now <= seen + 600);
                    prop_assert!(issued <= now + MAX_SKEW);
                }
            }

            #[test]
            fn a_client_that_returns_within_the_idle_timeout_is_never_idle(
                start in NOW..2 * NOW, pauses in proptest::collection::vec(0..=570_u64, 1..20)
            ) {
                let idle = Timeouts { absolute: None, ..BOTH };
                let mut carried = token(start, start);
                let mut now = start;
                for pause in pauses {
                    now += pause;
                    match idle.judge(&carried, now) {
                        Standing::Live { refresh_due: true } => carried.seen = now,
                        Standing::Live { refresh_due: false } => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
        }
    }
}
