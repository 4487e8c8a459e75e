//! Tokens: what was sealed opens to itself, under its own key, route and name, and as no other text.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mooring_fuzz::ring;
use mooring_policy::{
    share::Share,
    token::{Binding, NONCE_LENGTH, Rejection, Token},
};

/// The longest text that is opened.
const LONGEST: usize = 1024;

/// How many bytes of it are left for backend, version and host: three in four, without version, key, hint, nonce, times, flags, length
/// and tag.
const MOST: usize = LONGEST / 4 * 3 - (4 + 24 + 18 + 16);

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// What a client may send.
    Text(&'a [u8]),
    /// What a gateway may seal, and what a client may make of it.
    Sealed(Sealed<'a>),
}

#[derive(Debug, Arbitrary)]
struct Sealed<'a> {
    issued: u64,
    seen: u64,
    secure: bool,
    backend: &'a [u8],
    version: &'a [u8],
    share: Option<[u8; 2]>,
    host: &'a [u8],
    route: &'a str,
    name: &'a str,
    other_route: &'a str,
    other_name: &'a str,
    key: u8,
    nonce: [u8; NONCE_LENGTH],
    changed: u16,
    to: u8,
}

fuzz_target!(|input: Input| {
    match input {
        Input::Text(text) => {
            let opened = Token::open(text, &ring(&[0, 1]), &Binding::new("HTTPRoute/shop/web#0", "shop"));
            assert!(opened.is_err(), "forged: {opened:?}");
        }
        Input::Sealed(sealed) => check(&sealed),
    }
});

fn check(sealed: &Sealed) {
    let key = sealed.key;
    let binding = Binding::new(sealed.route, sealed.name);
    let token = Token {
        issued: sealed.issued,
        seen: sealed.seen,
        secure: sealed.secure,
        backend: sealed.backend.into(),
        version: sealed.version.into(),
        share: sealed.share.map(Share::from_be_bytes),
        host: sealed.host.into(),
    };
    let Ok(text) = token.seal(&ring(&[key]), &binding, sealed.nonce) else {
        // A version has its length before it, and a share takes two bytes.
        let share = sealed.share.map_or(0, |_| 2);
        let has_length = !sealed.version.is_empty() || sealed.share.is_some();
        let version = sealed.version.len() + usize::from(has_length) + share;
        let bytes = sealed.backend.len() + version + sealed.host.len();
        let too_long = sealed.backend.len() > 255 || sealed.version.len() > 255;
        assert!(too_long || bytes > MOST, "not sealed: {token:?}");
        return;
    };
    let text = text.as_bytes();
    assert!(
        text.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
    );
    assert!(text.len() <= LONGEST, "a token of {} characters", text.len());

    let other_key = key.wrapping_add(1);
    assert_eq!(Token::open(text, &ring(&[key]), &binding).as_ref(), Ok(&token));
    assert_eq!(
        Token::open(text, &ring(&[other_key, key]), &binding).as_ref(),
        Ok(&token)
    );
    assert_eq!(
        Token::open(text, &ring(&[other_key]), &binding),
        Err(Rejection::UnknownKey)
    );

    // No route id and no session name has a NUL, which stands between the two.
    let parts = [sealed.route, sealed.name, sealed.other_route, sealed.other_name];
    let same = (sealed.route, sealed.name) == (sealed.other_route, sealed.other_name);
    if !same && !parts.concat().contains('\0') {
        let other = Binding::new(sealed.other_route, sealed.other_name);
        let rejection = Token::open(text, &ring(&[key]), &other).unwrap_err();
        assert!(
            matches!(rejection, Rejection::Foreign | Rejection::Tampered),
            "{rejection:?}"
        );
    }

    let changed = usize::from(sealed.changed) % text.len();
    let mut tampered = text.to_vec();
    tampered[changed] = sealed.to;
    if tampered != text {
        assert!(
            Token::open(&tampered, &ring(&[key, other_key]), &binding).is_err(),
            "byte {changed}"
        );
    }
    assert!(
        Token::open(&text[..changed], &ring(&[key]), &binding).is_err(),
        "cut at {changed}"
    );
    tampered.clear();
    tampered.extend(text);
    tampered.push(sealed.to);
    assert!(
        Token::open(&tampered, &ring(&[key]), &binding).is_err(),
        "more at its end"
    );
}
