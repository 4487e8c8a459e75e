//! Durations of inserted routes. Istio reads them as Go does (`time.ParseDuration`), in which `500ms` and `1h30m` are durations; in the
//! JSON of Envoy's messages a duration is a number of seconds, `0.5s`.

use serde_json::Value;

/// A duration as every reader of Envoy's messages takes it. What is no duration stays what it is.
pub fn canonical(duration: &Value) -> Value {
    match duration.as_str().and_then(seconds) {
        Some(seconds) => {
            let number = format!("{seconds:.9}");
            format!("{}s", number.trim_end_matches('0').trim_end_matches('.')).into()
        }
        None => duration.clone(),
    }
}

/// The whole seconds of a duration, for the one field of Envoy that is a number in a text. None: it is no duration.
pub fn whole_seconds(duration: &str) -> Option<String> {
    seconds(duration).map(|seconds| format!("{:.0}", seconds.floor()))
}

fn seconds(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let end = tail.find(|one: char| one.is_ascii_digit() || one == '.');
        let (unit, tail) = tail.split_at_checked(end.unwrap_or(tail.len()))?;
        let factor = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_of_seconds() {
        for (text, expected) in [
            ("3s", "3s"),
            ("0s", "0s"),
            ("10s", "10s"),
            ("100s", "100s"),
            ("500ms", "0.5s"),
            ("20ms", "0.02s"),
            ("1m", "60s"),
            ("1h30m", "5400s"),
            ("1.5h", "5400s"),
            ("1s250ms", "1.25s"),
            ("0.1s", "0.1s"),
            ("7us", "0.000007s"),
            ("1ns", "0.000000001s"),
            ("24h0.3s", "86400.3s"),
        ] {
            assert_eq!(canonical(&text.into()), expected, "{text}");
        }
        for text in ["", "1", "s", "1d", "1h2", "-1s"] {
            assert_eq!(canonical(&text.into()), text);
        }
        assert_eq!(canonical(&5.into()), 5);
    }

    #[test]
    fn a_duration_has_whole_seconds() {
        for (text, expected) in [
            ("24h", "86400"),
            ("1h30m", "5400"),
            ("1.5h", "5400"),
            ("2m1.9s", "121"),
            ("900ms", "0"),
            ("0s", "0"),
        ] {
            assert_eq!(whole_seconds(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "1", "s", "1d", "1h2", "-1s"] {
            assert_eq!(whole_seconds(text), None, "{text}");
        }
    }
}
