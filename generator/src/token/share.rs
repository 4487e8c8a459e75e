//! The share of a backend, as the command line takes it.

use mooring_policy::share::Share;

/// A share of 100%, in hundredths of a percent.
const ALL: u32 = 10_000;

/// Parses a share in percent with at most two decimals, such as `12.5`.
pub fn parse(text: &str) -> Result<Share, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let hundredths = || format!("{whole}{decimals:0<2}").parse::<u32>().ok();
    Some(())
        .filter(|()| digits(whole, 3) && digits(decimals, 2))
        .and_then(|()| hundredths())
        .filter(|hundredths| *hundredths <= ALL)
        .map(|hundredths| Share::new(hundredths, ALL.into()))
        .ok_or_else(|| "it is not a share in percent: 0 to 100, with at most two decimals".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_of_percent() {
        for (text, weight) in [
            ("0", 0),
            ("100", 10_000),
            ("100.00", 10_000),
            ("12.5", 1_250),
            ("0.01", 1),
            ("7", 700),
        ] {
            assert_eq!(parse(text), Ok(Share::new(weight, 10_000)), "{text}");
        }
        for text in [
            "", ".", "1.", ".5", "100.01", "101", "1.234", "-1", "+1", "5%", "1e1", "0001",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
