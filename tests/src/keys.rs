//! Key rings as `MOORING_KEYS` has them.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// One entry of a key ring. The same number gives the same key; another number another one.
pub fn key(number: u8) -> String {
    // No row and no repetition, as those of a secret that is refused.
    let byte = |position: u8| number ^ 0x5a ^ position.wrapping_mul(position).wrapping_mul(7);
    let secret: Vec<u8> = (0..32).map(byte).collect();
    format!("{number:02x}:{}", BASE64_URL_SAFE_NO_PAD.encode(secret))
}

/// A ring of several keys: the first seals, all open.
pub fn ring(numbers: &[u8]) -> String {
    let keys: Vec<String> = numbers.iter().copied().map(key).collect();
    keys.join(",")
}
