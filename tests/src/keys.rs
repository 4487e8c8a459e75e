//! Key rings as `MOORING_KEYS` has them.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// One entry of a key ring. The same number gives the same key; another number another one.
pub fn key(number: u8) -> String {
    format!("{number:02x}:{}", BASE64_URL_SAFE_NO_PAD.encode([number ^ 0x5a; 32]))
}

/// A ring of several keys: the first seals, all open.
pub fn ring(numbers: &[u8]) -> String {
    let keys: Vec<String> = numbers.iter().copied().map(key).collect();
    keys.join(",")
}
