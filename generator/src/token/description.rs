//! What is in a token, at a point of time.

use mooring_policy::{
    decision::SessionOutcome,
    timeouts::{SessionState, Timeouts},
};
use serde::Serialize;
use serde_json::Number;

use super::{
    open::Opened,
    time::{relative, rfc3339, span},
};

/// The content of a token, for JSON and for tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The format version.
    pub version: u8,
    /// The id of its key: two hexadecimal digits.
    pub key_id: String,
    /// The number of its characters.
    pub length: usize,
    /// The id of the rule that it is bound to.
    pub rule: String,
    /// The name of the session that it is bound to.
    pub session: String,
    /// The key of the backend. None: the token ends a session.
    pub backend: Option<String>,
    /// The version of the backend when the token was sealed. None: unknown.
    pub backend_version: Option<String>,
    /// The share of the backend in percent, rounded, when the session was last drawn. None: the policy does not rebalance sessions.
    pub backend_share: Option<Number>,
    /// The host. None: any host of the backend.
    pub host: Option<String>,
    /// Whether its cookie was sent with the `Secure` attribute.
    pub secure: bool,
    /// When the session began.
    pub issued: Moment,
    /// When the session was last seen.
    pub last_seen: Moment,
    /// `live`, or the outcome of the session in metrics and access logs.
    pub state: &'static str,
    /// What is left of the absolute timeout, if it is known.
    pub absolute_timeout: Option<Left>,
    /// What is left of the idle timeout, if it is known.
    pub idle_timeout: Option<Left>,
}

/// A point of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// As RFC 3339 writes it.
    pub time: String,
    /// How long ago it was, in seconds. Negative: it is in the future.
    pub seconds_ago: i64,
    /// The same for people.
    #[serde(skip)]
    pub relative: String,
}

/// A timeout of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// The timeout in seconds.
    pub timeout_seconds: u64,
    /// What is left of it in seconds.
    pub seconds_left: u64,
    /// When the session expires.
    pub expires: String,
}

impl Description {
    pub(super) fn new(opened: &Opened, timeouts: &Timeouts, now: u64) -> Self {
        let token = &opened.token;
        let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.escape_ascii().to_string());
        let idle = timeouts.idle.map(|idle| idle.timeout);
        Self {
            version: opened.outline.version,
            key_id: format!("{:02x}", opened.outline.key_id),
            length: opened.outline.length,
            rule: opened.bound.rule.clone(),
            session: opened.bound.session.clone(),
            backend: text(&token.backend),
            backend_version: text(&token.version),
            backend_share: token
                .share
                .and_then(|share| Number::from_f64((share.percent() * 100.0).round() / 100.0)),
            host: text(&token.host),
            secure: token.secure,
            issued: Moment::new(token.issued, now),
            last_seen: Moment::new(token.seen, now),
            state: match timeouts.evaluate(token, now) {
                SessionState::Live { .. } => "live",
                SessionState::ExpiredIdle => SessionOutcome::ExpiredIdle.label(),
                SessionState::ExpiredAbsolute => SessionOutcome::ExpiredAbsolute.label(),
                SessionState::Rejected(rejection) => SessionOutcome::Rejected(rejection).label(),
            },
            absolute_timeout: timeouts.absolute.map(|timeout| Left::new(timeout, token.issued, now)),
            idle_timeout: idle.map(|timeout| Left::new(timeout, token.seen, now)),
        }
    }

    /// The rows of a table for people.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let moment = |moment: &Moment| format!("{} ({})", moment.time, moment.relative);
        let backend = self.backend.clone();
        let of_host = |host: &Option<String>| host.clone().unwrap_or_else(|| "any of the backend".to_owned());
        let mut rows = vec![
            (
                "token",
                format!(
                    "format version {}, key {}, {} characters",
                    self.version, self.key_id, self.length
                ),
            ),
            ("rule", self.rule.clone()),
            ("session", self.session.clone()),
        ];
        match backend {
            Some(backend) => {
                rows.push(("backend", backend));
                rows.extend(self.backend_version.clone().map(|version| ("backend version", version)));
                let share = self
                    .backend_share
                    .as_ref()
                    .map(|share| format!("{share}% when the session was drawn"));
                rows.extend(share.map(|share| ("backend share", share)));
                rows.push(("host", of_host(&self.host)));
            }
            None => rows.push(("backend", "none: the token ends a session".to_owned())),
        }
        rows.extend([
            ("issued", moment(&self.issued)),
            ("last seen", moment(&self.last_seen)),
            (
                "cookie",
                if self.secure {
                    "Secure"
                } else {
                    "not Secure, or a header"
                }
                .to_owned(),
            ),
        ]);
        let timeouts = [
            ("absolute timeout", &self.absolute_timeout),
            ("idle timeout", &self.idle_timeout),
        ];
        for (name, left) in timeouts {
            rows.extend(left.as_ref().map(|left| (name, left.to_string())));
        }
        rows.push(("state", self.state.to_owned()));
        rows
    }
}

impl Moment {
    fn new(seconds: u64, now: u64) -> Self {
        let ago = i128::from(now).saturating_sub(i128::from(seconds));
        Self {
            time: rfc3339(seconds),
            seconds_ago: i64::try_from(ago).unwrap_or(i64::MIN),
            relative: relative(seconds, now),
        }
    }
}

impl Left {
    fn new(timeout: u64, since: u64, now: u64) -> Self {
        let seconds_left = timeout.saturating_sub(now.saturating_sub(since));
        Self {
            timeout_seconds: timeout,
            seconds_left,
            expires: rfc3339(since.saturating_add(timeout)),
        }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (timeout, left) = (span(self.timeout_seconds), span(self.seconds_left));
        match self.seconds_left {
            0 => write!(f, "{timeout}, which ended at {}", self.expires),
            _ => write!(f, "{timeout}, {left} left, until {}", self.expires),
        }
    }
}

#[cfg(test)]
mod tests {
    use mooring_policy::{
        timeouts::Idle,
        token::{Token, outline::Outline},
    };

    use super::*;
    use crate::token::Bound;

    const NOW: u64 = 1_700_000_000;

    fn described(issued: u64, seen: u64) -> Description {
        let opened = Opened {
            outline: Outline {
                version: 2,
                key_id: 0xa7,
                length: 150,
            },
            bound: Bound {
                rule: "HTTPRoute/shop/cart#0".to_owned(),
                session: "cart".to_owned(),
            },
            token: Token {
                issued,
                seen,
                backend: b"shop-v1.shop:80".as_slice().into(),
                host: b"10.0.0.7:8080".as_slice().into(),
                ..Token::new(NOW, false)
            },
        };
        let timeouts = Timeouts {
            absolute: Some(3_600),
            idle: Some(Idle {
                timeout: 600,
                refresh: 30,
            }),
        };
        Description::new(&opened, &timeouts, NOW)
    }

    #[test]
    fn times_are_absolute_and_relative_and_what_is_left_is_said() {
        let rows = described(NOW - 1_800, NOW - 60).rows();
        let row = |name: &str| rows.iter().find(|(of, _)| *of == name).map(|(_, text)| text.as_str());
        assert_eq!(row("issued"), Some("2023-11-14T21:43:20Z (30m ago)"));
        assert_eq!(row("last seen"), Some("2023-11-14T22:12:20Z (1m ago)"));
        assert_eq!(
            row("absolute timeout"),
            Some("1h, 30m left, until 2023-11-14T22:43:20Z")
        );
        assert_eq!(row("idle timeout"), Some("10m, 9m left, until 2023-11-14T22:22:20Z"));
        assert_eq!(row("state"), Some("live"));
    }

    #[test]
    fn the_state_is_that_of_the_policy() {
        for (issued, seen, state) in [
            (NOW - 3_600, NOW, "expired-absolute"),
            (NOW - 700, NOW - 601, "expired-idle"),
            (NOW + 61, NOW + 61, "rejected-future"),
            (NOW - 700, NOW - 600, "live"),
        ] {
            assert_eq!(described(issued, seen).state, state);
        }
        assert_eq!(described(NOW + 61, NOW + 61).issued.seconds_ago, -61);
    }
}
