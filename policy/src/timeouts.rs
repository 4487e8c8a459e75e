//! Whether a session is still live at a given time (GEP-1619, "Session Persistence API").
//!
//! The token records when the session began and when it was last seen. The rule sets the maximum age of both.

use crate::{
    config::SessionConfig,
    duration::{Duration, NotWholeSeconds},
    token::{Rejection, Token},
};

/// The maximum difference between the clocks of two gateways, in seconds. A token that was issued further in the future is
/// rejected.
pub const MAX_SKEW: u64 = 60;

/// The timeouts of a rule, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The age at which a session expires.
    pub absolute: Option<u64>,
    /// The idle timeout.
    pub idle: Option<Idle>,
}

/// An idle timeout, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// A session expires when its last-seen time is older than this.
    pub timeout: u64,
    /// The last-seen time is renewed when it is at least this old.
    pub refresh: u64,
}

/// The state of the session that a token carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// The session is live.
    Live {
        /// Whether the last-seen time is old enough to be renewed.
        needs_refresh: bool,
    },
    /// The time since the last request exceeds the idle timeout.
    ExpiredIdle,
    /// The session has reached the absolute timeout.
    ExpiredAbsolute,
    /// The token is rejected.
    Rejected(Rejection),
}

/// Why the timeouts of a session are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimeouts {
    /// A timeout is zero or not in whole seconds.
    #[error("{field} {reason}")]
    NotWholeSeconds {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it.
        reason: NotWholeSeconds,
    },
    /// A refresh interval has no effect without an idle timeout.
    #[error("refreshInterval is only used with an idleTimeout")]
    RefreshWithoutIdle,
    /// The last-seen time would be renewed too late.
    #[error(
        "the refresh interval is {refresh}, and it must be shorter than the idle timeout of {idle}: otherwise every session \
         expires before it is renewed"
    )]
    RefreshTooLong {
        /// The refresh interval.
        refresh: Duration,
        /// The idle timeout.
        idle: Duration,
    },
}

impl Timeouts {
    /// Checks the timeouts of a session.
    pub fn new(raw: &SessionConfig) -> Result<Self, InvalidTimeouts> {
        Ok(Self {
            absolute: seconds("absoluteTimeout", raw.absolute_timeout)?,
            idle: idle(raw.idle_timeout, raw.refresh_interval)?,
        })
    }

    /// The state of the session of an opened token, at `now` seconds since the Unix epoch.
    #[must_use]
    pub fn evaluate(&self, token: &Token, now: u64) -> SessionState {
        if token.issued > now.saturating_add(MAX_SKEW) {
            return SessionState::Rejected(Rejection::Future);
        }
        let age = now.saturating_sub(token.issued);
        if self.absolute.is_some_and(|timeout| age >= timeout) {
            return SessionState::ExpiredAbsolute;
        }
        let Some(idle) = self.idle else {
            return SessionState::Live { needs_refresh: false };
        };
        let idle_time = now.saturating_sub(token.seen);
        if idle_time > idle.timeout {
            return SessionState::ExpiredIdle;
        }
        // A last-seen time far in the future comes from a wrong clock. Without a renewal it would suspend the idle timeout.
        let in_future = token.seen > now.saturating_add(MAX_SKEW);
        SessionState::Live {
            needs_refresh: in_future || idle_time >= idle.refresh,
        }
    }

    /// The remaining seconds until the absolute timeout of a session that began at `issued`.
    #[must_use]
    pub fn remaining(&self, issued: u64, now: u64) -> Option<u64> {
        let age = now.saturating_sub(issued);
        self.absolute.map(|timeout| timeout.saturating_sub(age))
    }
}

fn seconds(field: &'static str, duration: Option<Duration>) -> Result<Option<u64>, InvalidTimeouts> {
    duration
        .map(Duration::whole_seconds)
        .transpose()
        .map_err(|reason| InvalidTimeouts::NotWholeSeconds { field, reason })
}

fn idle(timeout: Option<Duration>, refresh: Option<Duration>) -> Result<Option<Idle>, InvalidTimeouts> {
    let refresh_seconds = seconds("refreshInterval", refresh)?;
    let Some(idle) = timeout else {
        return match refresh {
            Some(_) => Err(InvalidTimeouts::RefreshWithoutIdle),
            None => Ok(None),
        };
    };
    let Some(timeout) = seconds("idleTimeout", Some(idle))? else {
        return Ok(None);
    };
    if let Some(refresh) = refresh
        && refresh >= idle
    {
        return Err(InvalidTimeouts::RefreshTooLong { refresh, idle });
    }
    Ok(Some(Idle {
        timeout,
        refresh: refresh_seconds.unwrap_or_else(|| (timeout / 20).clamp(1, 60)),
    }))
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
    const LIVE: SessionState = SessionState::Live { needs_refresh: false };
    const REFRESH: SessionState = SessionState::Live { needs_refresh: true };

    fn token(issued: u64, seen: u64) -> Token {
        Token {
            issued,
            seen,
            secure: false,
            backend: Box::default(),
            version: Box::default(),
            share: None,
            host: Box::default(),
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_absolute_timeout_ends_a_session_to_the_second() {
        assert_eq!(BOTH.evaluate(&token(NOW - 3_599, NOW), NOW), LIVE);
        assert_eq!(
            BOTH.evaluate(&token(NOW - 3_600, NOW), NOW),
            SessionState::ExpiredAbsolute
        );
        assert_eq!(BOTH.evaluate(&token(0, NOW), NOW), SessionState::ExpiredAbsolute);
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_idle_timeout_ends_a_session_to_the_second() {
        assert_eq!(BOTH.evaluate(&token(NOW - 700, NOW - 600), NOW), REFRESH);
        assert_eq!(
            BOTH.evaluate(&token(NOW - 700, NOW - 601), NOW),
            SessionState::ExpiredIdle
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn absolute_comes_before_idle() {
        assert_eq!(BOTH.evaluate(&token(0, 0), NOW), SessionState::ExpiredAbsolute);
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_last_seen_time_is_renewed_when_due_and_not_before() {
        assert_eq!(BOTH.evaluate(&token(NOW - 100, NOW - 29), NOW), LIVE);
        assert_eq!(BOTH.evaluate(&token(NOW - 100, NOW - 30), NOW), REFRESH);
    }

    #[test]
    #[wasm_bindgen_test]
    fn without_timeouts_a_session_lives_on_and_is_never_renewed() {
        let none = Timeouts {
            absolute: None,
            idle: None,
        };
        assert_eq!(none.evaluate(&token(0, 0), NOW), LIVE);
        assert_eq!(none.remaining(0, NOW), None);
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_clock_a_little_ahead_is_borne_and_one_far_ahead_is_not() {
        assert_eq!(BOTH.evaluate(&token(NOW + MAX_SKEW, NOW + MAX_SKEW), NOW), LIVE);
        assert_eq!(
            BOTH.evaluate(&token(NOW + MAX_SKEW + 1, NOW), NOW),
            SessionState::Rejected(Rejection::Future)
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_last_seen_time_far_ahead_is_mended() {
        assert_eq!(BOTH.evaluate(&token(NOW - 10, NOW + 7_200), NOW), REFRESH);
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
                if let SessionState::Live { .. } = BOTH.evaluate(&token(issued, seen), now) {
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
                    match idle.evaluate(&carried, now) {
                        SessionState::Live { needs_refresh: true } => carried.seen = now,
                        SessionState::Live { needs_refresh: false } => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
        }
    }
}
