//! Durations. Istio parses them as Go does (`time.ParseDuration`), which accepts `500ms` and `1h30m`. In the JSON of
//! Envoy's messages, a duration is a number of seconds such as `0.5s`.

use serde_json::Value;

use super::values::Duration;

/// Converts a duration into the form that every parser of Envoy's messages accepts. Other values stay unchanged.
pub fn canonical(duration: &Value) -> Value {
    let parsed = duration.as_str().and_then(parse);
    parsed.map_or_else(|| duration.clone(), |parsed| String::from(parsed).into())
}

/// The whole seconds of a duration, for the one Envoy field that holds them as a string. It is `None` if the value is
/// not a duration.
pub fn whole_seconds(duration: &str) -> Option<String> {
    parse(duration).map(|parsed| parsed.seconds().to_string())
}

fn parse(text: &str) -> Option<Duration> {
    Duration::try_from(text.to_owned()).ok()
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
