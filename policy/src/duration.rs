//! Durations as the Gateway API writes them (GEP-2257).
//!
//! One to four components of one to five digits each, with the units `h`, `m`, `s` and `ms`, in any order, repeated
//! or not. No signs, no fractions, no days.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MS_PER_SECOND: u64 = 1_000;
const MS_PER_MINUTE: u64 = 60 * MS_PER_SECOND;
const MS_PER_HOUR: u64 = 60 * MS_PER_MINUTE;

/// The longest duration with a canonical form: 99999h59m59s999ms (GEP-2257 allows five digits per component).
const MAX_MS: u64 = 99_999 * MS_PER_HOUR + 59 * MS_PER_MINUTE + 59 * MS_PER_SECOND + 999;

/// A GEP-2257 duration with a precision of milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    ms: u64,
}

impl Duration {
    /// A duration of whole seconds, at most the longest with a canonical form.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        let ms = seconds.saturating_mul(MS_PER_SECOND);
        Self {
            ms: if ms > MAX_MS { MAX_MS } else { ms },
        }
    }

    /// The number of whole seconds; an error if it is zero or not whole.
    pub fn whole_seconds(self) -> Result<u64, NotWholeSeconds> {
        match (self.ms / MS_PER_SECOND, self.ms % MS_PER_SECOND) {
            (seconds @ 1.., 0) => Ok(seconds),
            _ => Err(NotWholeSeconds(self)),
        }
    }
}

/// The duration of a session timeout is zero or has a fraction of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {0}, but sessions count whole seconds: at least 1s, and no fraction of a second")]
pub struct NotWholeSeconds(Duration);

/// A text is not a GEP-2257 duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not a duration: {reason}; write one to four numbers of up to five digits, each with its unit h, m, s \
     or ms, such as 30s, 1h30m or 500ms"
)]
pub struct InvalidDuration {
    found: String,
    reason: Cow<'static, str>,
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let invalid = |reason: Cow<'static, str>| InvalidDuration {
            found: text.to_owned(),
            reason,
        };
        let mut rest = text;
        let mut total: u64 = 0;
        for _ in 0..4 {
            let (component, after) = take_component(rest).map_err(invalid)?;
            total = total.saturating_add(component);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        if !rest.is_empty() {
            return Err(invalid("it has more than four components".into()));
        }
        if total > MAX_MS {
            return Err(invalid("it is longer than 99999h".into()));
        }
        Ok(Self { ms: total })
    }
}

/// The units, in milliseconds.
const UNITS: [(&str, u64); 4] = [
    ("ms", 1),
    ("h", MS_PER_HOUR),
    ("m", MS_PER_MINUTE),
    ("s", MS_PER_SECOND),
];

/// Units that users try although GEP-2257 has no such units, in hours.
const DAYS: [(&str, u64); 2] = [("d", 24), ("w", 7 * 24)];

/// Parses the number and unit at the beginning. Returns milliseconds and the remaining text.
fn take_component(text: &str) -> Result<(u64, &str), Cow<'static, str>> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits).unwrap_or((text, ""));
    match digits {
        0 if text.starts_with(['+', '-']) => return Err("it has a sign".into()),
        0 => return Err("a number is missing".into()),
        1..=5 => {}
        _ => return Err("a number has more than five digits".into()),
    }
    let number: u64 = number.parse().map_err(|_| "a number is missing")?;
    // All other characters outside ASCII count as letters: the Unicode tables would add 20 KB to the module.
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || !letter.is_ascii();
    let letters = rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len());
    let (unit, after) = rest.split_at_checked(letters).unwrap_or((rest, ""));
    match UNITS.into_iter().find(|(name, _)| *name == unit) {
        Some((_, ms)) => Ok((number.saturating_mul(ms), after)),
        None => Err(wrong_unit(number, unit, after)),
    }
}

/// The message about invalid letters or other characters after a number.
fn wrong_unit(number: u64, unit: &str, after: &str) -> Cow<'static, str> {
    let lower = unit.to_ascii_lowercase();
    let hours = DAYS.into_iter().find(|(name, _)| *name == lower);
    if let Some((_, hours)) = hours {
        return format!("there is no unit {unit}: write {}h", number.saturating_mul(hours)).into();
    }
    if let Some((known, _)) = UNITS.into_iter().find(|(name, _)| *name == lower) {
        return format!("there is no unit {unit}: write {number}{known}").into();
    }
    match after.chars().next() {
        _ if !unit.is_empty() => format!("there is no unit {unit}").into(),
        None => "a number has no unit".into(),
        Some('.' | ',') => fraction(number, after),
        Some(_) => "a number has no unit right after it".into(),
    }
}

/// The message about a fraction, with a replacement if one exists.
fn fraction(number: u64, rest: &str) -> Cow<'static, str> {
    const NO_FRACTION: &str = "a number has a fraction";
    let rest = rest.get(1..).unwrap_or("");
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, unit) = rest.split_at_checked(digits).unwrap_or((rest, ""));
    let unit = UNITS.into_iter().find(|(name, _)| *name == unit);
    let (Some((_, unit)), Ok(numerator), 1..=5) = (unit, fraction.parse::<u64>(), digits) else {
        return NO_FRACTION.into();
    };
    let denominator = 10_u64.saturating_pow(u32::try_from(digits).unwrap_or(0));
    let fraction = numerator.saturating_mul(unit);
    match (fraction.checked_div(denominator), fraction.checked_rem(denominator)) {
        (Some(fraction), Some(0)) => {
            let ms = number.saturating_mul(unit).saturating_add(fraction).min(MAX_MS);
            format!("{NO_FRACTION}: write {}", Duration { ms }).into()
        }
        _ => NO_FRACTION.into(),
    }
}

impl fmt::Display for Duration {
    /// The canonical form: the largest units first, without zeros, and `0s` for zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ms == 0 {
            return f.write_str("0s");
        }
        let components = [
            (self.ms / MS_PER_HOUR, "h"),
            (self.ms / MS_PER_MINUTE % 60, "m"),
            (self.ms / MS_PER_SECOND % 60, "s"),
            (self.ms % MS_PER_SECOND, "ms"),
        ];
        for (number, unit) in components.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, "{number}{unit}")?;
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn ms(text: &str) -> Option<u64> {
        text.parse::<Duration>().ok().map(|duration| duration.ms)
    }

    #[test]
    #[wasm_bindgen_test]
    fn accepts_what_gep_2257_accepts() {
        assert_eq!(ms("0s"), Some(0));
        assert_eq!(ms("1h"), Some(3_600_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("30m1h"), Some(5_400_000));
        assert_eq!(ms("10s10s"), Some(20_000));
        assert_eq!(ms("1h30m10s20ms"), Some(5_410_020));
        assert_eq!(ms("99999ms"), Some(99_999));
    }

    #[test]
    #[wasm_bindgen_test]
    fn refuses_what_gep_2257_refuses() {
        for text in [
            "",
            "0",
            "1",
            "1d",
            "-1s",
            "1.5s",
            "1 s",
            "s",
            "100000s",
            "1h30m10s20ms50h",
            "1µs",
            "1H",
        ] {
            assert_eq!(ms(text), None, "{text:?}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_message_explains_what_is_wrong() {
        let message = |text: &str| text.parse::<Duration>().unwrap_err().to_string();
        for (text, reason) in [
            ("1d", "there is no unit d: write 24h"),
            ("2w", "there is no unit w: write 336h"),
            ("1D12h", "there is no unit D: write 24h"),
            ("10M", "there is no unit M: write 10m"),
            ("1H", "there is no unit H: write 1h"),
            ("5min", "there is no unit min"),
            ("1µs", "there is no unit µs"),
            ("1.5h", "a number has a fraction: write 1h30m"),
            ("0.25s", "a number has a fraction: write 250ms"),
            ("1,5m", "a number has a fraction: write 1m30s"),
            ("0.3333333333h", "a number has a fraction"),
            ("1.5ms", "a number has a fraction"),
            ("1.h", "a number has a fraction"),
            ("1.5", "a number has a fraction"),
            ("-5m", "it has a sign"),
            ("5 m", "a number has no unit right after it"),
        ] {
            let start = format!("`{text}` is not a duration: {reason}; write");
            assert!(message(text).starts_with(&start), "{}", message(text));
        }
        assert!(message("0").starts_with("`0` is not a duration: a number has no unit; write"));
        assert!(message("").starts_with("`` is not a duration: it is empty; write"));
        assert!(message("99999h99999h").contains("longer than 99999h"));
    }

    #[test]
    #[wasm_bindgen_test]
    fn is_displayed_in_canonical_form() {
        for (text, canonical) in [("60m", "1h"), ("0ms", "0s"), ("90s", "1m30s"), ("1500ms", "1s500ms")] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), canonical);
        }
        let longest = Duration { ms: MAX_MS }.to_string();
        assert_eq!(longest, "99999h59m59s999ms");
        assert_eq!(longest.parse::<Duration>().unwrap().ms, MAX_MS);
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_session_timeout_is_whole_seconds() {
        let seconds = |text: &str| text.parse::<Duration>().unwrap().whole_seconds().ok();
        assert_eq!(seconds("1000ms"), Some(1));
        assert_eq!(seconds("1h"), Some(3_600));
        assert_eq!(seconds("0s"), None);
        assert_eq!(seconds("500ms"), None);
        assert_eq!(seconds("1s1ms"), None);
    }
}
