//! The sealed value that a client carries: XChaCha20-Poly1305, in base64url without padding.
//!
//! ```text
//! offset  bytes  what
//! 0       1      format version
//! 1       1      id of the key that sealed it
//! 2       2      binding hint, derived with that key: detects the token of another rule without opening it
//! 4       24     nonce, random
//! 28      n      sealed: issue time (8), last-seen time (8), flags (1), length of the backend key (1), backend key,
//!                from format version 3 on: length of the version of the backend (1), version of the backend,
//!                in format version 4: share of the backend (2); then host
//! 28+n    16     authentication tag
//! ```
//!
//! The associated data are the first four bytes, the rule id and the session name. So a token opens only for the rule and the
//! session name that it was sealed for. Times are seconds since the Unix epoch, big-endian.
//!
//! The nonce is random and 24 bytes long, so any number of gateways can share a key without coordination.
//!
//! Format version 4 is written if the policy rebalances sessions, otherwise 3 if the backend has a version, and 2 if not. So a
//! gateway with an older module rejects only the sessions of policies that need the newer format.
//!
//! Format version 1 differs from 2 only in its hint, which was derived without a key, so that anyone could verify a guess at the
//! id of a rule. It is read, so that an upgrade loses no sessions, but no longer written.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{AeadInOut as _, XNonce};
use siphasher::sip::SipHasher24;

use crate::{
    keys::{Key, KeyRing},
    share::Share,
};

pub mod outline;

/// The format version of tokens without the version of a backend.
const VERSION: u8 = 2;
/// The format version of tokens with the version of a backend.
const VERSION_WITH_BACKEND_VERSION: u8 = 3;
/// The format version of tokens with the share of a backend, which may have a version.
const VERSION_WITH_SHARE: u8 = 4;
/// The previous format version, which is read as well.
const OLD_VERSION: u8 = 1;
/// The format versions that are read.
const VERSIONS: [u8; 4] = [OLD_VERSION, VERSION, VERSION_WITH_BACKEND_VERSION, VERSION_WITH_SHARE];
/// The length of version, key id and hint.
const PREFIX_LENGTH: usize = 4;
/// The length of the nonce, which must be random for each token.
pub const NONCE_LENGTH: usize = 24;
const TAG_LENGTH: usize = 16;
/// The number of characters that decide whether a value may be a token: the prefix, rounded up to whole groups of base64.
const SCREENED_LENGTH: usize = 8;
/// The length of the shortest text with a prefix, a nonce and a tag.
const MIN_LENGTH: usize = (PREFIX_LENGTH + NONCE_LENGTH + TAG_LENGTH)
    .saturating_mul(4)
    .div_ceil(3);
/// The maximum length of a token. Usually it is about 150 characters.
const MAX_LENGTH: usize = 1024;

const FLAG_SECURE: u8 = 1;

/// The content of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// When the session began, in seconds since the Unix epoch.
    pub issued: u64,
    /// When the session was last seen, in seconds since the Unix epoch.
    pub seen: u64,
    /// Whether the cookie was sent with the `Secure` attribute. False if the token is not in a cookie.
    pub secure: bool,
    /// The key of the backend to which the session is bound.
    pub backend: Box<[u8]>,
    /// The version of that backend when the token was sealed ([`crate::backend::Backend::version`]). Empty: unknown.
    pub version: Box<[u8]>,
    /// The share of that backend when the session was last drawn. None: unknown, or the policy does not rebalance sessions.
    pub share: Option<Share>,
    /// The host to which the session is bound, as Envoy names it ([`crate::host::Host::upstream_address`]). Empty: any host of the backend.
    pub host: Box<[u8]>,
}

/// Why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It is not a token: not base64url, too short or too long.
    Malformed,
    /// It has another format version.
    Version,
    /// The ring has no key with its key id.
    UnknownKey,
    /// It was sealed for another rule or session name.
    Foreign,
    /// Its authentication tag is wrong.
    Tampered,
    /// Its issue time is in the future.
    Future,
}

/// What a token is bound to: a rule id and a session name.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The associated data after the prefix of the token.
    context: Box<[u8]>,
}

impl Binding {
    /// The binding of one session of one rule.
    #[must_use]
    pub fn new(rule_id: &str, session_name: &str) -> Self {
        // Neither part can contain a NUL, so different pairs have different bytes.
        let context = [rule_id.as_bytes(), b"\0", session_name.as_bytes()].concat();
        Self {
            context: context.into(),
        }
    }

    /// The hint at this binding in a token of this version and key.
    fn hint(&self, version: u8, key: &Key) -> [u8; 2] {
        if version != OLD_VERSION {
            return key.hint(&self.context);
        }
        let [first, second, ..] = SipHasher24::new().hash(&self.context).to_be_bytes();
        [first, second]
    }

    fn associated_data(&self, prefix: [u8; PREFIX_LENGTH]) -> Vec<u8> {
        [prefix.as_slice(), &self.context].concat()
    }
}

/// A token cannot be sealed: the backend key or the version is longer than 255 bytes, the token exceeds the maximum length, or
/// the cipher failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token could not be sealed")]
pub struct SealError;

impl Token {
    /// The token of a session that begins now and is not bound yet. Sealed without a backend, it [ends](Self::is_end) a session.
    #[must_use]
    pub fn new(now: u64, secure: bool) -> Self {
        Self {
            issued: now,
            seen: now,
            secure,
            backend: Box::default(),
            version: Box::default(),
            share: None,
            host: Box::default(),
        }
    }

    /// Whether the token ends a session: it is bound to nothing, and the client has no session even if it carries older tokens.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.backend.is_empty()
    }

    /// Seals the token with the first key of the ring. `nonce` must be random and used once.
    pub fn seal(&self, keys: &KeyRing, binding: &Binding, nonce: [u8; NONCE_LENGTH]) -> Result<String, SealError> {
        let version = match self.share {
            Some(_) => VERSION_WITH_SHARE,
            None if self.version.is_empty() => VERSION,
            None => VERSION_WITH_BACKEND_VERSION,
        };
        self.seal_as(version, keys, binding, nonce)
    }

    fn seal_as(
        &self,
        version: u8,
        keys: &KeyRing,
        binding: &Binding,
        nonce: [u8; NONCE_LENGTH],
    ) -> Result<String, SealError> {
        let key = keys.sealing();
        let backend_length = u8::try_from(self.backend.len()).map_err(|_| SealError)?;
        let version_length = [u8::try_from(self.version.len()).map_err(|_| SealError)?];
        let (version_length, backend_version) = if version >= VERSION_WITH_BACKEND_VERSION {
            (version_length.as_slice(), &*self.version)
        } else {
            (b"".as_slice(), b"".as_slice())
        };
        let share = self.share.map(Share::to_be_bytes);
        let share = share.as_ref().filter(|_| version >= VERSION_WITH_SHARE);
        let [first, second] = binding.hint(version, key);
        let prefix = [version, key.id, first, second];
        let mut sealed = [
            self.issued.to_be_bytes().as_slice(),
            &self.seen.to_be_bytes(),
            &[if self.secure { FLAG_SECURE } else { 0 }, backend_length],
            &self.backend,
            version_length,
            backend_version,
            share.map_or(b"".as_slice(), <[u8; 2]>::as_slice),
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

    /// Opens a token that a client sent.
    pub fn open(text: &[u8], keys: &KeyRing, binding: &Binding) -> Result<Self, Rejection> {
        Opener::new(keys, binding).screen(text)?.open()
    }

    /// Parses the decrypted content of a token of this format version.
    fn read(format: u8, plain: &[u8]) -> Option<Self> {
        let (issued, rest) = plain.split_first_chunk::<8>()?;
        let (seen, rest) = rest.split_first_chunk::<8>()?;
        let ([flags, backend_length], rest) = rest.split_first_chunk::<2>()?;
        let (backend, rest) = rest.split_at_checked(usize::from(*backend_length))?;
        let (version, rest) = if format >= VERSION_WITH_BACKEND_VERSION {
            let (version_length, rest) = rest.split_first()?;
            rest.split_at_checked(usize::from(*version_length))?
        } else {
            (b"".as_slice(), rest)
        };
        let (share, host) = if format >= VERSION_WITH_SHARE {
            let (share, host) = rest.split_first_chunk::<2>()?;
            (Some(Share::from_be_bytes(*share)), host)
        } else {
            (None, rest)
        };
        Some(Self {
            issued: u64::from_be_bytes(*issued),
            seen: u64::from_be_bytes(*seen),
            secure: flags & FLAG_SECURE != 0,
            backend: backend.into(),
            version: version.into(),
            share,
            host: host.into(),
        })
    }
}

/// Opens the values that a client sent for the session of one rule.
pub struct Opener<'a> {
    keys: &'a KeyRing,
    binding: &'a Binding,
    /// The version, key and hint of the last value whose version and key are known.
    last: Option<(u8, &'a Key, [u8; 2])>,
}

/// A value that may be a token of the rule, by its first bytes.
pub struct Sealed<'a, 't> {
    text: &'t [u8],
    key: &'a Key,
    binding: &'a Binding,
}

impl<'a> Opener<'a> {
    /// Opens tokens of one binding with the keys of a ring.
    #[must_use]
    pub fn new(keys: &'a KeyRing, binding: &'a Binding) -> Self {
        Self {
            keys,
            binding,
            last: None,
        }
    }

    /// Rejects a value that cannot be a token of the rule, by its length and its first bytes, at almost no cost.
    pub fn screen<'t>(&mut self, text: &'t [u8]) -> Result<Sealed<'a, 't>, Rejection> {
        if text.len() > MAX_LENGTH {
            return Err(Rejection::Malformed);
        }
        let [version, key_id, hint @ ..] = prefix(text).ok_or(Rejection::Malformed)?;
        if !VERSIONS.contains(&version) {
            return Err(Rejection::Version);
        }
        let (key, expected) = self.key(version, key_id).ok_or(Rejection::UnknownKey)?;
        if hint != expected {
            return Err(Rejection::Foreign);
        }
        if text.len() < MIN_LENGTH {
            return Err(Rejection::Malformed);
        }
        let binding = self.binding;
        Ok(Sealed { text, key, binding })
    }

    /// The key with this id, and its hint. It is cached, because the tokens of a client nearly always share version and key.
    fn key(&mut self, version: u8, id: u8) -> Option<(&'a Key, [u8; 2])> {
        if let Some((of, key, hint)) = self.last
            && (of, key.id) == (version, id)
        {
            return Some((key, hint));
        }
        let key = self.keys.find(id)?;
        let hint = self.binding.hint(version, key);
        self.last = Some((version, key, hint));
        Some((key, hint))
    }
}

impl Sealed<'_, '_> {
    /// Opens the token.
    pub fn open(&self) -> Result<Token, Rejection> {
        let mut bytes = URL_SAFE_NO_PAD.decode(self.text).map_err(|_| Rejection::Malformed)?;
        let (prefix, rest) = bytes
            .split_first_chunk_mut::<PREFIX_LENGTH>()
            .ok_or(Rejection::Malformed)?;
        let (nonce, rest) = rest
            .split_first_chunk_mut::<NONCE_LENGTH>()
            .ok_or(Rejection::Malformed)?;
        let (sealed, tag) = rest.split_last_chunk_mut::<TAG_LENGTH>().ok_or(Rejection::Malformed)?;
        self.key
            .cipher
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &self.binding.associated_data(*prefix),
                (&mut *sealed).into(),
                (&*tag).into(),
            )
            .map_err(|_| Rejection::Tampered)?;
        let [version, ..] = *prefix;
        Token::read(version, sealed).ok_or(Rejection::Malformed)
    }
}

/// The prefix of a token. None if the value cannot be a token.
fn prefix(text: &[u8]) -> Option<[u8; PREFIX_LENGTH]> {
    let mut bytes = [0; SCREENED_LENGTH / 4 * 3];
    let length = URL_SAFE_NO_PAD
        .decode_slice(text.get(..SCREENED_LENGTH)?, &mut bytes)
        .ok()?;
    bytes.get(..length)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
