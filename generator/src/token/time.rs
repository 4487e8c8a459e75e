//! Points of time and spans, for people.

use mooring_policy::duration::Duration;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// Why a text is not a point of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// It has another form.
    #[error("write a time such as 2026-01-31T12:00:00Z, or how long ago it was, such as 90s or 1h30m")]
    Form,
    /// It is before 1970.
    #[error("it is before 1970")]
    Early,
}

/// A point of time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Seconds since the Unix epoch.
    At(u64),
    /// So many seconds ago.
    Ago(u64),
}

impl std::str::FromStr for Time {
    type Err = InvalidTime;

    /// Parses a time of RFC 3339 in seconds, or a duration of Gateway API (GEP-2257).
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        if let Ok(ago) = text.parse::<Duration>() {
            return ago.whole_seconds().map(Self::Ago).map_err(|_| InvalidTime::Form);
        }
        parse_rfc3339(text).map(Self::At)
    }
}

impl Time {
    /// The seconds since the Unix epoch.
    #[must_use]
    pub fn seconds(self, now: u64) -> u64 {
        match self {
            Self::At(seconds) => seconds,
            Self::Ago(seconds) => now.saturating_sub(seconds),
        }
    }
}

/// The seconds since the Unix epoch of a time as RFC 3339 writes it.
pub fn parse_rfc3339(text: &str) -> Result<u64, InvalidTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTime::Form)?;
    u64::try_from(time.unix_timestamp()).map_err(|_| InvalidTime::Early)
}

/// A time as RFC 3339 writes it. One beyond the year 9999 has no such form.
#[must_use]
pub fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = time.and_then(|time| time.to_offset(UtcOffset::UTC).format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{seconds} seconds after 1970"))
}

/// A span in hours, minutes and seconds, such as `1h30m`.
#[must_use]
pub fn span(seconds: u64) -> String {
    Duration::from_secs(seconds).to_string()
}

/// How long before `now` a time is, such as `5m ago`.
#[must_use]
pub fn relative(seconds: u64, now: u64) -> String {
    match now.checked_sub(seconds) {
        Some(0) => "now".to_owned(),
        Some(ago) => format!("{} ago", span(ago)),
        None => format!("in {}", span(seconds.saturating_sub(now))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_both_forms() {
        let time = |text: &str| text.parse::<Time>();
        assert_eq!(time("2023-11-14T22:13:20Z"), Ok(Time::At(1_700_000_000)));
        assert_eq!(time("2023-11-14T23:13:20+01:00"), Ok(Time::At(1_700_000_000)));
        assert_eq!(time("1h30m"), Ok(Time::Ago(5_400)));
        assert_eq!(Time::Ago(60).seconds(100), 40);
        for wrong in ["", "yesterday", "2023-11-14", "1.5h", "10", "5ms"] {
            assert_eq!(time(wrong), Err(InvalidTime::Form), "{wrong}");
        }
        assert_eq!(time("1969-12-31T23:59:59Z"), Err(InvalidTime::Early));
    }

    #[test]
    fn times_are_written_absolute_and_relative() {
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(u64::MAX), format!("{} seconds after 1970", u64::MAX));
        assert_eq!(relative(100, 100), "now");
        assert_eq!(relative(40, 5_500), "1h31m ago");
        assert_eq!(relative(160, 100), "in 1m");
    }
}
