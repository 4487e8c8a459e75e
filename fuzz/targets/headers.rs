//! The header lines of a request, in the bytes in which Envoy hands them over: lines are read as they were written, and any
//! other bytes are read or refused.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mooring_policy::headers::Headers;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Bytes(&'a [u8]),
    Lines(Vec<(&'a [u8], &'a [u8])>),
}

fuzz_target!(|input: Input| match input {
    Input::Bytes(bytes) => {
        let Some(headers) = Headers::parse(bytes) else { return };
        // What is read takes no more memory than a few times the bytes that it came from.
        let texts: usize = headers
            .lines()
            .iter()
            .map(|(name, value)| name.len() + value.len() + 10)
            .sum();
        assert!(bytes.is_empty() || texts + 4 <= bytes.len());
    }
    Input::Lines(lines) => {
        let bytes = write(&lines);
        let headers = Headers::parse(&bytes).expect("it is a header map");
        assert_eq!(headers.lines(), lines);
        for (name, _) in &lines {
            let Ok(name) = str::from_utf8(name) else { continue };
            let named = lines
                .iter()
                .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
            assert!(headers.values(name).eq(named.map(|(_, value)| *value)));
        }
        // A byte less is no header map, since each text ends in a NUL byte.
        assert!(lines.is_empty() || Headers::parse(&bytes[..bytes.len() - 1]).is_none());
    }
});

/// What the proxy-wasm ABI says that a header map is.
fn write(lines: &[(&[u8], &[u8])]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).expect("it is short").to_le_bytes();
    let lengths = lines
        .iter()
        .flat_map(|(name, value)| [number(name.len()), number(value.len())].concat());
    let texts = lines
        .iter()
        .flat_map(|(name, value)| [name, b"\0".as_slice(), value, b"\0"].concat());
    number(lines.len()).into_iter().chain(lengths).chain(texts).collect()
}
