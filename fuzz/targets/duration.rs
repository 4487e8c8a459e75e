//! Durations: accepted are those of GEP-2257, and what is written means what was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mooring_policy::duration::Duration;
use regex_lite::Regex;

/// The expression that GEP-2257 gives.
const SYNTAX: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// 99999h59m59s999ms.
const LONGEST: u64 = 359_999_999_999;

std::thread_local! {
    static GEP_2257: Regex = Regex::new(SYNTAX).expect("it is an expression");
    static COMPONENT: Regex = Regex::new("([0-9]+)(ms|h|m|s)").expect("it is an expression");
}

fuzz_target!(|text: &str| {
    let parsed = text.parse::<Duration>();
    let expected = milliseconds(text).filter(|ms| *ms <= LONGEST);
    assert_eq!(parsed.is_ok(), expected.is_some(), "{text:?}: {parsed:?}");
    let (Ok(duration), Some(ms)) = (parsed, expected) else {
        return;
    };

    let written = duration.to_string();
    assert_eq!(milliseconds(&written), Some(ms), "{text:?} became {written:?}");
    assert_eq!(written.parse(), Ok(duration));
    let whole = duration.whole_seconds().ok();
    assert_eq!(whole, (ms > 0 && ms % 1_000 == 0).then_some(ms / 1_000), "{text:?}");
    if let Some(seconds) = whole {
        assert_eq!(Duration::from_secs(seconds), duration);
    }
});

/// What a text of GEP-2257 means.
fn milliseconds(text: &str) -> Option<u64> {
    if !GEP_2257.with(|syntax| syntax.is_match(text)) {
        return None;
    }
    COMPONENT.with(|component| {
        let parts = component.captures_iter(text).map(|part| {
            let number: u64 = part[1].parse().expect("five digits");
            number
                * match &part[2] {
                    "h" => 3_600_000,
                    "m" => 60_000,
                    "s" => 1_000,
                    _ => 1,
                }
        });
        Some(parts.sum())
    })
}
