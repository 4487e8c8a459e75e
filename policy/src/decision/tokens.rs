//! Which of the tokens that a client sent counts.
//!
//! A browser sends several cookies of one name where they were set for other domains or paths, in an order that those who set
//! them can choose. So a value that is no token of the rule must not keep a token from being found, and of several tokens the one that
//! was sealed last counts: what the gateway sends then beats all that the client carries, although it cannot overwrite it.

use std::cmp::Reverse;

use super::Outcome;
use crate::{
    cookie,
    headers::Headers,
    keys::KeyRing,
    rule::{Session, Transport},
    session::{MAX_SKEW, Standing},
    token::{Opener, Token},
};

/// How many tokens of one request are opened, at most: more than browsers keep cookies for a site (180), so that no cookies that
/// others have set hide the client's own. Values that are no token of the rule by their first bytes do not count.
pub const MAX_TOKENS: usize = 256;

/// What the tokens of a request come to: its live session, if it has one.
pub(super) fn read(session: &Session, keys: &KeyRing, headers: &Headers, now: u64) -> (Outcome, Option<Token>) {
    let name = session.name();
    match session.transport() {
        Transport::Header => newest(session, keys, headers.values(name), now),
        Transport::Cookie => {
            let values = headers.values("cookie").flat_map(|line| cookie::values(line, name));
            newest(session, keys, values, now)
        }
    }
}

/// The live session that was sealed last. Without one: what the first session that has ended came to, else the first value.
fn newest<'a>(
    session: &Session,
    keys: &KeyRing,
    values: impl Iterator<Item = &'a [u8]>,
    now: u64,
) -> (Outcome, Option<Token>) {
    let (mut live, mut ended, mut refused) = (None, None, None);
    let mut opener = Opener::new(keys, session.binding());
    let mut left = MAX_TOKENS;
    for value in values {
        let token = opener.screen(value).and_then(|sealed| {
            left = left.saturating_sub(1);
            sealed.open()
        });
        match token.map(|token| (session.timeouts().judge(&token, now), token)) {
            Ok((Standing::Live { refresh_due }, token)) => {
                let age = Reverse(sealed_at(&token, now));
                // Of two that are as old, the later one: browsers send the cookies of longer paths first.
                if live.as_ref().is_none_or(|(least, _, _)| age <= *least) {
                    live = Some((age, refresh_due, token));
                }
            }
            Ok((Standing::ExpiredIdle, _)) => {
                ended.get_or_insert(Outcome::ExpiredIdle);
            }
            Ok((Standing::ExpiredAbsolute, _)) => {
                ended.get_or_insert(Outcome::ExpiredAbsolute);
            }
            Ok((Standing::Rejected(rejection), _)) | Err(rejection) => {
                refused.get_or_insert(Outcome::Rejected(rejection));
            }
        }
        if left == 0 {
            break;
        }
    }
    match live {
        // An end that was sealed last: the client has no session.
        Some((_, _, token)) if token.is_end() => (Outcome::New, None),
        Some((_, true, token)) => (Outcome::RefreshDue, Some(token)),
        Some((_, false, token)) => (Outcome::Resumed, Some(token)),
        None => (ended.or(refused).unwrap_or(Outcome::New), None),
    }
}

/// When a token was sealed, whether it ends what was sealed in that second, and when its session began. A time ahead of the clock
/// was written by one that was wrong, and counts for nothing: it would beat all that is sealed until then.
fn sealed_at(token: &Token, now: u64) -> (u64, bool, u64) {
    let believed = token.seen <= now.saturating_add(MAX_SKEW);
    let sealed = if believed { token.seen } else { token.issued };
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
            host: host.into(),
        }
    }

    fn seal(token: &Token) -> String {
        let binding = Binding::new("HTTPRoute/shop/store#0", "cart");
        token.seal(&keys(), &binding, NONCE).unwrap()
    }

    /// What these values come to, and the host of the session.
    fn read(values: &[&str]) -> (Outcome, Option<Box<[u8]>>) {
        let rule = rule(&[("a", 1)], Some(session()));
        let lines = carried(&rule, values, &[]);
        let (outcome, token) = super::read(rule.session().unwrap(), &keys(), &lines.as_slice().into(), NOW);
        (outcome, token.map(|token| token.host))
    }

    fn resumed(host: &[u8]) -> (Outcome, Option<Box<[u8]>>) {
        (Outcome::Resumed, Some(host.into()))
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
        assert_eq!(read(&sent(MAX_TOKENS)), (Outcome::Rejected(Rejection::Tampered), None));
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
        let (planted, end) = (seal(&token(HOST, 10, 10)), seal(&Token::begin(NOW - 5, false)));
        assert_eq!(read(&[&planted, &end]), (Outcome::New, None));
        assert_eq!(read(&[&end]), (Outcome::New, None));
        let later = seal(&token(OTHER, 1, 1));
        assert_eq!(read(&[&planted, &later, &end]), resumed(OTHER));
        // It ends like a session does.
        let old = seal(&Token::begin(NOW - 601, false));
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
        assert_eq!(read(&["junk", &idle, &absolute]).0, Outcome::ExpiredIdle);
        assert_eq!(read(&["junk", &absolute, &idle]).0, Outcome::ExpiredAbsolute);
        assert_eq!(read(&["junk", "AwEAAAAA"]).0, Outcome::Rejected(Rejection::Malformed));
        assert_eq!(read(&["AwEAAAAA", "junk"]).0, Outcome::Rejected(Rejection::Version));
        assert_eq!(read(&[]).0, Outcome::New);
    }

    #[test]
    #[wasm_bindgen_test]
    fn of_several_header_lines_the_newest_token_counts_too() {
        let by_header = config::Session {
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
