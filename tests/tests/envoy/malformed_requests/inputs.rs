//! What a client may send that no browser does: the inputs of the hostile corpus.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use mooring_tests::raw_http::Line;

use crate::shop::COOKIE;

/// The header that carries a session under `/api`.
pub const HEADER: &str = "x-api-session";
/// A header, and a cookie, that a canary rule looks at.
pub const CANARY: &str = "x-canary-user";
/// The header of an opt-in.
pub const OPT_IN: &str = "x-canary";

/// One request.
pub struct Input {
    /// What it is, for a message.
    pub what: String,
    /// Where it goes.
    pub target: &'static str,
    /// Its header lines.
    pub lines: Vec<Line>,
}

impl Input {
    fn new(what: impl Into<String>, target: &'static str, lines: Vec<Line>) -> Self {
        Self {
            what: what.into(),
            target,
            lines,
        }
    }

    /// One Cookie line.
    fn cookie(what: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::new(what, "/", vec![("cookie".to_owned(), value.into())])
    }

    /// A value of the session cookie.
    fn token(what: impl Into<String>, token: &[u8]) -> Self {
        Self::cookie(what, [COOKIE.as_bytes(), b"=", token].concat())
    }

    /// A value of the session header.
    fn header(what: impl Into<String>, token: &[u8]) -> Self {
        Self::new(what, "/api", vec![(HEADER.to_owned(), token.to_vec())])
    }
}

/// All inputs. The tokens are good ones of the cookie session and of the header session, to be spoilt.
pub fn all(cookie_token: &str, header_token: &str) -> Vec<Input> {
    let (cookie, header) = (cookie_token.as_bytes(), header_token.as_bytes());
    let mut inputs = Vec::new();
    inputs.extend((0..=u8::MAX).flat_map(|byte| every_byte(byte, cookie, header)));
    let kinds: [(Make, &[u8]); 2] = [(Input::token, cookie), (Input::header, header)];
    for (make, token) in kinds {
        inputs.extend(truncated(make, token));
        inputs.extend(reordered(make, token));
        inputs.extend(too_much(make, token));
        inputs.extend(flipped(make, token));
    }
    inputs.extend(swapped(cookie, header));
    inputs.extend(stuffed());
    inputs
}

type Make = fn(String, &[u8]) -> Input;

/// A byte wherever the module reads one.
fn every_byte(byte: u8, cookie: &[u8], header: &[u8]) -> Vec<Input> {
    let what = |place: &str| format!("byte {byte:#04x} {place}");
    let one = [byte];
    let inside = |token: &[u8]| [&token[..20], &one, &token[20..]].concat();
    let beside = |name: &str| [b"a=", one.as_slice(), b"; ", name.as_bytes(), b"=x", &one, b"y"].concat();
    let line = |name: &str, value: &[u8]| vec![(name.to_owned(), value.to_vec())];
    vec![
        Input::cookie(what("alone in Cookie"), one),
        Input::cookie(what("in other cookies"), beside("b")),
        Input::cookie(what("in the cookie of a canary"), beside(CANARY)),
        Input::cookie(
            what("in a cookie's name"),
            [b"cart-", one.as_slice(), b"session=", cookie].concat(),
        ),
        Input::token(what("in a token"), &inside(cookie)),
        Input::header(what("alone in the session header"), &one),
        Input::header(what("in a token"), &inside(header)),
        Input::new(
            what("in a canary's header"),
            "/",
            line(CANARY, &[b"a", one.as_slice(), b"b"].concat()),
        ),
        Input::new(what("alone in a canary's header"), "/", line(CANARY, &one)),
        Input::new(
            what("in an opt-in"),
            "/",
            line(OPT_IN, &[b"always", one.as_slice()].concat()),
        ),
        Input::new(what("in our own header"), "/", line("x-mooring-host", &one)),
        Input::new(
            what("in our own header"),
            "/",
            line("x-mooring-backend", &[b"canary", one.as_slice()].concat()),
        ),
    ]
}

/// Every beginning and every end of a token but the whole.
fn truncated(make: Make, token: &[u8]) -> Vec<Input> {
    let cuts = 0..token.len();
    cuts.flat_map(|cut| {
        [
            make(format!("the first {cut} characters"), &token[..cut]),
            make(format!("without the first {} characters", cut + 1), &token[cut + 1..]),
        ]
    })
    .collect()
}

/// The same bytes in another order.
fn reordered(make: Make, token: &[u8]) -> Vec<Input> {
    let mut inputs = Vec::new();
    let mut reversed = token.to_vec();
    reversed.reverse();
    inputs.push(make("reversed".to_owned(), &reversed));
    for by in 1..token.len() {
        let mut rotated = token.to_vec();
        rotated.rotate_left(by);
        inputs.push(make(format!("rotated by {by}"), &rotated));
    }
    let raw = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
    for position in 1..raw.len() {
        let mut swapped = raw.clone();
        swapped.swap(position - 1, position);
        if swapped != raw {
            inputs.push(make(
                format!("bytes {position} and the one before it swapped"),
                BASE64_URL_SAFE_NO_PAD.encode(swapped).as_bytes(),
            ));
        }
    }
    inputs
}

/// More than a token.
fn too_much(make: Make, token: &[u8]) -> Vec<Input> {
    let mut inputs = vec![
        make("doubled".to_owned(), &[token, token].concat()),
        make("doubled, with a space".to_owned(), &[token, b" ", token].concat()),
        make("doubled, with a comma".to_owned(), &[token, b",", token].concat()),
        make("padded".to_owned(), &[token, b"="].concat()),
        make("in another alphabet".to_owned(), b"+/+/+/+/"),
        make("percent-encoded".to_owned(), &[b"%41", token].concat()),
    ];
    for length in [1_023, 1_024, 1_025, 4_096, 16_384, 32_768, 60_000, 65_536, 100_000] {
        let filler = vec![b'A'; length];
        inputs.push(make(format!("{length} characters"), &filler));
        inputs.push(make(
            format!("followed by {length} characters"),
            &[token, &filler].concat(),
        ));
        inputs.push(make(format!("{length} bytes that are no text"), &vec![0xff; length]));
    }
    inputs
}

/// Every single bit of a token, in its text and in what the text stands for.
fn flipped(make: Make, token: &[u8]) -> Vec<Input> {
    let raw = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
    let bits = |length: usize| (0..length).flat_map(|position| (0..8).map(move |bit| (position, bit)));
    let text = bits(token.len()).map(|(position, bit)| {
        let mut flipped = token.to_vec();
        flipped[position] ^= 1 << bit;
        make(format!("bit {bit} of character {position} flipped"), &flipped)
    });
    let bytes = bits(raw.len()).map(|(position, bit)| {
        let mut flipped = raw.clone();
        flipped[position] ^= 1 << bit;
        let flipped = BASE64_URL_SAFE_NO_PAD.encode(flipped);
        make(format!("bit {bit} of byte {position} flipped"), flipped.as_bytes())
    });
    text.chain(bytes).collect()
}

/// A good token where it does not belong.
fn swapped(cookie: &[u8], header: &[u8]) -> Vec<Input> {
    let named = |name: &str| [name.as_bytes(), b"=", cookie].concat();
    vec![
        Input::token("the token of the header session", header),
        Input::header("the token of the cookie session", cookie),
        Input::cookie("a token under another name", named("cart-session2")),
        Input::cookie("a token under a name in capitals", named("CART-SESSION")),
        Input::cookie("a token in another cookie's value", named("x=cart-session")),
        Input::cookie("a token without a name", cookie),
        Input::new(
            "a token in another header",
            "/",
            vec![("authorization".to_owned(), cookie.to_vec())],
        ),
    ]
}

/// Cookies by the thousand.
fn stuffed() -> Vec<Input> {
    let ours = [COOKIE.as_bytes(), b"=x"].concat();
    let joined = |pairs: Vec<Vec<u8>>| pairs.join(b"; ".as_slice());
    let mut inputs = Vec::new();
    for count in [100, 1_000, 3_000, 8_000, 20_000] {
        let others = (0..count).map(|number| format!("c{number}=1").into_bytes()).collect();
        inputs.push(Input::cookie(format!("{count} other cookies"), joined(others)));
        inputs.push(Input::cookie(format!("{count} semicolons"), vec![b';'; count]));
        inputs.push(Input::cookie(format!("{count} equals signs"), vec![b'='; count]));
        inputs.push(Input::cookie(
            format!("{count} empty cookies of ours"),
            joined(vec![b"cart-session=".to_vec(); count]),
        ));
    }
    for count in [4, 100, 500, 1_000, 4_000] {
        inputs.push(Input::cookie(
            format!("{count} of ours"),
            joined(vec![ours.clone(); count]),
        ));
    }
    for count in [2, 50, 90, 101, 200] {
        let line = |value: &[u8]| ("cookie".to_owned(), value.to_vec());
        inputs.push(Input::new(
            format!("{count} Cookie lines"),
            "/",
            vec![line(b"a=1"); count],
        ));
        inputs.push(Input::new(
            format!("{count} Cookie lines of ours"),
            "/",
            vec![line(&ours); count],
        ));
    }
    for kib in [16, 48, 58, 59, 60, 61, 64, 96] {
        let long = vec![b'x'; kib * 1024];
        inputs.push(Input::cookie(
            format!("a cookie of {kib} KiB"),
            [b"a=", long.as_slice()].concat(),
        ));
        inputs.push(Input::token(format!("a session cookie of {kib} KiB"), &long));
    }
    inputs
}
