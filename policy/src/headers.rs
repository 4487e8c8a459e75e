//! The headers of a request or a response, parsed once from the bytes that Envoy passes to the module.

/// Header lines in order. Names and values are bytes, because Envoy does not guarantee text.
#[derive(Debug, Default)]
pub struct Headers<'a> {
    lines: Vec<Line<'a>>,
}

/// The name and the value of a header line.
pub type Line<'a> = (&'a [u8], &'a [u8]);

impl<'a> Headers<'a> {
    /// Parses a header map in the format of the proxy-wasm ABI: the number of lines, the lengths of each name and value, then the
    /// names and values, each followed by a NUL byte. Numbers have four bytes, little-endian. None if the bytes are not a header
    /// map.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (count, lengths) = number(bytes)?;
        let (mut lengths, mut texts) = lengths.split_at_checked(count.checked_mul(8)?)?;
        let mut lines = Vec::with_capacity(count);
        for _ in 0..count {
            let (name_length, rest) = number(lengths)?;
            let (value_length, rest) = number(rest)?;
            lengths = rest;
            let (name, rest) = text(texts, name_length)?;
            let (value, rest) = text(rest, value_length)?;
            texts = rest;
            lines.push((name, value));
        }
        Some(Self { lines })
    }

    /// All lines.
    #[must_use]
    pub fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// The value of each line called `name`; case does not matter.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.lines
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }

    /// The value of the first line called `name`.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }
}

impl<'a, N: AsRef<[u8]>, V: AsRef<[u8]>> From<&'a [(N, V)]> for Headers<'a> {
    fn from(lines: &'a [(N, V)]) -> Self {
        let lines = lines.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        Self { lines: lines.collect() }
    }
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn text(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(length)?;
    Some((text, rest.strip_prefix(b"\0")?))
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    /// Writes a header map like Envoy.
    fn write(lines: &[Line]) -> Vec<u8> {
        let number = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
        let mut bytes = number(lines.len()).to_vec();
        for (name, value) in lines {
            bytes.extend(number(name.len()));
            bytes.extend(number(value.len()));
        }
        for text in lines.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(text);
            bytes.push(0);
        }
        bytes
    }

    #[test]
    #[wasm_bindgen_test]
    fn lines_are_read_in_their_order() {
        let lines: [Line; 4] = [
            (b":path", b"/"),
            (b"cookie", b"a=\xff"),
            (b"x-\xff", b""),
            (b"Cookie", b"b\0c"),
        ];
        let bytes = write(&lines);
        let headers = Headers::parse(&bytes).unwrap();
        assert_eq!(headers.lines(), lines);
        let cookies: Vec<&[u8]> = headers.values("cookie").collect();
        assert_eq!(cookies, [b"a=\xff".as_slice(), b"b\0c"]);
        assert_eq!(headers.first(":path"), Some(b"/".as_slice()));
        assert_eq!(headers.first("x-none"), None);
    }

    #[test]
    #[wasm_bindgen_test]
    fn no_bytes_are_no_lines() {
        assert!(Headers::parse(b"").unwrap().lines().is_empty());
        assert!(Headers::parse(&write(&[])).unwrap().lines().is_empty());
    }

    #[test]
    #[wasm_bindgen_test]
    fn bytes_that_are_not_a_header_map_are_refused() {
        let whole = write(&[(b"a", b"1"), (b"b", b"2")]);
        for length in 1..whole.len() {
            assert!(Headers::parse(&whole[..length]).is_none(), "{length}");
        }
        // A number of lines and a length that exceed the bytes.
        assert!(Headers::parse(&[0xff; 4]).is_none());
        assert!(Headers::parse(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, b'a', 0]).is_none());
        // A name or value without its final NUL byte.
        assert!(Headers::parse(&[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, b'a', b'b', b'c', 0]).is_none());
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn what_is_written_is_read(lines in proptest::collection::vec(any::<(Vec<u8>, Vec<u8>)>(), 0..8)) {
                let lines: Vec<Line> = lines.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
                let bytes = write(&lines);
                let headers = Headers::parse(&bytes).unwrap();
                prop_assert_eq!(headers.lines(), lines.as_slice());
            }

            #[test]
            fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
                if let Some(headers) = Headers::parse(&bytes) {
                    let length: usize = headers.lines().iter().map(|(name, value)| name.len() + value.len()).sum();
                    prop_assert!(length <= bytes.len());
                }
            }
        }
    }
}
