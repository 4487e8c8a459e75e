//! The key ring that seals tokens.
//!
//! A ring is a list of entries `ID:SECRET`, separated by commas or white space: ID is two hexadecimal digits, SECRET is
//! 32 random bytes in base64url without padding. The first entry seals, all of them open. So a key is replaced without
//! losing a session in three steps: append the new one everywhere, move it to the front, drop the old one when the
//! last token that it sealed has expired.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use zeroize::Zeroizing;

/// How many bytes a secret has (XChaCha20-Poly1305).
pub const SECRET_LENGTH: usize = 32;

/// One key of a ring, as it is written down.
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

    /// The entry as it stands in `MOORING_KEYS`. Whoever has this text can forge sessions.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_slice()));
        Zeroizing::new(format!("{:02x}:{}", self.id, secret.as_str()))
    }

    fn parse(position: usize, text: &str) -> Result<Self, InvalidKeys> {
        let shape = InvalidKeys::Shape { position };
        let Some((id, secret)) = text.split_once(':') else {
            return Err(shape);
        };
        if id.len() != 2 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(shape);
        }
        let id = u8::from_str_radix(id, 16).map_err(|_| InvalidKeys::Shape { position })?;
        let decoded = Zeroizing::new(
            URL_SAFE_NO_PAD
                .decode(secret)
                .map_err(|_| InvalidKeys::Encoding { position })?,
        );
        let secret = <[u8; SECRET_LENGTH]>::try_from(decoded.as_slice()).map_err(|_| InvalidKeys::Length {
            position,
            length: decoded.len(),
        })?;
        Ok(Self::new(id, secret))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a text is no key ring. The messages name positions, never contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// There is no entry at all.
    #[error("the key ring is empty; it needs at least one entry `ID:SECRET`, as `mooring keygen` prints it")]
    Empty,
    /// An entry is not of the form `ID:SECRET`.
    #[error("key {position} of the ring is not `ID:SECRET` with an ID of two hexadecimal digits")]
    Shape {
        /// Which entry, counted from 1.
        position: usize,
    },
    /// A secret is not base64url.
    #[error("the secret of key {position} of the ring is not base64url without padding")]
    Encoding {
        /// Which entry, counted from 1.
        position: usize,
    },
    /// A secret is too short or too long.
    #[error("the secret of key {position} of the ring has {length} bytes instead of {SECRET_LENGTH}")]
    Length {
        /// Which entry, counted from 1.
        position: usize,
        /// How many bytes it has.
        length: usize,
    },
    /// Two entries have one id, so that a token could not say which one sealed it.
    #[error("key {position} of the ring has the ID {id:02x} of an earlier one; IDs must differ")]
    Duplicate {
        /// Which entry, counted from 1.
        position: usize,
        /// The id that stands there twice.
        id: u8,
    },
}

/// The keys of a gateway, ready for use.
pub struct KeyRing {
    sealing: Key,
    others: Vec<Key>,
}

pub(crate) struct Key {
    pub(crate) id: u8,
    pub(crate) cipher: XChaCha20Poly1305,
}

impl KeyRing {
    /// Reads a ring from the text of `MOORING_KEYS`.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let mut keys: Vec<Key> = Vec::new();
        let entries = text
            .split(|character: char| character == ',' || character.is_ascii_whitespace())
            .filter(|entry| !entry.is_empty());
        for (position, entry) in (1..).zip(entries) {
            let entry = Entry::parse(position, entry)?;
            if keys.iter().any(|key| key.id == entry.id) {
                return Err(InvalidKeys::Duplicate { position, id: entry.id });
            }
            let secret: &[u8; SECRET_LENGTH] = &entry.secret;
            keys.push(Key {
                id: entry.id,
                cipher: XChaCha20Poly1305::new(secret.into()),
            });
        }
        let mut keys = keys.into_iter();
        let sealing = keys.next().ok_or(InvalidKeys::Empty)?;
        Ok(Self {
            sealing,
            others: keys.collect(),
        })
    }

    /// The key that seals new tokens.
    pub(crate) fn sealing(&self) -> &Key {
        &self.sealing
    }

    /// The key with this id.
    pub(crate) fn find(&self, id: u8) -> Option<&Key> {
        std::iter::once(&self.sealing)
            .chain(&self.others)
            .find(|key| key.id == id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("sealing", &self.sealing.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn entry(id: u8) -> String {
        Entry::new(id, [id; 32]).reveal().to_string()
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
    fn a_bad_ring_is_refused_without_showing_it() {
        let parse = |text: &str| KeyRing::parse(text).unwrap_err();
        assert_eq!(parse(" ,\n"), InvalidKeys::Empty);
        assert_eq!(parse("secret"), InvalidKeys::Shape { position: 1 });
        assert_eq!(parse("123:abcd"), InvalidKeys::Shape { position: 1 });
        assert_eq!(parse("+1:abcd"), InvalidKeys::Shape { position: 1 });
        assert_eq!(
            parse(&format!("{},02:!!", entry(1))),
            InvalidKeys::Encoding { position: 2 }
        );
        assert_eq!(parse("01:AAAA"), InvalidKeys::Length { position: 1, length: 3 });
        assert_eq!(
            parse(&format!("{},{}", entry(3), entry(3))),
            InvalidKeys::Duplicate { position: 2, id: 3 }
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn secrets_are_never_printed_for_debugging() {
        let secret = entry(0x5a);
        let ring = KeyRing::parse(&secret).unwrap();
        let printed = format!("{ring:?} {:?}", Entry::new(0x5a, [0x5a; 32]));
        assert!(!printed.contains("WlpaWl"), "{printed}");
        assert!(secret.contains("WlpaWl"));
    }
}
