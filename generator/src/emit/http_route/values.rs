//! The scalar values of an http route, checked for Envoy.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// The number of nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The maximum duration in seconds (protobuf: `Duration`).
const MAX_SECONDS: u64 = 315_576_000_000;

/// The maximum length of the body of a direct response, in bytes (istiod: `DefaultMaxDirectResponseBodySizeBytes`).
pub const MAX_BODY: usize = 1_048_576;

/// Why a value is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Not a duration.
    #[error("`{0}` is not a duration, such as 10s, 500ms or 1h30m")]
    Duration(String),
    /// A duration of zero.
    #[error("`{0}` must be greater than zero")]
    NoTime(String),
    /// Not a valid header value.
    #[error("`{0}` has a line break or another control character, which is not allowed in a header")]
    Control(String),
    /// Not a valid header name.
    #[error("`{0}` is not the name of a header")]
    Name(String),
    /// A `%` that Envoy reads as the start of a command.
    #[error(
        "Envoy would read the `%` in `{0}` as the start of an unknown command; write `%%` for the character itself"
    )]
    Format(String),
    /// Not a status code.
    #[error("{0} is not a status from 200 to 599")]
    Status(u16),
    /// Not a gRPC status.
    #[error("`{0}` is not the name of a gRPC status, such as UNAVAILABLE")]
    GrpcStatus(String),
    /// Not a percentage.
    #[error("{0} is not a percentage from 0 to 100")]
    Percent(String),
    /// Too long, or not base64.
    #[error("a body is `string` or `bytes` (base64), with at most {MAX_BODY} bytes")]
    Body,
}

/// A duration in Istio's syntax (Go: `time.ParseDuration`). Gateway API uses a subset of it (GEP-2257).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(u64);

impl Duration {
    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Its whole seconds.
    pub fn seconds(self) -> u64 {
        self.0 / SECOND
    }

    fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total = 0_u64;
        if rest == "0" {
            return Some(Self(0));
        }
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let end = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
            let (number, tail) = rest.split_at_checked(end)?;
            let end = tail.find(|one: char| one.is_ascii_digit() || one == '.');
            let (unit, tail) = tail.split_at_checked(end.unwrap_or(tail.len()))?;
            let unit = match unit {
                "h" => SECOND.checked_mul(3_600)?,
                "m" => SECOND.checked_mul(60)?,
                "s" => SECOND,
                "ms" => 1_000_000,
                "us" | "µs" | "μs" => 1_000,
                "ns" => 1,
                _ => return None,
            };
            total = total.checked_add(nanoseconds(number, unit)?)?;
            rest = tail;
        }
        (total / SECOND <= MAX_SECONDS).then_some(Self(total))
    }
}

/// A decimal number with a unit.
fn nanoseconds(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse::<u64>().ok()
        }
    };
    let mut total = digits(whole)?.checked_mul(unit)?;
    let mut digit_unit = unit;
    for digit in fraction.chars() {
        digit_unit /= 10;
        total = total.checked_add(u64::from(digit.to_digit(10)?).checked_mul(digit_unit)?)?;
    }
    Some(total)
}

impl TryFrom<String> for Duration {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        Self::parse(&text).ok_or(InvalidValue::Duration(text))
    }
}

impl From<Duration> for String {
    fn from(Duration(nanoseconds): Duration) -> Self {
        let (seconds, rest) = (nanoseconds / SECOND, nanoseconds % SECOND);
        let fraction = format!("{rest:09}");
        match fraction.trim_end_matches('0') {
            "" => format!("{seconds}s"),
            fraction => format!("{seconds}.{fraction}s"),
        }
    }
}

/// A duration greater than zero.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval(Duration);

impl TryFrom<String> for Interval {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let duration = Duration::try_from(text.clone())?;
        if duration.is_zero() {
            return Err(InvalidValue::NoTime(text));
        }
        Ok(Self(duration))
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.0.into()
    }
}

/// A status code for a response that Envoy sends itself.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "u16")]
pub struct Status(u16);

impl TryFrom<u16> for Status {
    type Error = InvalidValue;

    fn try_from(status: u16) -> Result<Self, InvalidValue> {
        if (200..600).contains(&status) {
            Ok(Self(status))
        } else {
            Err(InvalidValue::Status(status))
        }
    }
}

/// A percentage.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "f64")]
pub struct Percent(f64);

impl TryFrom<f64> for Percent {
    type Error = InvalidValue;

    fn try_from(percent: f64) -> Result<Self, InvalidValue> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(InvalidValue::Percent(percent.to_string()))
        }
    }
}

/// The body of a direct response.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "RawBody")]
pub struct Body {
    string: Option<String>,
    bytes: Option<String>,
}

#[derive(Deserialize)]
struct RawBody {
    string: Option<String>,
    bytes: Option<String>,
}

impl TryFrom<RawBody> for Body {
    type Error = InvalidValue;

    fn try_from(RawBody { string, bytes }: RawBody) -> Result<Self, InvalidValue> {
        let length = match (&string, &bytes) {
            (Some(text), None) => Some(text.len()),
            (None, Some(text)) => BASE64_STANDARD.decode(text).ok().map(|bytes| bytes.len()),
            (None, None) => Some(0),
            (Some(_), Some(_)) => None,
        };
        if length.is_none_or(|length| length > MAX_BODY) {
            return Err(InvalidValue::Body);
        }
        Ok(Self { string, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duration(text: &str) -> Result<String, InvalidValue> {
        Duration::try_from(text.to_owned()).map(String::from)
    }

    #[test]
    fn a_duration_is_written_in_seconds() {
        for (text, expected) in [
            ("10s", "10s"),
            ("0s", "0s"),
            ("0", "0s"),
            ("1h30m", "5400s"),
            ("1.5h", "5400s"),
            ("500ms", "0.5s"),
            ("2m1.9s", "121.9s"),
            ("1h1ns", "3600.000000001s"),
        ] {
            assert_eq!(duration(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "1", "s", "1d", "1h2", "-1s", ".s", "1.2.3s", "99999999999h", "10 s"] {
            assert_eq!(duration(text), Err(InvalidValue::Duration(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_body_is_not_longer_than_envoy_is_told() {
        let body = |string: Option<String>, bytes: Option<&str>| {
            let bytes = bytes.map(str::to_owned);
            Body::try_from(RawBody { string, bytes })
        };
        assert!(body(Some("a".repeat(MAX_BODY)), None).is_ok());
        assert!(body(Some("a".repeat(MAX_BODY + 1)), None).is_err());
        assert!(body(None, Some("aGk=")).is_ok());
        assert!(body(None, Some("not base64")).is_err());
        assert!(body(Some(String::new()), Some("aGk=")).is_err());
    }
}
