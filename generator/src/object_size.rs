//! The size limits of Kubernetes objects.

use std::io;

use serde::Serialize;

/// Bytes in a KiB.
pub const KIB: usize = 1_024;

/// The largest object that Kubernetes can store, in bytes of JSON: etcd limits requests to 1.5 MiB by default
/// (`--max-request-bytes`), and Kubernetes adds some fields.
pub const MAX_STORED: usize = 1_536 * KIB - 16 * KIB;

/// The largest object that plain `kubectl apply` accepts, in bytes of JSON: without `--server-side` it keeps a copy of the object in
/// an annotation, and the annotations of an object are limited to 256 KiB (Kubernetes: `TotalAnnotationSizeLimitB`).
pub const MAX_APPLIED: usize = 256 * KIB - 16 * KIB;

/// The length of a value as JSON, in bytes.
pub fn json_len(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // Counting bytes cannot fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A size in MiB for messages. Rounded up to a tenth, so that a size above a limit never reads as the limit itself.
pub fn mebibytes(bytes: usize) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(KIB * KIB);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// A size in KiB for messages. Rounded up, like [`mebibytes`].
pub fn kibibytes(bytes: usize) -> String {
    format!("{} KiB", bytes.div_ceil(KIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_that_of_the_json() {
        let value = serde_json::json!({ "a": ["ä", 1, null], "b": { "c": "\n" } });
        assert_eq!(json_len(&value), value.to_string().len());
    }

    #[test]
    fn sizes_are_rounded_up() {
        assert_eq!(mebibytes(MAX_STORED), "1.5 MiB");
        assert_eq!(mebibytes(MAX_STORED + 16 * KIB + 1), "1.6 MiB");
        assert_eq!(mebibytes(1), "0.1 MiB");
    }
}
