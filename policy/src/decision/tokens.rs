//! Selects the token of a request that counts.
//!
//! A browser sends several cookies of one name if they were set for different domains or paths. The application that sets a cookie
//! can influence the order. Therefore a value that is not a token of the rule must not hide a token, and of several tokens the one
//! that was sealed last counts. So the token that the gateway sends takes precedence over those that the client has, although it
//! may not replace them.

use std::cmp::Reverse;

use super::reason::SessionOutcome;
use crate::{
    config::Transport,
    cookie,
    headers::Headers,
    keys::KeyRing,
    session::Session,
    timeouts::{MAX_SKEW, SessionState},
    token::{Opener, Token},
};

/// The maximum number of tokens of one request that are opened. It is higher than the number of cookies that browsers keep for a
/// site (180), so that no other cookies hide the client's own. Values that are not tokens of the rule by their first bytes do
/// not count.
pub const MAX_TOKENS: usize = 256;

/// Reads the tokens of a request. Returns the token of its live session, if it has one.
pub(super) fn read(session: &Session, keys: &KeyRing, headers: &Headers, now: u64) -> (SessionOutcome, Option<Token>) {
    let name = session.name();
    match session.transport() {
        Transport::Header => newest(session, keys, headers.values(name), now),
        Transport::Cookie => {
            let values = headers.values("cookie").flat_map(|line| cookie::values(line, name));
            newest(session, keys, values, now)
        }
    }
}

/// The token of a live session that was sealed last. Without one, the outcome is that of the first expired session, else that of
/// the first value.
fn newest<'a>(
    session: &Session,
    keys: &KeyRing,
    values: impl Iterator<Item = &'a [u8]>,
    now: u64,
) -> (SessionOutcome, Option<Token>) {
    let (mut live, mut expired, mut rejected) = (None, None, None);
    let mut opener = Opener::new(keys, session.binding());
    let mut remaining = MAX_TOKENS;
    for value in values {
        let token = opener.screen(value).and_then(|sealed| {
            remaining = remaining.saturating_sub(1);
            sealed.open()
        });
        match token.map(|token| (session.timeouts().evaluate(&token, now), token)) {
            Ok((SessionState::Live { needs_refresh }, token)) => {
                let age = Reverse(recency(&token, now));
                // Of two of the same age, the later one counts: browsers send the cookies of longer paths first (RFC 6265,
                // section 5.4).
                if live.as_ref().is_none_or(|(lowest, _, _)| age <= *lowest) {
                    live = Some((age, needs_refresh, token));
                }
            }
            Ok((SessionState::ExpiredIdle, _)) => {
                expired.get_or_insert(SessionOutcome::ExpiredIdle);
            }
            Ok((SessionState::ExpiredAbsolute, _)) => {
                expired.get_or_insert(SessionOutcome::ExpiredAbsolute);
            }
            Ok((SessionState::Rejected(rejection), _)) | Err(rejection) => {
                rejected.get_or_insert(SessionOutcome::Rejected(rejection));
            }
        }
        if remaining == 0 {
            break;
        }
    }
    match live {
        // The last token ended the session.
        Some((_, _, token)) if token.is_end() => (SessionOutcome::New, None),
        Some((_, true, token)) => (SessionOutcome::NeedsRefresh, Some(token)),
        Some((_, false, token)) => (SessionOutcome::Resumed, Some(token)),
        None => (expired.or(rejected).unwrap_or(SessionOutcome::New), None),
    }
}

/// How recent a token is: when it was sealed, whether it ends a session, and when its session began. A time in the future comes
/// from a wrong clock and is ignored: otherwise it would take precedence over every token that is sealed until then.
fn recency(token: &Token, now: u64) -> (u64, bool, u64) {
    let plausible = token.seen <= now.saturating_add(MAX_SKEW);
    let sealed = if plausible { token.seen } else { token.issued };
    (sealed, token.is_end(), token.issued)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::{super::tests::*, *};
    use crate::{
        config,
        token::{Binding, Rejection},
    };

    /// A live token of the rule `store`, sealed so many seconds ago for a session that began so many seconds ago.
    fn token(host: &[u8], sealed: u64, begun: u64) -> Token {
        Token {
            issued: NOW - begun,
            seen: NOW - sealed,
            secure: false,
            backend: b"a".as_slice().into(),
            version: Box::default(),
            share: None,
            host: host.into(),
        }
    }

    fn seal(token: &Token) -> String {
        let binding = Binding::new("HTTPRoute/shop/store#0", "cart");
        token.seal(&keys(), &binding, NONCE).unwrap()
    }

    /// What these values come to, and the host of the session.
    fn read(values: &[&str]) -> (SessionOutcome, Option<Box<[u8]>>) {
        let rule = rule(&[("a", 1)], Some(session()));
        let lines = carried(&rule, values, &[]);
        let (outcome, token) = super::read(rule.session().unwrap(), &keys(), &lines.as_slice().into(), NOW);
        (outcome, token.map(|token| token.host))
    }

    fn resumed(host: &[u8]) -> (SessionOutcome, Option<Box<[u8]>>) {
        (SessionOutcome::Resumed, Some(host.into()))
    }

    #[test]
    #[wasm_bindgen_test]
    fn junk_hides_no_token_however_much_of_it_there_is() {
        let live = seal(&token(HOST, 1, 1));
        let foreign = token(OTHER, 0, 0)
            .seal(&keys(), &Binding::new("other", "cart"), NONCE)
            .unwrap();
        let beginning = live.get(..40).unwrap();
        let junk = ["", "junk", "AgEAAAAA", "AQ", &foreign, beginning, &"A".repeat(2_000)];
        let many: Vec<&str> = junk
            .iter()
            .copied()
            .cycle()
            .take(5_000)
            .chain([live.as_str()])
            .collect();
        assert_eq!(read(&many), resumed(HOST));
    }

    #[test]
    #[wasm_bindgen_test]
    fn as_many_forged_tokens_as_a_browser_holds_hide_no_token() {
        let live = seal(&token(HOST, 1, 1));
        // A client with a token of its own knows the first bytes.
        let forged = format!("{}AAAA", live.get(..live.len() - 4).unwrap());
        let sent = |count| -> Vec<&str> {
            vec![forged.as_str(); count]
                .into_iter()
                .chain([live.as_str()])
                .collect()
        };
        assert_eq!(read(&sent(180)), resumed(HOST));
        assert_eq!(read(&sent(MAX_TOKENS - 1)), resumed(HOST));
        assert_eq!(
            read(&sent(MAX_TOKENS)),
            (SessionOutcome::Rejected(Rejection::Tampered), None)
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_token_that_was_sealed_last_counts_in_any_order() {
        // The older session is the one that was renewed last.
        let (new, old) = (seal(&token(HOST, 5, 3_000)), seal(&token(OTHER, 20, 20)));
        assert_eq!(read(&[&new, &old]), resumed(HOST));
        assert_eq!(read(&[&old, "junk", &new]), resumed(HOST));
        // Sealed in the same second: the younger session, else the later cookie.
        let younger = seal(&token(OTHER, 5, 2_999));
        assert_eq!(read(&[&younger, &new]), resumed(OTHER));
        let same = seal(&token(OTHER, 5, 3_000));
        assert_eq!(read(&[&same, &new]), resumed(HOST));
        assert_eq!(read(&[&new, &same]), resumed(OTHER));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_planted_token_is_shaken_off_when_its_session_moves() {
        let planted = seal(&token(HOST, 10, 10));
        // The gateway cannot overwrite the planted cookie. What it sends when the session moves is a cookie beside it.
        let moved = seal(&token(OTHER, 0, 10));
        assert_eq!(read(&[&planted]), resumed(HOST));
        assert_eq!(read(&[&planted, &moved]), resumed(OTHER));
        assert_eq!(read(&[&moved, &planted]), resumed(OTHER));
    }

    #[test]
    #[wasm_bindgen_test]
    fn an_end_that_was_sealed_last_beats_a_session() {
        let (planted, end) = (seal(&token(HOST, 10, 10)), seal(&Token::new(NOW - 5, false)));
        assert_eq!(read(&[&planted, &end]), (SessionOutcome::New, None));
        assert_eq!(read(&[&end]), (SessionOutcome::New, None));
        let later = seal(&token(OTHER, 1, 1));
        assert_eq!(read(&[&planted, &later, &end]), resumed(OTHER));
        // It ends like a session does.
        let old = seal(&Token::new(NOW - 601, false));
        assert_eq!(read(&[&planted, &old]), resumed(HOST));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_time_ahead_of_the_clock_beats_nothing() {
        let ahead = Token {
            seen: NOW + 7_200,
            ..token(HOST, 0, 20)
        };
        let own = seal(&token(OTHER, 5, 3_000));
        assert_eq!(read(&[&seal(&ahead), &own]), resumed(OTHER));
        assert_eq!(read(&[&own, &seal(&ahead)]), resumed(OTHER));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_session_that_has_ended_tells_more_than_junk() {
        let (idle, absolute) = (seal(&token(HOST, 601, 601)), seal(&token(HOST, 10, 3_600)));
        assert_eq!(read(&["junk", &idle, &absolute]).0, SessionOutcome::ExpiredIdle);
        assert_eq!(read(&["junk", &absolute, &idle]).0, SessionOutcome::ExpiredAbsolute);
        assert_eq!(
            read(&["junk", "BQEAAAAA"]).0,
            SessionOutcome::Rejected(Rejection::Malformed)
        );
        assert_eq!(
            read(&["BQEAAAAA", "junk"]).0,
            SessionOutcome::Rejected(Rejection::Version)
        );
        assert_eq!(read(&[]).0, SessionOutcome::New);
    }

    #[test]
    #[wasm_bindgen_test]
    fn of_several_header_lines_the_newest_token_counts_too() {
        let by_header = config::SessionConfig {
            transport: Transport::Header,
            ..session()
        };
        let rule = rule(&[("a", 1)], Some(by_header));
        let (old, new) = (seal(&token(HOST, 9, 9)), seal(&token(OTHER, 1, 1)));
        let lines = carried(&rule, &["junk", &new, &old], &[]);
        let (outcome, token) = super::read(rule.session().unwrap(), &keys(), &lines.as_slice().into(), NOW);
        assert_eq!((outcome, token.map(|token| token.host)), resumed(OTHER));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn the_order_of_different_tokens_never_matters(
                ages in proptest::sample::subsequence((0..29_u64).collect::<Vec<_>>(), 1..6).prop_shuffle(),
                junk in "[ -:<-~]{0,20}"
            ) {
                let tokens: Vec<String> = ages
                    .iter()
                    .map(|age| seal(&token(age.to_string().as_bytes(), *age, 29)))
                    .collect();
                let mut values: Vec<&str> = tokens.iter().map(String::as_str).collect();
                values.insert(0, &junk);
                let newest = ages.iter().min().unwrap().to_string();
                prop_assert_eq!(read(&values), resumed(newest.as_bytes()));
            }
        }
    }
}
