//! The short hash in generated names.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

/// The length of the hash, in hexadecimal digits.
pub const HASH_LENGTH: usize = 8;

/// Hashes a text to hexadecimal digits. Each use has its own key, so that equal texts give different names in different uses.
pub fn name_hash(key: [u8; 16], text: &str) -> String {
    let mut hasher = SipHasher24::new_with_key(&key);
    hasher.write(text.as_bytes());
    let mut digits = format!("{:016x}", hasher.finish());
    digits.truncate(HASH_LENGTH);
    digits
}
