//! What a token shows without a key: its format version, the id of its key and its length.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{MAX_LENGTH, MIN_LENGTH, VERSIONS, prefix};

/// What a token shows without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The format version.
    pub version: u8,
    /// The id of the key that sealed it.
    pub key_id: u8,
    /// The number of its characters.
    pub length: usize,
}

/// Why a text is not a token. The messages contain nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// A character is not one of base64url.
    #[error("its character {0} is not a letter, a digit, `-` or `_`")]
    Character(usize),
    /// It is too short or too long.
    #[error("it has {0} characters, and a token has {MIN_LENGTH} to {MAX_LENGTH}")]
    Length(usize),
    /// It is not base64url without padding.
    #[error("its {0} characters are not base64url without padding: some of them are missing or changed")]
    Encoding(usize),
    /// It has another format version.
    #[error("its format version is {0}, and this version of Mooring reads 1 to {newest}", newest = VERSIONS.len())]
    Version(u8),
}

impl Outline {
    /// Reads what a token shows. The text has the form of a token then, but anyone can write such a text.
    pub fn read(text: &[u8]) -> Result<Self, NoToken> {
        let of_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        if let Some(position) = text.iter().position(|byte| !of_base64(byte)) {
            return Err(NoToken::Character(position.saturating_add(1)));
        }
        let length = text.len();
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
            return Err(NoToken::Length(length));
        }
        let encoding = NoToken::Encoding(length);
        URL_SAFE_NO_PAD.decode(text).map_err(|_| encoding)?;
        let [version, key_id, ..] = prefix(text).ok_or(encoding)?;
        if !VERSIONS.contains(&version) {
            return Err(NoToken::Version(version));
        }
        Ok(Self {
            version,
            key_id,
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::{
        keys::{Entry, KeyRing, test_secret},
        token::{Binding, Token},
    };

    fn sealed(version: u8) -> String {
        let keys = KeyRing::parse(&Entry::new(0xa7, test_secret(1)).reveal()).unwrap();
        let binding = Binding::new("HTTPRoute/shop/store#0", "cart");
        let token = Token::new(1_700_000_000, false);
        token.seal_as(version, &keys, &binding, [7; 24]).unwrap()
    }

    #[test]
    #[wasm_bindgen_test]
    fn version_and_key_are_seen_without_a_key() {
        for version in VERSIONS {
            let text = sealed(version);
            let expected = Outline {
                version,
                key_id: 0xa7,
                length: text.len(),
            };
            assert_eq!(Outline::read(text.as_bytes()), Ok(expected));
        }
        assert_eq!(Outline::read(sealed(5).as_bytes()), Err(NoToken::Version(5)));
    }

    #[test]
    #[wasm_bindgen_test]
    fn what_has_not_the_form_of_a_token_is_told_apart() {
        let text = sealed(2);
        let cut = |length: usize| Outline::read(&text.as_bytes()[..length]);
        assert_eq!(cut(0), Err(NoToken::Length(0)));
        assert_eq!(cut(MIN_LENGTH - 1), Err(NoToken::Length(MIN_LENGTH - 1)));
        // One character alone is no byte.
        assert_eq!(cut(65), Err(NoToken::Encoding(65)));
        assert_eq!(
            Outline::read("A".repeat(MAX_LENGTH + 1).as_bytes()),
            Err(NoToken::Length(MAX_LENGTH + 1))
        );
        for (wrong, position) in [(format!("{text}="), text.len() + 1), ("a b".to_owned(), 2)] {
            assert_eq!(Outline::read(wrong.as_bytes()), Err(NoToken::Character(position)));
        }
    }
}
