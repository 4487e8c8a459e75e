//! The sealed value that a client carries: XChaCha20-Poly1305, in base64url without padding.
//!
//! ```text
//! offset  bytes  what
//! 0       1      format version
//! 1       1      id of the key that sealed it
//! 2       2      binding hint: tells another rule's token apart before it is opened
//! 4       24     nonce, random
//! 28      n      sealed: issue time (8), last-seen time (8), flags (1), length of the backend key (1), backend key, host
//! 28+n    16     authentication tag
//! ```
//!
//! Associated data are the first four bytes, the route id and the session name. So a token opens under the rule and the
//! name that it was made for and nowhere else. Times are seconds since the Unix epoch, big-endian.
//!
//! The nonce is random and 24 bytes long, so that any number of gateways can share a key without counting.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{AeadInOut as _, XNonce};
use siphasher::sip::SipHasher24;

use crate::keys::KeyRing;

/// The format that this version writes and reads.
const VERSION: u8 = 1;
/// Where the nonce begins: after version, key id and hint.
const PREFIX_LENGTH: usize = 4;
/// How many random bytes each token needs.
pub const NONCE_LENGTH: usize = 24;
const TAG_LENGTH: usize = 16;
/// The longest token that is looked at, and so the longest that is made. Ours are about 150 characters.
const MAX_LENGTH: usize = 1024;

const FLAG_SECURE: u8 = 1;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// When the session began, in seconds since the Unix epoch.
    pub issued: u64,
    /// When the session was last seen, in seconds since the Unix epoch.
    pub seen: u64,
    /// Whether the cookie was sent with the `Secure` attribute. False where no cookie carries the token.
    pub secure: bool,
    /// The key of the backend to which the session is bound.
    pub backend: Box<[u8]>,
    /// The host to which the session is bound, `ip:port`. Empty: any host of the backend.
    pub host: Box<[u8]>,
}

/// Why a token did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It is no token: not base64url, or too short or too long.
    Malformed,
    /// It is of another format version.
    Version,
    /// No key of the ring has its id.
    UnknownKey,
    /// It was made for another rule or session name.
    Foreign,
    /// Its seal is broken.
    Tampered,
    /// Its issue time lies in the future.
    Future,
}

/// What a token is bound to: a route id and a session name.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The associated data, with the first four bytes of the token to be filled in.
    context: Box<[u8]>,
    hint: [u8; 2],
}

impl Binding {
    /// The binding of one session of one rule.
    #[must_use]
    pub fn new(route_id: &str, session_name: &str) -> Self {
        // Neither part can contain a NUL, so no two pairs give the same bytes.
        let context: Box<[u8]> = [route_id.as_bytes(), b"\0", session_name.as_bytes()].concat().into();
        let [first, second, ..] = SipHasher24::new().hash(&context).to_be_bytes();
        Self {
            context,
            hint: [first, second],
        }
    }

    fn associated_data(&self, prefix: [u8; PREFIX_LENGTH]) -> Vec<u8> {
        [prefix.as_slice(), &self.context].concat()
    }
}

/// A token that cannot be written: the backend key is longer than 255 bytes, the whole is longer than what is opened, or the
/// cipher refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token could not be sealed")]
pub struct SealError;

impl Token {
    /// A session that begins now and is bound to nothing yet.
    #[must_use]
    pub fn begin(now: u64, secure: bool) -> Self {
        Self {
            issued: now,
            seen: now,
            secure,
            backend: Box::default(),
            host: Box::default(),
        }
    }

    /// Seals the token with the first key of the ring. `nonce` must be random and used once.
    pub fn seal(&self, keys: &KeyRing, binding: &Binding, nonce: [u8; NONCE_LENGTH]) -> Result<String, SealError> {
        let key = keys.sealing();
        let backend_length = u8::try_from(self.backend.len()).map_err(|_| SealError)?;
        let [first, second] = binding.hint;
        let prefix = [VERSION, key.id, first, second];
        let mut sealed = [
            self.issued.to_be_bytes().as_slice(),
            &self.seen.to_be_bytes(),
            &[if self.secure { FLAG_SECURE } else { 0 }, backend_length],
            &self.backend,
            &self.host,
        ]
        .concat();
        let tag = key
            .cipher
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                &binding.associated_data(prefix),
                sealed.as_mut_slice().into(),
            )
            .map_err(|_| SealError)?;
        let text = URL_SAFE_NO_PAD.encode([prefix.as_slice(), &nonce, &sealed, &tag].concat());
        if text.len() > MAX_LENGTH {
            return Err(SealError);
        }
        Ok(text)
    }

    /// Opens the text that a client sent.
    pub fn open(text: &[u8], keys: &KeyRing, binding: &Binding) -> Result<Self, Rejection> {
        if text.len() > MAX_LENGTH {
            return Err(Rejection::Malformed);
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Rejection::Malformed)?;
        let (prefix, rest) = bytes
            .split_first_chunk_mut::<PREFIX_LENGTH>()
            .ok_or(Rejection::Malformed)?;
        let [version, key_id, hint @ ..] = *prefix;
        if version != VERSION {
            return Err(Rejection::Version);
        }
        let (nonce, rest) = rest
            .split_first_chunk_mut::<NONCE_LENGTH>()
            .ok_or(Rejection::Malformed)?;
        let (sealed, tag) = rest.split_last_chunk_mut::<TAG_LENGTH>().ok_or(Rejection::Malformed)?;
        let key = keys.find(key_id).ok_or(Rejection::UnknownKey)?;
        if hint != binding.hint {
            return Err(Rejection::Foreign);
        }
        key.cipher
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &binding.associated_data(*prefix),
                (&mut *sealed).into(),
                (&*tag).into(),
            )
            .map_err(|_| Rejection::Tampered)?;
        Self::read(sealed).ok_or(Rejection::Malformed)
    }

    /// Reads what was sealed.
    fn read(plain: &[u8]) -> Option<Self> {
        let (issued, rest) = plain.split_first_chunk::<8>()?;
        let (seen, rest) = rest.split_first_chunk::<8>()?;
        let ([flags, backend_length], rest) = rest.split_first_chunk::<2>()?;
        let (backend, host) = rest.split_at_checked(usize::from(*backend_length))?;
        Some(Self {
            issued: u64::from_be_bytes(*issued),
            seen: u64::from_be_bytes(*seen),
            secure: flags & FLAG_SECURE != 0,
            backend: backend.into(),
            host: host.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::keys::Entry;

    const NONCE: [u8; NONCE_LENGTH] = [3; NONCE_LENGTH];

    fn ring(ids: &[u8]) -> KeyRing {
        let entries: Vec<String> = ids
            .iter()
            .map(|&id| Entry::new(id, [id; 32]).reveal().to_string())
            .collect();
        KeyRing::parse(&entries.join(",")).unwrap()
    }

    fn binding() -> Binding {
        Binding::new("HTTPRoute/shop/store#0", "cart")
    }

    fn token() -> Token {
        Token {
            issued: 1_700_000_000,
            seen: 1_700_000_100,
            secure: true,
            backend: b"store.shop:80".as_slice().into(),
            host: b"10.244.0.11:8080".as_slice().into(),
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn opens_what_it_sealed() {
        let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
        assert_eq!(Token::open(text.as_bytes(), &ring(&[1]), &binding()), Ok(token()));
        assert!(text.len() < 160, "{}", text.len());
    }

    #[test]
    #[wasm_bindgen_test]
    fn no_token_is_sealed_that_is_too_long_to_be_opened() {
        let with_host = |length: usize| Token {
            host: vec![b'1'; length].into(),
            ..token()
        };
        let longest = with_host(693);
        let text = longest.seal(&ring(&[1]), &binding(), NONCE).unwrap();
        assert_eq!(text.len(), MAX_LENGTH);
        assert_eq!(Token::open(text.as_bytes(), &ring(&[1]), &binding()), Ok(longest));
        assert_eq!(with_host(694).seal(&ring(&[1]), &binding(), NONCE), Err(SealError));
    }

    #[test]
    #[wasm_bindgen_test]
    fn shows_nothing_of_what_it_holds() {
        let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(b"10.244") && !holds(b"store"));
    }

    #[test]
    #[wasm_bindgen_test]
    fn every_key_of_the_ring_opens() {
        let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
        assert_eq!(Token::open(text.as_bytes(), &ring(&[2, 1]), &binding()), Ok(token()));
        assert_eq!(
            Token::open(text.as_bytes(), &ring(&[2]), &binding()),
            Err(Rejection::UnknownKey)
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn another_secret_under_the_same_id_does_not_open() {
        let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
        let other = KeyRing::parse(&Entry::new(1, [9; 32]).reveal()).unwrap();
        assert_eq!(
            Token::open(text.as_bytes(), &other, &binding()),
            Err(Rejection::Tampered)
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn opens_under_no_other_route_or_name() {
        let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
        for (route, name) in [
            ("HTTPRoute/shop/store#1", "cart"),
            ("HTTPRoute/shop/store#0", "cart2"),
            ("HTTPRoute/shop/store#0c", "art"),
        ] {
            let other = Binding::new(route, name);
            assert_eq!(
                Token::open(text.as_bytes(), &ring(&[1]), &other),
                Err(Rejection::Foreign)
            );
            // And not for want of a hint: the seal itself holds.
            let same_hint = Binding {
                hint: binding().hint,
                ..other
            };
            assert_eq!(
                Token::open(text.as_bytes(), &ring(&[1]), &same_hint),
                Err(Rejection::Tampered)
            );
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn every_flipped_bit_is_noticed() {
        let keys = ring(&[1]);
        let text = token().seal(&keys, &binding(), NONCE).unwrap().into_bytes();
        for (position, bit) in (0..text.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
            let mut flipped = text.clone();
            flipped[position] ^= 1 << bit;
            assert!(
                Token::open(&flipped, &keys, &binding()).is_err(),
                "bit {bit} of character {position}"
            );
        }
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for (position, bit) in (0..bytes.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            let flipped = URL_SAFE_NO_PAD.encode(flipped);
            assert!(
                Token::open(flipped.as_bytes(), &keys, &binding()).is_err(),
                "bit {bit} of byte {position}"
            );
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn garbage_is_malformed() {
        let keys = ring(&[1]);
        let open = |text: &[u8]| Token::open(text, &keys, &binding()).unwrap_err();
        assert_eq!(open(b""), Rejection::Malformed);
        assert_eq!(open(b"AQ"), Rejection::Malformed);
        assert_eq!(open(b"\xff\xfe\x00"), Rejection::Malformed);
        assert_eq!(open(&[b'A'; 4096]), Rejection::Malformed);
        assert_eq!(open(b"AgEAAAAA"), Rejection::Version);
        let text = token().seal(&keys, &binding(), NONCE).unwrap();
        assert_eq!(open(&text.as_bytes()[..50]), Rejection::Malformed);
        assert_eq!(open(&text.as_bytes()[..100]), Rejection::Tampered);
        assert_eq!(open(format!("{text}=").as_bytes()), Rejection::Malformed);
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_backend_key_that_does_not_fit_is_refused() {
        let long = Token {
            backend: vec![b'a'; 256].into(),
            ..token()
        };
        assert_eq!(long.seal(&ring(&[1]), &binding(), NONCE), Err(SealError));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        fn any_token() -> impl Strategy<Value = Token> {
            let bytes = |most: usize| proptest::collection::vec(any::<u8>(), 0..=most).prop_map(Vec::into_boxed_slice);
            (any::<u64>(), any::<u64>(), any::<bool>(), bytes(255), bytes(64)).prop_map(
                |(issued, seen, secure, backend, host)| Token {
                    issued,
                    seen,
                    secure,
                    backend,
                    host,
                },
            )
        }

        proptest! {
            #[test]
            fn seal_then_open_gives_back_what_went_in(token in any_token(), nonce in any::<[u8; NONCE_LENGTH]>()) {
                let keys = ring(&[1]);
                let text = token.seal(&keys, &binding(), nonce).unwrap();
                prop_assert_eq!(Token::open(text.as_bytes(), &keys, &binding()), Ok(token));
            }

            #[test]
            fn any_bytes_are_refused_or_opened_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
                prop_assert!(Token::open(&text, &ring(&[1]), &binding()).is_err());
            }

            #[test]
            fn any_change_of_route_name_or_key_is_noticed(
                route in "[a-zA-Z0-9/#.-]{1,40}", name in "[a-z-]{1,20}", other in "[a-z-]{1,20}", id in 2..=255_u8
            ) {
                let made_for = Binding::new(&route, &name);
                let text = token().seal(&ring(&[1]), &made_for, NONCE).unwrap();
                prop_assert!(Token::open(text.as_bytes(), &ring(&[id]), &made_for).is_err());
                if other != name {
                    prop_assert!(Token::open(text.as_bytes(), &ring(&[1]), &Binding::new(&route, &other)).is_err());
                    prop_assert!(Token::open(text.as_bytes(), &ring(&[1]), &Binding::new(&other, &name)).is_err());
                }
            }
        }
    }
}
