//! The key ring that seals tokens.
//!
//! A ring is a list of entries `ID:SECRET`, separated by commas or white space. ID is two hexadecimal digits, SECRET is 32
//! random bytes in base64url without padding. The first entry seals tokens, and all entries open them. Therefore a key can be
//! replaced without losing sessions: append the new key everywhere, move it to the front, and remove the old key when the last
//! token that it sealed has expired.
//!
//! An invalid entry is ignored; the first valid entry seals.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use siphasher::sip::SipHasher24;
use zeroize::Zeroizing;

mod secret;

pub use self::secret::SECRET_LENGTH;

/// The environment variable of the gateway that contains the key ring.
pub const ENVIRONMENT_VARIABLE: &str = "MOORING_KEYS";

/// The nonce that derives the key of the hints. The nonces of tokens are random, so one of them equals this one with a
/// probability of 2^-192.
const HINT_NONCE: &[u8; 24] = b"mooring: key of the hint";

/// One entry of a ring.
pub struct Entry {
    id: u8,
    secret: Zeroizing<[u8; SECRET_LENGTH]>,
}

impl Entry {
    /// A new entry. `secret` must come from the operating system's random generator.
    #[must_use]
    pub fn new(id: u8, secret: [u8; SECRET_LENGTH]) -> Self {
        Self {
            id,
            secret: Zeroizing::new(secret),
        }
    }

    /// The text of the entry for `MOORING_KEYS`. Anyone who has this text can forge sessions.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_slice()));
        Zeroizing::new(format!("{:02x}:{}", self.id, secret.as_str()))
    }

    /// The id of the key in tokens.
    #[must_use]
    pub fn id(&self) -> u8 {
        self.id
    }

    fn parse(position: usize, text: &str) -> Result<Self, InvalidKey> {
        let shape = InvalidKey::Shape { position };
        let Some((id, secret)) = text.split_once(':') else {
            return Err(shape);
        };
        if id.len() != 2 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(shape);
        }
        let id = u8::from_str_radix(id, 16).map_err(|_| InvalidKey::Shape { position })?;
        let decoded = Zeroizing::new(
            URL_SAFE_NO_PAD
                .decode(secret)
                .map_err(|_| InvalidKey::Encoding { position })?,
        );
        let secret = <[u8; SECRET_LENGTH]>::try_from(decoded.as_slice()).map_err(|_| InvalidKey::Length {
            position,
            length: decoded.len(),
        })?;
        let entry = Self::new(id, secret);
        if secret::is_guessable(&entry.secret) {
            return Err(InvalidKey::Guessable { position });
        }
        Ok(entry)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why an entry of a ring is invalid. The messages contain positions, never secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It does not have the form `ID:SECRET`.
    #[error("key {position} of the ring is not `ID:SECRET` with an ID of two hexadecimal digits")]
    Shape {
        /// The position of the entry, counted from 1.
        position: usize,
    },
    /// Its secret is not base64url.
    #[error("the secret of key {position} of the ring is not base64url without padding")]
    Encoding {
        /// The position of the entry, counted from 1.
        position: usize,
    },
    /// Its secret has the wrong length.
    #[error("the secret of key {position} of the ring has {length} bytes instead of {SECRET_LENGTH}")]
    Length {
        /// The position of the entry, counted from 1.
        position: usize,
        /// The number of bytes.
        length: usize,
    },
    /// Its secret can be guessed.
    #[error("the secret of key {position} of the ring is not random: take one that `mooring keygen` prints")]
    Guessable {
        /// The position of the entry, counted from 1.
        position: usize,
    },
    /// An earlier entry has the same id, so a token could not identify the key that sealed it.
    #[error("key {position} of the ring has the ID {id:02x} of an earlier one; IDs must differ")]
    Duplicate {
        /// The position of the entry, counted from 1.
        position: usize,
        /// The id that both entries have.
        id: u8,
    },
}

impl InvalidKey {
    /// The position of the entry, counted from 1.
    #[must_use]
    pub fn position(&self) -> usize {
        match self {
            Self::Shape { position }
            | Self::Encoding { position }
            | Self::Length { position, .. }
            | Self::Guessable { position }
            | Self::Duplicate { position, .. } => *position,
        }
    }
}

/// Why a text is not a valid key ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// It has no entries.
    #[error("the key ring is empty; it needs at least one entry `ID:SECRET`, as `mooring keygen` prints it")]
    Empty,
    /// An entry is invalid.
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

/// The valid and the invalid entries of a text. Of several valid entries with the same id, only the first is valid.
#[must_use]
pub fn entries(text: &str) -> (Vec<Entry>, Vec<InvalidKey>) {
    let (mut valid, mut invalid): (Vec<Entry>, Vec<InvalidKey>) = Default::default();
    let texts = text
        .split(|character: char| character == ',' || character.is_ascii_whitespace())
        .filter(|entry| !entry.is_empty());
    for (position, text) in (1..).zip(texts) {
        match Entry::parse(position, text) {
            Ok(entry) if valid.iter().any(|other| other.id == entry.id) => {
                invalid.push(InvalidKey::Duplicate { position, id: entry.id });
            }
            Ok(entry) => valid.push(entry),
            Err(error) => invalid.push(error),
        }
    }
    (valid, invalid)
}

/// The text of a ring of these entries for `MOORING_KEYS`.
#[must_use]
pub fn reveal(entries: &[Entry]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    for entry in entries {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&entry.reveal());
    }
    text
}

/// The keys of a gateway.
pub struct KeyRing {
    sealing: Key,
    others: Vec<Key>,
}

/// The result of [`KeyRing::parse_lossy`].
#[derive(Debug)]
pub struct ParsedRing {
    /// The ring of the valid entries. None if no entry is valid.
    pub ring: Option<KeyRing>,
    /// The invalid entries, in order.
    pub rejected: Vec<InvalidKey>,
}

pub(crate) struct Key {
    pub(crate) id: u8,
    pub(crate) cipher: XChaCha20Poly1305,
    hints: SipHasher24,
}

impl Key {
    fn new(entry: &Entry) -> Self {
        let secret: &[u8; SECRET_LENGTH] = &entry.secret;
        let cipher = XChaCha20Poly1305::new(secret.into());
        let mut hint_key = Zeroizing::new([0; 16]);
        // The encryption of zeros is the key stream of this nonce, and reveals nothing about other nonces. Encrypting so short a
        // text cannot fail. If it did, the key of the hints would be known, but tokens would be as safe as before.
        let _ = cipher.encrypt_inout_detached(&XNonce::from(*HINT_NONCE), b"", hint_key.as_mut_slice().into());
        Self {
            id: entry.id,
            cipher,
            hints: SipHasher24::new_with_key(&hint_key),
        }
    }

    /// The hint at their binding that tokens under this key contain. Without the key, the hint does not reveal the binding.
    pub(crate) fn hint(&self, context: &[u8]) -> [u8; 2] {
        let [first, second, ..] = self.hints.hash(context).to_be_bytes();
        [first, second]
    }
}

impl KeyRing {
    /// Parses a ring. All of its entries must be valid.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let ParsedRing { ring, rejected } = Self::parse_lossy(text);
        match rejected.into_iter().next() {
            Some(invalid) => Err(invalid.into()),
            None => ring.ok_or(InvalidKeys::Empty),
        }
    }

    /// Parses the valid entries of a ring.
    #[must_use]
    pub fn parse_lossy(text: &str) -> ParsedRing {
        let (valid, rejected) = entries(text);
        let mut keys = valid.iter().map(Key::new);
        let ring = keys.next().map(|sealing| Self {
            sealing,
            others: keys.collect(),
        });
        ParsedRing { ring, rejected }
    }

    /// The ids of the keys, beginning with the one that seals.
    pub fn ids(&self) -> impl Iterator<Item = u8> {
        self.keys().map(|key| key.id)
    }

    /// The key that seals new tokens.
    pub(crate) fn sealing(&self) -> &Key {
        &self.sealing
    }

    /// The key with this id.
    pub(crate) fn find(&self, id: u8) -> Option<&Key> {
        self.keys().find(|key| key.id == id)
    }

    /// All keys, beginning with the one that seals.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.sealing).chain(&self.others)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("sealing", &self.sealing.id)
            .finish_non_exhaustive()
    }
}

/// A valid secret for tests; different numbers give different secrets.
#[cfg(test)]
pub(crate) fn test_secret(number: u8) -> [u8; SECRET_LENGTH] {
    std::array::from_fn(|position| {
        let position = u8::try_from(position).unwrap();
        number ^ position.wrapping_mul(position).wrapping_mul(7)
    })
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn entry(id: u8) -> String {
        Entry::new(id, test_secret(id)).reveal().to_string()
    }

    fn ids(ring: &KeyRing) -> Vec<u8> {
        ring.keys().map(|key| key.id).collect()
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_first_key_seals_and_all_open() {
        let ring = KeyRing::parse(&format!("{},{}\n {}\n", entry(7), entry(0xa1), entry(9))).unwrap();
        assert_eq!(ring.sealing().id, 7);
        for id in [7, 0xa1, 9] {
            assert_eq!(ring.find(id).map(|key| key.id), Some(id));
        }
        assert!(ring.find(8).is_none());
    }

    #[test]
    #[wasm_bindgen_test]
    fn an_invalid_ring_is_refused_without_showing_it() {
        let parse = |text: &str| KeyRing::parse(text).unwrap_err();
        assert_eq!(parse(" ,\n"), InvalidKeys::Empty);
        assert_eq!(parse("secret"), InvalidKey::Shape { position: 1 }.into());
        assert_eq!(parse("123:abcd"), InvalidKey::Shape { position: 1 }.into());
        assert_eq!(parse("+1:abcd"), InvalidKey::Shape { position: 1 }.into());
        assert_eq!(
            parse(&format!("{},02:!!", entry(1))),
            InvalidKey::Encoding { position: 2 }.into()
        );
        assert_eq!(parse("01:AAAA"), InvalidKey::Length { position: 1, length: 3 }.into());
        let zeros = Entry::new(1, [0; SECRET_LENGTH]).reveal();
        assert_eq!(parse(&zeros), InvalidKey::Guessable { position: 1 }.into());
        assert_eq!(
            parse(&format!("{},{}", entry(3), entry(3))),
            InvalidKey::Duplicate { position: 2, id: 3 }.into()
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn valid_entries_count_beside_invalid_ones() {
        let same_id = Entry::new(3, test_secret(4)).reveal().to_string();
        let zeros = Entry::new(8, [0; SECRET_LENGTH]).reveal().to_string();
        let text = ["junk", &entry(3), "05:AAAA", &same_id, &entry(6), "06:!!", &zeros].join(",");
        let ParsedRing { ring, rejected } = KeyRing::parse_lossy(&text);
        let ring = ring.unwrap();
        // The first entry is invalid, so the first valid one seals.
        assert_eq!((ring.sealing().id, ids(&ring)), (3, vec![3, 6]));
        assert_eq!(
            rejected,
            [
                InvalidKey::Shape { position: 1 },
                InvalidKey::Length { position: 3, length: 3 },
                InvalidKey::Duplicate { position: 4, id: 3 },
                InvalidKey::Encoding { position: 6 },
                InvalidKey::Guessable { position: 7 },
            ]
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_id_of_an_invalid_entry_is_free() {
        let ParsedRing { ring, rejected } = KeyRing::parse_lossy(&format!("03:AAAA {}", entry(3)));
        assert_eq!(ids(&ring.unwrap()), [3]);
        assert_eq!(rejected, [InvalidKey::Length { position: 1, length: 3 }]);
    }

    #[test]
    #[wasm_bindgen_test]
    fn without_a_valid_entry_no_ring_exists() {
        for text in ["", " ,\n", "junk", "01:AAAA,02"] {
            assert!(KeyRing::parse_lossy(text).ring.is_none(), "{text}");
        }
        assert_eq!(KeyRing::parse_lossy("").rejected, []);
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_hint_depends_on_the_key() {
        let hint = |id: u8| {
            let ring = KeyRing::parse(&entry(id)).unwrap();
            ring.sealing().hint(b"HTTPRoute/shop/store#0\0cart")
        };
        assert_eq!(hint(1), hint(1));
        let hints: std::collections::BTreeSet<[u8; 2]> = (0..=u8::MAX).map(hint).collect();
        // Every other set of 256 random hints has a duplicate.
        assert!(hints.len() >= 250, "{}", hints.len());
    }

    #[test]
    #[wasm_bindgen_test]
    fn secrets_are_never_printed_for_debugging() {
        let secret = entry(0x5a);
        let ring = KeyRing::parse(&secret).unwrap();
        let printed = format!("{ring:?} {:?}", Entry::new(0x5a, test_secret(0x5a)));
        let beginning: String = secret.chars().skip(3).take(8).collect();
        assert!(!printed.contains(&beginning), "{printed}");
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn one_invalid_entry_does_not_affect_the_others(ids in proptest::sample::subsequence((0..=u8::MAX).collect::<Vec<_>>(), 1..5),
                bad in "[0-9a-z:_-]{1,50}", at in any::<prop::sample::Index>()) {
                let mut texts: Vec<String> = ids.iter().map(|id| entry(*id)).collect();
                let at = at.index(texts.len() + 1);
                texts.insert(at, bad);
                let reading = KeyRing::parse_lossy(&texts.join(","));
                prop_assert_eq!(super::ids(&reading.ring.unwrap()), ids);
                prop_assert_eq!(reading.rejected.len(), 1);
            }
        }
    }
}
