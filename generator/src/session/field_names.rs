//! The names of header fields that HTTP or other software uses. A session cannot take them.
//!
//! These lists are the generator's and not the policy's: the module would carry 6 KB that it needs for nothing. It refuses what
//! could harm Envoy itself (`mooring_policy::name`), and the generator refuses both.

use mooring_policy::name::{self, InvalidName};

/// The HTTP Field Name Registry of IANA, permanent, provisional and historic, except `*`; sorted.
#[rustfmt::skip]
const REGISTERED: [&str; 280] = [
    "a-im", "accept", "accept-additions", "accept-ch", "accept-charset", "accept-datetime", "accept-encoding",
    "accept-features", "accept-language", "accept-patch", "accept-post", "accept-query", "accept-ranges",
    "accept-signature", "access-control", "access-control-allow-credentials", "access-control-allow-headers",
    "access-control-allow-methods", "access-control-allow-origin", "access-control-expose-headers",
    "access-control-max-age", "access-control-request-headers", "access-control-request-method",
    "activate-storage-access", "age", "allow", "alpn", "alt-svc", "alt-used", "alternates", "amp-cache-transform",
    "apply-to-redirect-ref", "authentication-control", "authentication-info", "authorization", "available-dictionary",
    "c-ext", "c-man", "c-opt", "c-pep", "c-pep-info", "cache-control", "cache-group-invalidation", "cache-groups",
    "cache-status", "cal-managed-id", "caldav-timezones", "capsule-protocol", "cdn-cache-control", "cdn-loop",
    "cert-not-after", "cert-not-before", "clear-site-data", "client-cert", "client-cert-chain", "close", "cmcd-object",
    "cmcd-request", "cmcd-session", "cmcd-status", "cmsd-dynamic", "cmsd-static", "compliance",
    "concealed-auth-export", "configuration-context", "connection", "content-base", "content-digest",
    "content-disposition", "content-encoding", "content-id", "content-language", "content-length", "content-location",
    "content-md5", "content-range", "content-script-type", "content-security-policy",
    "content-security-policy-report-only", "content-style-type", "content-transfer-encoding", "content-type",
    "content-version", "cookie", "cookie2", "cost", "cross-origin-embedder-policy",
    "cross-origin-embedder-policy-report-only", "cross-origin-opener-policy", "cross-origin-opener-policy-report-only",
    "cross-origin-resource-policy", "cta-common-access-token", "dasl", "date", "dav", "default-style", "delta-base",
    "deprecation", "depth", "derived-from", "destination", "detached-jws", "dictionary-id", "differential-id",
    "digest", "dpop", "dpop-nonce", "early-data", "ediint-features", "etag", "expect", "expect-ct", "expires", "ext",
    "forwarded", "from", "getprofile", "hobareg", "host", "http2-settings", "if", "if-match", "if-modified-since",
    "if-none-match", "if-range", "if-schedule-tag-match", "if-unmodified-since", "im",
    "include-referred-token-binding-id", "incremental", "integrity-policy", "integrity-policy-report-only",
    "isolation", "keep-alive", "label", "last-event-id", "last-modified", "link", "link-template", "location",
    "lock-token", "man", "max-forwards", "memento-datetime", "message-id", "meter", "method-check",
    "method-check-expires", "mime-version", "negotiate", "nel", "non-compliance", "odata-entityid", "odata-isolation",
    "odata-maxversion", "odata-version", "opt", "optional", "optional-www-authenticate", "ordering-type", "origin",
    "origin-agent-cluster", "oscore", "oslc-core-version", "overwrite", "p3p", "pep", "pep-info", "permissions-policy",
    "pics-label", "ping-from", "ping-to", "position", "pragma", "prefer", "preference-applied", "priority",
    "profileobject", "protocol", "protocol-info", "protocol-query", "protocol-request", "proxy-authenticate",
    "proxy-authentication-info", "proxy-authorization", "proxy-features", "proxy-instruction", "proxy-status",
    "public", "public-key-pins", "public-key-pins-report-only", "range", "redirect-ref", "referer", "referer-root",
    "referrer-policy", "refresh", "repeatability-client-id", "repeatability-first-sent", "repeatability-request-id",
    "repeatability-result", "replay-nonce", "reporting-endpoints", "repr-digest", "resolution-hint",
    "resolver-location", "retry-after", "safe", "schedule-reply", "schedule-tag", "sec-fetch-dest", "sec-fetch-mode",
    "sec-fetch-site", "sec-fetch-storage-access", "sec-fetch-user", "sec-gpc", "sec-purpose", "sec-token-binding",
    "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-protocol",
    "sec-websocket-version", "security-scheme", "server", "server-timing", "set-cookie", "set-cookie2", "set-txn",
    "setprofile", "signature", "signature-input", "slug", "soapaction", "status-uri", "strict-transport-security",
    "subok", "subst", "sunset", "surrogate-capability", "surrogate-control", "tcn", "te", "timeout",
    "timing-allow-origin", "title", "topic", "traceparent", "tracestate", "trailer", "transfer-encoding", "ttl",
    "ua-color", "ua-media", "ua-pixels", "ua-resolution", "ua-windowpixels", "unencoded-digest", "upgrade", "urgency",
    "uri", "use-as-dictionary", "user-agent", "variant-vary", "vary", "version", "via", "want-content-digest",
    "want-digest", "want-repr-digest", "want-unencoded-digest", "warning", "www-authenticate",
    "x-content-type-options", "x-device-accept", "x-device-accept-charset", "x-device-accept-encoding",
    "x-device-accept-language", "x-device-user-agent", "x-frame-options",
];

/// Fields of browsers, servers and frameworks that are not registered; sorted.
#[rustfmt::skip]
const IN_USE: [&str; 62] = [
    "attribution-reporting-eligible", "attribution-reporting-register-source",
    "attribution-reporting-register-trigger", "critical-ch", "device-memory", "dnt", "document-policy", "downlink",
    "dpr", "ect", "large-allocation", "rate-limit", "ratelimit", "ratelimit-limit", "ratelimit-policy",
    "ratelimit-remaining", "ratelimit-reset", "report-to", "rtt", "save-data", "service-worker",
    "service-worker-allowed", "sourcemap", "speculation-rules", "supports-loading-mode", "tk",
    "upgrade-insecure-requests", "viewport-width", "width", "x-accel-buffering", "x-accel-charset", "x-accel-expires",
    "x-accel-limit-rate", "x-accel-redirect", "x-api-key", "x-auth-request-user", "x-auth-token", "x-cache",
    "x-content-security-policy", "x-correlation-id", "x-csrf-token", "x-csrftoken", "x-device-id",
    "x-dns-prefetch-control", "x-download-options", "x-forwarded", "x-method-override",
    "x-permitted-cross-domain-policies", "x-powered-by", "x-ratelimit-limit", "x-ratelimit-remaining",
    "x-ratelimit-reset", "x-remote-user", "x-requested-with", "x-robots-tag", "x-runtime", "x-sendfile", "x-server",
    "x-ua-compatible", "x-webkit-csp", "x-xsrf-token", "x-xss-protection",
];

/// Checks that a header of this name can carry a session.
pub fn check(name: &str) -> Result<(), InvalidName> {
    name::check_header(name)?;
    let lower = name.to_ascii_lowercase();
    let taken = |names: &[&str]| names.binary_search(&lower.as_str()).is_ok();
    if taken(&REGISTERED) || taken(&IN_USE) {
        return Err(InvalidName::Reserved(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_names_and_those_in_use_are_taken() {
        for name in [
            "ETag",
            "strict-transport-security",
            "X-Frame-Options",
            "traceparent",
            "x-powered-by",
            "Link",
        ] {
            assert!(matches!(check(name), Err(InvalidName::Reserved(_))), "{name}");
        }
    }

    #[test]
    fn the_usual_session_headers_are_free() {
        for name in [
            "x-session",
            "X-Session-Id",
            "session-id",
            "Mcp-Session-Id",
            "x-user-session",
            "x-shop",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_names_are_sorted_for_the_binary_search() {
        assert!(REGISTERED.is_sorted() && IN_USE.is_sorted());
        let lower = |name: &&str| name.bytes().all(|byte| !byte.is_ascii_uppercase());
        assert!(REGISTERED.iter().chain(&IN_USE).all(lower));
    }
}
