//! Bytes and the digest that names them.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A file below `blobs/sha256/`.
#[derive(Debug)]
pub(super) struct Blob {
    /// The SHA-256, in hexadecimal.
    pub hex: String,
    pub bytes: Vec<u8>,
}

impl Blob {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            hex: sha256(&bytes),
            bytes,
        }
    }

    pub fn json(value: &Value) -> Self {
        Self::new(value.to_string().into_bytes())
    }

    /// The digest, as other documents name the blob.
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.hex)
    }

    /// What another document says about the blob.
    pub fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest(), "size": self.bytes.len() })
    }
}

/// The SHA-256 of bytes, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(bytes) {
        // A String takes all that is written.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_sha_256() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            Blob::new(b"abc".to_vec()).digest(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
