//! What a response with a token says to caches (RFC 9111), so that none hands one client's token to others.
//!
//! `Cache-Control` is for every cache. A cache that has a field of its own (RFC 9213: any `…-Cache-Control`; before that,
//! `Surrogate-Control`, `Edge-Control`, `X-Accel-Expires`) looks there first, and may pass over `Cache-Control` then. So each of
//! these fields that the app has sent is made to forbid storing as well; none is added. What the app says besides stays.

use crate::headers::Line;

/// The field that every cache reads.
const CACHE_CONTROL: &str = "cache-control";

/// How the names of targeted fields end (RFC 9213, section 2.2).
const TARGETED: &str = "-cache-control";

/// Fields for surrogates (Edge Architecture, 2001) and for Akamai's servers, which know `no-store` and not `private`.
const SURROGATE: [&str; 2] = ["surrogate-control", "edge-control"];

/// Seconds for which nginx stores a response, whatever `Cache-Control` says.
const SECONDS: &str = "x-accel-expires";

/// A header line to set, in the place of all lines of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: Box<[u8]>,
}

/// What has to be set in a response with these header lines, so that no shared cache stores it.
#[must_use]
pub fn keep_private(lines: &[Line]) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut controlled = false;
    for (name, _) in lines {
        let Some(rule) = Rule::of(name) else { continue };
        // No field that a cache knows has another name than one of ASCII.
        let Ok(text) = str::from_utf8(name) else { continue };
        if seen.iter().any(|earlier| earlier.eq_ignore_ascii_case(name)) {
            continue;
        }
        seen.push(name);
        controlled |= name.eq_ignore_ascii_case(CACHE_CONTROL.as_bytes());
        let same = lines.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let values: Vec<&[u8]> = same.map(|(_, value)| value.trim_ascii()).collect();
        if let Some(value) = rule.mend(&values) {
            fields.push(Field {
                name: text.into(),
                value: value.into(),
            });
        }
    }
    if !controlled {
        fields.push(Field {
            name: CACHE_CONTROL.into(),
            value: b"private".as_slice().into(),
        });
    }
    fields
}

/// How a field forbids storing.
#[derive(Clone, Copy)]
enum Rule {
    /// By `private`, or by `no-store` (RFC 9111, section 5.2.2).
    Shared,
    /// By `no-store`.
    Surrogate,
    /// By the number 0.
    Seconds,
}

impl Rule {
    /// The rule for the field of this name. None: caches do not read it.
    fn of(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let targeted = || {
            let (_, end) = name.split_at_checked(name.len().checked_sub(TARGETED.len())?)?;
            Some(end.eq_ignore_ascii_case(TARGETED.as_bytes()))
        };
        if is(CACHE_CONTROL) || targeted() == Some(true) {
            Some(Self::Shared)
        } else if SURROGATE.into_iter().any(is) {
            Some(Self::Surrogate)
        } else {
            is(SECONDS).then_some(Self::Seconds)
        }
    }

    /// The value with which a field of these lines forbids storing. None: it does already.
    fn mend(self, values: &[&[u8]]) -> Option<Vec<u8>> {
        let word: &[u8] = match self {
            Self::Shared => b"private",
            Self::Surrogate => b"no-store",
            Self::Seconds => return values.iter().any(|value| *value != b"0").then(|| b"0".to_vec()),
        };
        let Some(directives) = values.iter().map(|value| directives(value)).collect::<Option<Vec<_>>>() else {
            // A quoted string without an end would swallow what is added.
            return Some(word.to_vec());
        };
        if self.is_forbidden(&directives.concat()) {
            return None;
        }
        let kept = values.iter().copied().filter(|value| !value.is_empty());
        Some(kept.chain([word]).collect::<Vec<_>>().join(b", ".as_slice()))
    }

    fn is_forbidden(self, directives: &[&[u8]]) -> bool {
        let has = |name: &str| Presence::of(name, directives);
        let unstored = has("no-store") == Presence::Plain;
        match self {
            // A cache that understands `must-understand` passes over `no-store` (RFC 9111, section 5.2.2.3).
            Self::Shared => has("private") == Presence::Plain || (unstored && has("must-understand") == Presence::None),
            Self::Surrogate => unstored,
            Self::Seconds => false,
        }
    }
}

/// Whether a directive is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It is not there.
    None,
    /// It is there without an argument.
    Plain,
    /// It is there with an argument: `private="field"` is about that field alone, and `private=?0` says that it is not meant.
    Qualified,
}

impl Presence {
    /// Where a directive is there several times, the last one counts (RFC 8941, section 4.2.2).
    fn of(name: &str, directives: &[&[u8]]) -> Self {
        let last = directives.iter().rev().find_map(|directive| {
            let mut parts = directive.splitn(2, |byte| matches!(byte, b'=' | b';'));
            let found = parts.next()?.trim_ascii_end();
            let argument = parts.next();
            found.eq_ignore_ascii_case(name.as_bytes()).then_some(argument)
        });
        match last {
            None => Self::None,
            Some(None) => Self::Plain,
            Some(Some(_)) => Self::Qualified,
        }
    }
}

/// The directives of a value: what stands between commas, unless the comma is in a quoted string (RFC 9110, section 5.6.4). None:
/// a quoted string has no end.
fn directives(value: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = value.split(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        *byte == b',' && !quoted
    });
    let parts = parts.map(<[u8]>::trim_ascii).collect();
    (!quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    /// What is set in a response with these lines, as text.
    fn set(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        let lines: Vec<Line> = lines
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let text = |bytes: &[u8]| str::from_utf8(bytes).unwrap().to_owned();
        keep_private(&lines)
            .iter()
            .map(|field| (field.name.to_string(), text(&field.value)))
            .collect()
    }

    /// What `Cache-Control` becomes. None: it stays.
    fn control(values: &[&str]) -> Option<String> {
        let lines: Vec<(&str, &str)> = values.iter().map(|value| ("cache-control", *value)).collect();
        match set(&lines).as_slice() {
            [] => None,
            [(name, value)] if name == "cache-control" => Some(value.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_response_without_a_word_to_caches_becomes_private() {
        assert_eq!(control(&[]).as_deref(), Some("private"));
        assert_eq!(control(&[""]).as_deref(), Some("private"));
        assert_eq!(set(&[("content-type", "text/html"), ("vary", "cookie")]).len(), 1);
    }

    #[test]
    #[wasm_bindgen_test]
    fn what_forbids_storing_stays_as_it_is() {
        for said in [
            "private",
            "max-age=60, private",
            "No-Store",
            "public, no-store",
            "a=\"x,y\" ,\tPRIVATE\t",
            "a=\"\\\"\",private",
            ",, private ,",
            "private=?0, private",
        ] {
            assert_eq!(control(&[said]), None, "{said}");
        }
        assert_eq!(control(&["public, max-age=60", "no-store"]), None);
    }

    #[test]
    #[wasm_bindgen_test]
    fn what_allows_storing_gets_the_word_behind() {
        for said in [
            "public",
            "max-age=60",
            "no-cache",
            "privately",
            "no-store-remote",
            "s-maxage=1, must-revalidate",
        ] {
            assert_eq!(control(&[said]), Some(format!("{said}, private")));
        }
        assert_eq!(
            control(&["public", "max-age=60"]).as_deref(),
            Some("public, max-age=60, private")
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_word_in_a_quoted_string_or_with_an_argument_is_not_the_directive() {
        for said in [
            "a=\"private\"",
            "a=\"x, private, y\"",
            "a=\"x\\\", private, \\\"y\"",
            "community=\"no-store\"",
            "\"private\"",
            "private=\"x-name\"",
            "no-store=\"x-name\"",
            "private=",
            "private=?0",
            "private, private=?0",
            "private;a",
        ] {
            assert_eq!(control(&[said]), Some(format!("{said}, private")));
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_quoted_string_without_an_end_is_replaced() {
        for said in ["a=\"x, private", "\"", "max-age=60, a=\"\\\"", "a=\"b\" c=\", no-store"] {
            assert_eq!(control(&[said]).as_deref(), Some("private"), "{said}");
        }
        // It would swallow the next line too.
        assert_eq!(control(&["a=\"", "private"]).as_deref(), Some("private"));
    }

    #[test]
    #[wasm_bindgen_test]
    fn no_store_does_not_count_beside_must_understand() {
        assert_eq!(
            control(&["must-understand, no-store"]).as_deref(),
            Some("must-understand, no-store, private")
        );
        assert_eq!(
            control(&["no-store", "Must-Understand"]).as_deref(),
            Some("no-store, Must-Understand, private")
        );
        assert_eq!(control(&["must-understand, no-store, private"]), None);
    }

    #[test]
    #[wasm_bindgen_test]
    fn fields_for_single_caches_follow() {
        let private = ("cache-control".to_owned(), "private".to_owned());
        for (name, said, becomes) in [
            ("cdn-cache-control", "max-age=600", "max-age=600, private"),
            ("CDN-Cache-Control", "public", "public, private"),
            ("cloudflare-cdn-cache-control", "max-age=600", "max-age=600, private"),
            (
                "netlify-cdn-cache-control",
                "public, durable",
                "public, durable, private",
            ),
            (
                "example-cache-control",
                "must-understand, no-store",
                "must-understand, no-store, private",
            ),
            (
                "surrogate-control",
                "max-age=600, content=\"ESI/1.0\"",
                "max-age=600, content=\"ESI/1.0\", no-store",
            ),
            ("surrogate-control", "private", "private, no-store"),
            ("edge-control", "dca=esi", "dca=esi, no-store"),
            ("x-accel-expires", "600", "0"),
            ("x-accel-expires", "@1700000000", "0"),
        ] {
            let expected = [(name.to_owned(), becomes.to_owned()), private.clone()];
            assert_eq!(set(&[(name, said)]), expected, "{name}: {said}");
        }
        for (name, said) in [
            ("cdn-cache-control", "no-store"),
            ("cloudflare-cdn-cache-control", "private, max-age=60"),
            ("surrogate-control", "no-store, content=\"ESI/1.0\""),
            ("x-accel-expires", "0"),
            ("my-cache-controls", "max-age=600"),
            ("surrogate-key", "a b"),
            ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ] {
            assert_eq!(set(&[(name, said)]), std::slice::from_ref(&private), "{name}: {said}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn lines_of_one_field_become_one() {
        let lines = [
            ("cdn-cache-control", "max-age=600"),
            ("cache-control", "no-store"),
            ("CDN-cache-control", "public"),
        ];
        let expected = (
            "cdn-cache-control".to_owned(),
            "max-age=600, public, private".to_owned(),
        );
        assert_eq!(set(&lines), [expected]);
    }

    #[test]
    #[wasm_bindgen_test]
    fn bytes_that_are_no_text_stay() {
        let changed = keep_private(&[(b"cache-control", b"a=\xff"), (b"\xff-cache-control", b"\xfe")]);
        let values: Vec<&[u8]> = changed.iter().map(|field| &*field.value).collect();
        assert_eq!(values, [b"a=\xff, private"]);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        fn name() -> impl Strategy<Value = &'static str> {
            proptest::sample::select(vec![
                "cache-control",
                "CDN-Cache-Control",
                "surrogate-control",
                "x-accel-expires",
                "expires",
            ])
        }

        /// Pieces of values, in any order.
        fn value() -> impl Strategy<Value = Vec<u8>> {
            let pieces = proptest::sample::select(vec![
                "private",
                "no-store",
                "must-understand",
                "max-age=1",
                "=",
                "\"",
                "\\",
                ",",
                ";",
                " ",
                "0",
                "a",
                "\u{e9}",
            ]);
            proptest::collection::vec(pieces, 0..9).prop_map(|pieces| pieces.concat().into_bytes())
        }

        proptest! {
            #[test]
            fn what_was_mended_needs_nothing_more(lines in proptest::collection::vec((name(), value()), 0..5)) {
                let lines: Vec<Line> = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
                let fields = keep_private(&lines);
                let stays = |name: &[u8]| !fields.iter().any(|field| field.name.as_bytes().eq_ignore_ascii_case(name));
                let mut after: Vec<Line> = lines.iter().copied().filter(|(name, _)| stays(name)).collect();
                after.extend(fields.iter().map(|field| (field.name.as_bytes(), &*field.value)));
                prop_assert_eq!(keep_private(&after), []);
                prop_assert!(after.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"cache-control")));
            }

            #[test]
            fn what_the_app_says_stays_where_it_can_be_read(said in value()) {
                let said = said.trim_ascii();
                for field in keep_private(&[(b"cache-control", said)]) {
                    let readable = directives(said).is_some() && !said.is_empty();
                    let expected = if readable { [said, b", private"].concat() } else { b"private".to_vec() };
                    prop_assert_eq!(&*field.value, expected);
                }
            }
        }
    }
}
