//! Forbids shared caches to store a response with a token (RFC 9111), because they would send the token to other clients.
//!
//! `Cache-Control` applies to every cache. Some caches read a targeted field first and may then ignore `Cache-Control`: any
//! `…-Cache-Control` (RFC 9213), or the older `Surrogate-Control`, `Edge-Control` and `X-Accel-Expires`. Therefore each of these
//! fields that the application sent is changed as well; none is added. All other directives of the application stay.

use crate::headers::Line;

/// The field for all caches (RFC 9111, section 5.2).
const CACHE_CONTROL: &str = "cache-control";

/// The suffix of the names of targeted fields (RFC 9213, section 2.2).
const TARGETED_SUFFIX: &str = "-cache-control";

/// Fields for surrogates (Edge Architecture, 2001) and for Akamai's servers. They support `no-store`, but not `private`.
const SURROGATE_FIELDS: [&str; 2] = ["surrogate-control", "edge-control"];

/// The number of seconds for which nginx stores a response; it takes precedence over `Cache-Control`.
const NGINX_FIELD: &str = "x-accel-expires";

/// A header that replaces all header lines of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField {
    /// The name.
    pub name: Box<str>,
    /// The value.
    pub value: Box<[u8]>,
}

/// The headers that must be set in a response with these header lines, so that no shared cache stores it.
#[must_use]
pub fn keep_private(lines: &[Line]) -> Vec<HeaderField> {
    let mut fields = Vec::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut has_cache_control = false;
    for (name, _) in lines {
        let Some(syntax) = Syntax::of_field(name) else { continue };
        // The names of all these fields are ASCII.
        let Ok(text) = str::from_utf8(name) else { continue };
        if seen.iter().any(|earlier| earlier.eq_ignore_ascii_case(name)) {
            continue;
        }
        seen.push(name);
        has_cache_control |= name.eq_ignore_ascii_case(CACHE_CONTROL.as_bytes());
        let same = lines.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let values: Vec<&[u8]> = same.map(|(_, value)| value.trim_ascii()).collect();
        if let Some(value) = syntax.forbidding(&values) {
            fields.push(HeaderField {
                name: text.into(),
                value: value.into(),
            });
        }
    }
    if !has_cache_control {
        fields.push(HeaderField {
            name: CACHE_CONTROL.into(),
            value: b"private".as_slice().into(),
        });
    }
    fields
}

/// How the value of a field forbids shared caches to store a response.
#[derive(Clone, Copy)]
enum Syntax {
    /// `private` or `no-store` (RFC 9111, section 5.2.2).
    CacheControl,
    /// `no-store`.
    Surrogate,
    /// The number 0.
    Seconds,
}

impl Syntax {
    /// The syntax of the field of this name. None if caches do not read it.
    fn of_field(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let targeted = || {
            let (_, end) = name.split_at_checked(name.len().checked_sub(TARGETED_SUFFIX.len())?)?;
            Some(end.eq_ignore_ascii_case(TARGETED_SUFFIX.as_bytes()))
        };
        if is(CACHE_CONTROL) || targeted() == Some(true) {
            Some(Self::CacheControl)
        } else if SURROGATE_FIELDS.into_iter().any(is) {
            Some(Self::Surrogate)
        } else {
            is(NGINX_FIELD).then_some(Self::Seconds)
        }
    }

    /// The value with which a field that has these values forbids storing. None if it already does.
    fn forbidding(self, values: &[&[u8]]) -> Option<Vec<u8>> {
        let directive: &[u8] = match self {
            Self::CacheControl => b"private",
            Self::Surrogate => b"no-store",
            Self::Seconds => return values.iter().any(|value| *value != b"0").then(|| b"0".to_vec()),
        };
        let Some(directives) = values.iter().map(|value| directives(value)).collect::<Option<Vec<_>>>() else {
            // A quoted string without an end would include an appended directive.
            return Some(directive.to_vec());
        };
        if self.forbids(&directives.concat()) {
            return None;
        }
        let kept = values.iter().copied().filter(|value| !value.is_empty());
        Some(kept.chain([directive]).collect::<Vec<_>>().join(b", ".as_slice()))
    }

    fn forbids(self, directives: &[&[u8]]) -> bool {
        let has = |name: &str| Presence::of(name, directives);
        let no_store = has("no-store") == Presence::Plain;
        match self {
            // A cache that implements `must-understand` ignores `no-store` next to it (RFC 9111, section 5.2.2.3).
            Self::CacheControl => {
                has("private") == Presence::Plain || (no_store && has("must-understand") == Presence::None)
            }
            Self::Surrogate => no_store,
            Self::Seconds => false,
        }
    }
}

/// Whether a value has a directive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It has not.
    None,
    /// It has, without an argument.
    Plain,
    /// It has, with an argument: `private="field"` applies only to that field, and `private=?0` negates it.
    Qualified,
}

impl Presence {
    /// If a value has a directive several times, the last one counts (RFC 8941, section 4.2.2).
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

/// The directives of a value. They are separated by commas outside quoted strings (RFC 9110, section 5.6.4). None if a quoted
/// string has no end.
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

    /// The headers that are set in a response with these lines, as text.
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

    /// The new value of `Cache-Control`. None if it stays.
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
    fn a_response_without_cache_directives_becomes_private() {
        assert_eq!(control(&[]).as_deref(), Some("private"));
        assert_eq!(control(&[""]).as_deref(), Some("private"));
        assert_eq!(set(&[("content-type", "text/html"), ("vary", "cookie")]).len(), 1);
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_value_that_forbids_storing_stays_as_it_is() {
        for sent in [
            "private",
            "max-age=60, private",
            "No-Store",
            "public, no-store",
            "a=\"x,y\" ,\tPRIVATE\t",
            "a=\"\\\"\",private",
            ",, private ,",
            "private=?0, private",
        ] {
            assert_eq!(control(&[sent]), None, "{sent}");
        }
        assert_eq!(control(&["public, max-age=60", "no-store"]), None);
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_value_that_allows_storing_gets_the_directive_appended() {
        for sent in [
            "public",
            "max-age=60",
            "no-cache",
            "privately",
            "no-store-remote",
            "s-maxage=1, must-revalidate",
        ] {
            assert_eq!(control(&[sent]), Some(format!("{sent}, private")));
        }
        assert_eq!(
            control(&["public", "max-age=60"]).as_deref(),
            Some("public, max-age=60, private")
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_directive_in_a_quoted_string_or_with_an_argument_does_not_count() {
        for sent in [
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
            assert_eq!(control(&[sent]), Some(format!("{sent}, private")));
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_quoted_string_without_an_end_is_replaced() {
        for sent in ["a=\"x, private", "\"", "max-age=60, a=\"\\\"", "a=\"b\" c=\", no-store"] {
            assert_eq!(control(&[sent]).as_deref(), Some("private"), "{sent}");
        }
        // It would include the next line.
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
    fn targeted_fields_are_changed_as_well() {
        let private = ("cache-control".to_owned(), "private".to_owned());
        for (name, sent, becomes) in [
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
            assert_eq!(set(&[(name, sent)]), expected, "{name}: {sent}");
        }
        for (name, sent) in [
            ("cdn-cache-control", "no-store"),
            ("cloudflare-cdn-cache-control", "private, max-age=60"),
            ("surrogate-control", "no-store, content=\"ESI/1.0\""),
            ("x-accel-expires", "0"),
            ("my-cache-controls", "max-age=600"),
            ("surrogate-key", "a b"),
            ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ] {
            assert_eq!(set(&[(name, sent)]), std::slice::from_ref(&private), "{name}: {sent}");
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
    fn bytes_that_are_not_text_stay() {
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

        /// Fragments of values, in any order.
        fn value() -> impl Strategy<Value = Vec<u8>> {
            let fragments = proptest::sample::select(vec![
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
            proptest::collection::vec(fragments, 0..9).prop_map(|fragments| fragments.concat().into_bytes())
        }

        proptest! {
            #[test]
            fn a_changed_response_needs_no_more_changes(lines in proptest::collection::vec((name(), value()), 0..5)) {
                let lines: Vec<Line> = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
                let fields = keep_private(&lines);
                let stays = |name: &[u8]| !fields.iter().any(|field| field.name.as_bytes().eq_ignore_ascii_case(name));
                let mut after: Vec<Line> = lines.iter().copied().filter(|(name, _)| stays(name)).collect();
                after.extend(fields.iter().map(|field| (field.name.as_bytes(), &*field.value)));
                prop_assert_eq!(keep_private(&after), []);
                prop_assert!(after.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"cache-control")));
            }

            #[test]
            fn the_directives_of_the_application_stay_if_they_can_be_parsed(sent in value()) {
                let sent = sent.trim_ascii();
                for field in keep_private(&[(b"cache-control", sent)]) {
                    let readable = directives(sent).is_some() && !sent.is_empty();
                    let expected = if readable { [sent, b", private"].concat() } else { b"private".to_vec() };
                    prop_assert_eq!(&*field.value, expected);
                }
            }
        }
    }
}
