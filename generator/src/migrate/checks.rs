//! The texts of the input that become names, hosts, paths and timeouts of the output. In a cluster, the API server has checked
//! most of them; in a file they can be anything, and what is written must be readable.

use mooring_policy::duration::Duration;

use super::sessions;
use crate::{dns, id::Id};

/// The longest session in seconds (GEP-2257: five digits for each unit).
const MAX_SECONDS: u64 = 99_999 * 3_600 + 59 * 60 + 59;

/// Checks the name and namespace of a Service.
pub fn service(id: &Id) -> Result<(), String> {
    let allowed = format!(
        "it has at most {} lower-case letters, digits and `-`, and a letter or digit at both ends",
        dns::MAX_LABEL_LENGTH
    );
    if !dns::is_label(&id.name) {
        return Err(format!("`{}` is not the name of a Service: {allowed}", id.name));
    }
    if !dns::is_label(&id.namespace) {
        return Err(format!("`{}` is not the name of a namespace: {allowed}", id.namespace));
    }
    Ok(())
}

/// Checks a host of a route, which may begin with a wildcard.
pub fn host(text: &str) -> Result<(), String> {
    if dns::is_hostname(text) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is not a host name: labels of letters, digits and `-`, separated by dots, optionally after `*.`, are; an \
         address and a port are not allowed"
    ))
}

/// Checks the name of a rule.
pub fn rule_name(text: &str) -> Result<(), String> {
    if dns::is_name(text) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is not the name of a rule: it has at most {} lower-case letters, digits, `-` and `.`, and a letter or digit at \
         both ends",
        dns::MAX_LENGTH
    ))
}

/// What is said of a session that is shorter than wanted.
pub const SHORTER: &str = "the session lasts 99999h59m59s, the longest timeout of Gateway API";

/// The seconds of a session, and whether they are fewer than the wanted ones because a timeout cannot be longer.
pub fn seconds(wanted: u64) -> (u64, bool) {
    let fits = sessions::duration(wanted).parse::<Duration>().is_ok();
    if fits { (wanted, false) } else { (MAX_SECONDS, true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_session_is_a_duration() {
        for (wanted, expected) in [
            (60, (60, false)),
            (MAX_SECONDS, (MAX_SECONDS, false)),
            (MAX_SECONDS + 1, (MAX_SECONDS, true)),
            (u64::MAX, (MAX_SECONDS, true)),
        ] {
            assert_eq!(seconds(wanted), expected);
            sessions::duration(expected.0).parse::<Duration>().unwrap();
        }
    }
}
