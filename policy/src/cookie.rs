//! The session cookie in the `Cookie` header of a request, and the `Set-Cookie` header of a response (RFC 6265).
//!
//! Requests are read as bytes: other cookies may have any value, and removing the session cookie must not change a byte of them.
//! The `cookie` crate requires UTF-8 text. It could write the `Set-Cookie` header, but it includes the formatting of dates, which
//! is not needed here and would make the module 26 KB (9 %) larger. Property tests compare both directions with that crate.

use memchr::{memchr, memchr_iter, memchr2};

use crate::config::SameSite;

mod attributes;

pub use self::attributes::{CookieAttributes, InvalidCookie};

/// The values of the cookies called `name` in one `Cookie` line, in the order of the line.
pub fn values<'a>(line: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    pairs(line).filter_map(move |pair| value_of(pair, name))
}

/// The remainder of a `Cookie` line after the removal of one cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// The line does not contain the cookie.
    Unchanged,
    /// The line contains no other cookie.
    Empty,
    /// The other cookies, byte for byte.
    Line(Vec<u8>),
}

/// Removes the cookies called `name` from one `Cookie` line.
#[must_use]
pub fn without(line: &[u8], name: &str) -> Remainder {
    let mut rest = Vec::with_capacity(line.len());
    let mut found = false;
    for pair in pairs(line) {
        if value_of(pair, name).is_some() {
            found = true;
        } else {
            rest.extend_from_slice(pair);
            rest.push(b';');
        }
    }
    if !found {
        return Remainder::Unchanged;
    }
    rest.pop();
    rest.drain(..rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count());
    match rest.as_slice() {
        b"" => Remainder::Empty,
        _ => Remainder::Line(rest),
    }
}

/// The pairs of one `Cookie` line, including the white space around them.
pub(crate) fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b';', line).chain([line.len()]).filter_map(move |end| {
        let pair = line.get(start..end);
        start = end.saturating_add(1);
        pair
    })
}

/// The value of a pair if its name is `name`. Some clients put quotes around it, which are removed.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
    Some(unquoted(rest.trim_ascii_start().strip_prefix(b"=")?))
}

/// The name and value of a pair; the value as [`values`] returns it. None if the pair has no `=`.
pub(crate) fn name_and_value(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = pair.split_at_checked(memchr(b'=', pair)?)?;
    Some((name.trim_ascii(), unquoted(rest.strip_prefix(b"=")?)))
}

fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    inner.unwrap_or(value)
}

/// Whether browsers send a cookie with this `Path` in a request with this `:path` (RFC 6265, section 5.1.4).
#[must_use]
pub fn is_sent_to(path: &str, target: &[u8]) -> bool {
    if path == "/" {
        return true;
    }
    let end = memchr2(b'?', b'#', target).unwrap_or(target.len());
    let (request, _) = target.split_at_checked(end).unwrap_or_default();
    let below = request.strip_prefix(path.as_bytes());
    below.is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with(b"/"))
}

/// The value of the `Set-Cookie` header for a token. `max_age` is in seconds; without it, the cookie lasts until the browser is
/// closed.
#[must_use]
pub fn set_cookie(
    name: &str,
    token: &str,
    attributes: &CookieAttributes,
    secure: bool,
    max_age: Option<u64>,
) -> String {
    let mut cookie = format!("{name}={token}");
    if attributes.http_only() {
        cookie.push_str("; HttpOnly");
    }
    cookie.push_str(match attributes.same_site() {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
    });
    if attributes.partitioned() {
        cookie.push_str("; Partitioned");
    }
    if secure {
        cookie.push_str("; Secure");
    }
    cookie.push_str("; Path=");
    cookie.push_str(attributes.path());
    if let Some(domain) = attributes.domain() {
        cookie.push_str("; Domain=");
        cookie.push_str(domain);
    }
    if let Some(seconds) = max_age {
        cookie.push_str("; Max-Age=");
        cookie.push_str(&seconds.to_string());
    }
    cookie
}

#[cfg(test)]
mod http_state;

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::config::{CookieConfig, Secure};

    fn found<'a>(line: &'a [u8], name: &'a str) -> Vec<&'a [u8]> {
        values(line, name).collect()
    }

    fn line(text: &[u8]) -> Remainder {
        Remainder::Line(text.to_vec())
    }

    #[test]
    #[wasm_bindgen_test]
    fn finds_our_cookie_among_others() {
        assert_eq!(found(b"a=1; s=token; b=2", "s"), [b"token"]);
        assert_eq!(found(b"s=token", "s"), [b"token"]);
        assert_eq!(found(b"s=\"token\"", "s"), [b"token"]);
        assert_eq!(found(b"a=1;s=token;b=2", "s"), [b"token"]);
        assert_eq!(found(b"  s = token ;b=2", "s"), [b"token"]);
        assert_eq!(found(b"s=1; s=2; S=3", "s"), [b"1", b"2"]);
        assert_eq!(found(b"a=\xff\xfe; s=\xff", "s"), [b"\xff"]);
        assert_eq!(found(b"s=a=b", "s"), [b"a=b"]);
        assert_eq!(found(b"s=", "s"), [b""]);
    }

    #[test]
    #[wasm_bindgen_test]
    fn does_not_take_another_cookie_for_ours() {
        for other in [
            b"ss=1".as_slice(),
            b"s",
            b"",
            b";;;",
            b"a=s=1",
            b"xs=1; s2=3",
            b"=s",
            b"S=1",
        ] {
            assert!(found(other, "s").is_empty(), "{other:?}");
            assert_eq!(without(other, "s"), Remainder::Unchanged, "{other:?}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn leaves_the_other_cookies_as_they_are() {
        assert_eq!(without(b"a=1; s=token; b=2", "s"), line(b"a=1; b=2"));
        assert_eq!(without(b"s=token; a=1; b=2", "s"), line(b"a=1; b=2"));
        assert_eq!(without(b"a=1; b=2; s=token", "s"), line(b"a=1; b=2"));
        assert_eq!(
            without(b"a=\"x y\";  b=\xff\xfe ;s=1;s=2", "s"),
            line(b"a=\"x y\";  b=\xff\xfe ")
        );
        assert_eq!(without(b"s=token", "s"), Remainder::Empty);
        assert_eq!(without(b"s=1; s=2;", "s"), Remainder::Empty);
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_cookie_goes_with_requests_below_its_path() {
        for (path, targets) in [
            ("/", ["/", "/app", "*", ""].as_slice()),
            (
                "/app",
                &["/app", "/app/", "/app/cart", "/app?x=/", "/app#x", "/app/cart?/"],
            ),
            ("/app/", &["/app/", "/app/cart", "/app/?x"]),
        ] {
            for target in targets {
                assert!(is_sent_to(path, target.as_bytes()), "{path} {target}");
            }
        }
        for (path, targets) in [
            (
                "/app",
                [
                    "/",
                    "/favicon.ico",
                    "/apple",
                    "/App",
                    "*",
                    "",
                    "/?/app",
                    "/a",
                    "app",
                    "//app",
                ]
                .as_slice(),
            ),
            ("/app/", &["/app", "/app?x=/", "/apps/"]),
        ] {
            for target in targets {
                assert!(!is_sent_to(path, target.as_bytes()), "{path} {target}");
            }
        }
        assert!(!is_sent_to("/app", b"/\xff"));
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_default_cookie_is_safe() {
        let attributes = CookieAttributes::new("s", &CookieConfig::default()).unwrap();
        assert_eq!(
            set_cookie("s", "token", &attributes, false, None),
            "s=token; HttpOnly; SameSite=Lax; Path=/"
        );
        assert_eq!(
            set_cookie("s", "token", &attributes, true, Some(3_600)),
            "s=token; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600"
        );
    }

    #[test]
    #[wasm_bindgen_test]
    fn every_attribute_is_written() {
        let raw = CookieConfig {
            path: "/shop".to_owned(),
            domain: Some("example.com".to_owned()),
            same_site: SameSite::None,
            secure: Secure::Always,
            http_only: false,
            partitioned: true,
            ..CookieConfig::default()
        };
        let attributes = CookieAttributes::new("s", &raw).unwrap();
        assert_eq!(
            set_cookie("s", "token", &attributes, true, None),
            "s=token; SameSite=None; Partitioned; Secure; Path=/shop; Domain=example.com"
        );
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use ::cookie::Cookie;
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn writes_what_the_cookie_crate_writes(
                same_site in prop_oneof![Just(SameSite::Strict), Just(SameSite::Lax), Just(SameSite::None)],
                [http_only, partitioned] in any::<[bool; 2]>(),
                domain in proptest::option::of("[a-z]{1,5}\\.[a-z]{2,3}"),
                path in "/[a-z/]{0,9}",
                max_age in proptest::option::of(0..1_000_000_000_u32),
            ) {
                let raw = CookieConfig {
                    path: path.clone(),
                    domain: domain.clone(),
                    same_site,
                    secure: Secure::Always,
                    http_only,
                    partitioned,
                    ..CookieConfig::default()
                };
                let attributes = CookieAttributes::new("s", &raw).unwrap();
                let mut theirs = Cookie::build(("s", "token"))
                    .path(path)
                    .same_site(match same_site {
                        SameSite::Strict => ::cookie::SameSite::Strict,
                        SameSite::Lax => ::cookie::SameSite::Lax,
                        SameSite::None => ::cookie::SameSite::None,
                    })
                    .http_only(http_only)
                    .partitioned(partitioned)
                    .secure(true)
                    .build();
                if let Some(domain) = domain {
                    theirs.set_domain(domain);
                }
                theirs.set_max_age(max_age.map(|seconds| time::Duration::seconds(seconds.into())));
                let ours = set_cookie("s", "token", &attributes, true, max_age.map(u64::from));
                prop_assert_eq!(ours, theirs.to_string());
            }

            #[test]
            fn finds_what_the_cookie_crate_finds(text in "[a-c=;\" ]{0,40}") {
                let theirs: Vec<Vec<u8>> = Cookie::split_parse(text.as_str())
                    .flatten()
                    .filter(|cookie| cookie.name() == "a")
                    .map(|cookie| cookie.value_trimmed().as_bytes().to_vec())
                    .collect();
                prop_assert_eq!(found(text.as_bytes(), "a"), theirs);
            }

            #[test]
            fn takes_out_ours_and_nothing_else(text in proptest::collection::vec(any::<u8>(), 0..80)) {
                let rest = match without(&text, "a") {
                    Remainder::Unchanged => text.clone(),
                    Remainder::Empty => Vec::new(),
                    Remainder::Line(rest) => rest,
                };
                prop_assert!(found(&rest, "a").is_empty());
                let others = |line: &[u8]| -> Vec<Vec<u8>> {
                    pairs(line)
                        .filter(|pair| value_of(pair, "a").is_none())
                        .map(|pair| pair.trim_ascii_start().to_vec())
                        .filter(|pair| !pair.is_empty())
                        .collect()
                };
                prop_assert_eq!(others(&rest), others(&text));
            }
        }
    }
}
