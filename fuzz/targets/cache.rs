//! What a response with a token says to caches: whatever the app says, no shared cache stores it, and the app's words stay.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mooring_policy::cache::{HeaderField, keep_private};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    lines: Vec<(Name<'a>, Value<'a>)>,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Name<'a> {
    CacheControl,
    Capitals,
    Cdn,
    Surrogate,
    Edge,
    Seconds,
    Targeted(&'a str),
    Any(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
enum Value<'a> {
    Words(Vec<Word<'a>>),
    Bytes(&'a [u8]),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Word<'a> {
    Private,
    NoStore,
    MustUnderstand,
    Public,
    Comma,
    Quote,
    Backslash,
    Equals,
    Space,
    Zero,
    Any(&'a [u8]),
}

fn name(name: Name) -> Vec<u8> {
    match name {
        Name::CacheControl => b"cache-control".to_vec(),
        Name::Capitals => b"Cache-Control".to_vec(),
        Name::Cdn => b"cdn-cache-control".to_vec(),
        Name::Surrogate => b"surrogate-control".to_vec(),
        Name::Edge => b"edge-control".to_vec(),
        Name::Seconds => b"x-accel-expires".to_vec(),
        Name::Targeted(prefix) => format!("{prefix}-cache-control").into_bytes(),
        Name::Any(bytes) => bytes.to_vec(),
    }
}

fn value(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.to_vec(),
        Value::Words(words) => words.iter().flat_map(|word| text(word).iter().copied()).collect(),
    }
}

fn text<'a>(word: &Word<'a>) -> &'a [u8] {
    match word {
        Word::Private => b"private",
        Word::NoStore => b"no-store",
        Word::MustUnderstand => b"must-understand",
        Word::Public => b"public, max-age=9",
        Word::Comma => b",",
        Word::Quote => b"\"",
        Word::Backslash => b"\\",
        Word::Equals => b"=",
        Word::Space => b" ",
        Word::Zero => b"0",
        Word::Any(bytes) => bytes,
    }
}

fuzz_target!(|input: Input| {
    let lines: Vec<(Vec<u8>, Vec<u8>)> = input.lines.iter().take(12).map(|(n, v)| (name(*n), value(v))).collect();
    let borrowed: Vec<(&[u8], &[u8])> = lines.iter().map(|(name, value)| (&**name, &**value)).collect();
    let fields = keep_private(&borrowed);
    let changed = |name: &[u8]| {
        fields
            .iter()
            .find(|field| field.name.as_bytes().eq_ignore_ascii_case(name))
    };

    // Only lines of caches change, each once, and the app's words stay in front where they can be read.
    for field in &fields {
        let own = lines
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(field.name.as_bytes()));
        let said: Vec<&[u8]> = own
            .map(|(_, value)| value.trim_ascii())
            .filter(|value| !value.is_empty())
            .collect();
        let said = said.join(b", ".as_slice());
        assert!(is_of_caches(&field.name), "{field:?}");
        assert!(
            field.value.starts_with(&said) || is_bare(field),
            "{field:?} of {said:?}"
        );
        let twice = fields
            .iter()
            .filter(|other| other.name.eq_ignore_ascii_case(&field.name));
        assert_eq!(twice.count(), 1, "{fields:?}");
    }

    // No line of a cache is left that does not forbid storing, and `Cache-Control` is there.
    let mut after: Vec<(&[u8], &[u8])> = borrowed
        .iter()
        .copied()
        .filter(|(name, _)| changed(name).is_none())
        .collect();
    after.extend(fields.iter().map(|field| (field.name.as_bytes(), &*field.value)));
    assert!(keep_private(&after).is_empty(), "{after:?}");
    let mut names: Vec<String> = after
        .iter()
        .filter_map(|(name, _)| str::from_utf8(name).ok())
        .map(str::to_ascii_lowercase)
        .filter(|name| is_of_caches(name))
        .collect();
    assert!(names.iter().any(|name| name == "cache-control"), "{after:?}");
    names.dedup();
    for name in names {
        let values: Vec<&[u8]> = after
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.trim_ascii())
            .collect();
        assert!(forbids(&name, &values), "{name}: {values:?}");
    }
});

fn is_of_caches(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["cache-control", "surrogate-control", "edge-control", "x-accel-expires"].contains(&lower.as_str())
        || lower.ends_with("-cache-control")
}

/// What replaces words that cannot be read.
fn is_bare(field: &HeaderField) -> bool {
    [b"private".as_slice(), b"no-store", b"0"].contains(&&*field.value)
}

/// Whether a field says that a shared cache must not store, read character by character.
fn forbids(name: &str, values: &[&[u8]]) -> bool {
    if name == "x-accel-expires" {
        return values.iter().all(|value| *value == b"0");
    }
    let all = values.join(b",".as_slice());
    let mut directives = vec![Vec::new()];
    let mut bytes = all.iter();
    let mut quoted = false;
    while let Some(byte) = bytes.next() {
        let directive = directives.last_mut().expect("there is one");
        match byte {
            b'\\' if quoted => {
                directive.push(*byte);
                directive.extend(bytes.next());
            }
            b'"' => {
                quoted = !quoted;
                directive.push(*byte);
            }
            b',' if !quoted => directives.push(Vec::new()),
            _ => directive.push(*byte),
        }
    }
    let said = |word: &str| {
        let of_word = |directive: &&Vec<u8>| {
            let end = directive.iter().position(|byte| b"=;".contains(byte));
            let found = &directive[..end.unwrap_or(directive.len())];
            found.trim_ascii().eq_ignore_ascii_case(word.as_bytes())
        };
        let last = directives.iter().rev().find(of_word);
        last.map(|directive| !directive.iter().any(|byte| b"=;".contains(byte)))
    };
    let no_store = said("no-store") == Some(true);
    if name.ends_with("cache-control") {
        said("private") == Some(true) || (no_store && said("must-understand").is_none())
    } else {
        no_store
    }
}
