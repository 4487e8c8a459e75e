//! Names of cookies and headers that carry a session.

/// The maximum length of a session name (Gateway API: `sessionName` has `maxLength: 128` up to 1.6, and 256 in later versions).
pub const MAX_LENGTH: usize = 256;

/// Headers that HTTP, Envoy, other proxies or tracing use, so that they cannot carry a session; sorted. The generator also
/// refuses all registered field names. The module needs no copy of that list, because any other header can only harm the
/// application that uses it.
const RESERVED_HEADERS: [&str; 36] = [
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "vary",
    "via",
    "x-client-ip",
    "x-client-trace-id",
    "x-cluster-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "x-span-context",
];

/// Prefixes of headers that HTTP, Mooring, Envoy, other proxies or tracing use; sorted.
const RESERVED_PREFIXES: [&str; 23] = [
    "access-control-",
    "cf-",
    "fastly-",
    "grpc-",
    "ot-tracer-",
    "proxy-",
    "sec-",
    "sw8",
    "uber-trace-",
    "uberctx-",
    "x-amz-",
    "x-amzn-",
    "x-azure-",
    "x-b3-",
    "x-cloud-trace-",
    "x-datadog-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-",
    "x-instana-",
    "x-istio-",
    "x-mooring-",
    "x-ot-",
];

/// Why a name is not valid for a session cookie or header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The name is empty.
    #[error("a session name is empty; a name has 1 to {MAX_LENGTH} characters")]
    Empty,
    /// The name is too long.
    #[error("a session name has {0} characters, and at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
    /// A character is not allowed in a token (RFC 9110, section 5.6.2; RFC 6265, section 4.1.1).
    #[error("`{name}` is not a session name: {character:?} is not allowed; letters, digits and !#$%&'*+-.^_`|~ are")]
    Character {
        /// The name.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// The header has another purpose.
    #[error("`{0}` cannot carry a session: this header has a meaning of its own; choose another name")]
    Reserved(String),
}

/// Checks that a name is a token (RFC 9110, section 5.6.2), as the name of a cookie must be (RFC 6265, section 4.1.1).
pub fn check_token(name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if name.len() > MAX_LENGTH {
        return Err(InvalidName::TooLong(name.chars().count()));
    }
    match name.chars().find(|&character| !is_token(character)) {
        None => Ok(()),
        Some(character) => Err(InvalidName::Character {
            name: name.to_owned(),
            character,
        }),
    }
}

/// Checks that a name is a token (RFC 9110, section 5.1) and the header has no other purpose.
pub fn check_header(name: &str) -> Result<(), InvalidName> {
    check_token(name)?;
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED_HEADERS.binary_search(&lower.as_str()).is_ok();
    if reserved || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(InvalidName::Reserved(name.to_owned()));
    }
    Ok(())
}

fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[test]
    #[wasm_bindgen_test]
    fn a_cookie_name_is_a_token() {
        for name in ["foo-session", "__Host-a", "a.b_c", "!#$%&'*+-.^_`|~"] {
            assert_eq!(check_token(name), Ok(()), "{name}");
        }
        for name in ["a b", "a=b", "a;b", "a,b", "é", "a\r\nb", "a\"", "(a)"] {
            assert!(
                matches!(check_token(name), Err(InvalidName::Character { .. })),
                "{name}"
            );
        }
        assert_eq!(check_token(""), Err(InvalidName::Empty));
        assert_eq!(check_token(&"a".repeat(257)), Err(InvalidName::TooLong(257)));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_session_header_has_no_other_meaning() {
        assert_eq!(check_header("x-session"), Ok(()));
        for name in ["Cookie", "x-mooring-host", "X-Envoy-Decorator-Operation", "host"] {
            assert!(matches!(check_header(name), Err(InvalidName::Reserved(_))), "{name}");
        }
        assert!(matches!(check_header(":path"), Err(InvalidName::Character { .. })));
    }

    #[test]
    #[wasm_bindgen_test]
    fn headers_of_proxies_and_tracing_carry_no_session() {
        for name in [
            "x-forwarded-for",
            "X-Forwarded-Client-Cert",
            "content-encoding",
            "Date",
            "grpc-status",
            "traceparent",
            "b3",
            "X-B3-TraceId",
            "x-request-id",
            "x-real-ip",
            "x-original-url",
            "sec-fetch-site",
            "uber-trace-id",
            "access-control-allow-origin",
        ] {
            assert!(matches!(check_header(name), Err(InvalidName::Reserved(_))), "{name}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_usual_session_headers_are_free() {
        for name in [
            "x-session",
            "X-Session-ID",
            "session-id",
            "Mcp-Session-Id",
            "x-user-session",
            "x-cart",
            "session",
            "catalog-version",
        ] {
            assert_eq!(check_header(name), Ok(()), "{name}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn reserved_names_are_sorted_for_the_binary_search() {
        assert!(RESERVED_HEADERS.is_sorted() && RESERVED_PREFIXES.is_sorted());
        let lower = |name: &&str| name.bytes().all(|byte| !byte.is_ascii_uppercase());
        assert!(RESERVED_HEADERS.iter().chain(&RESERVED_PREFIXES).all(lower));
    }
}
