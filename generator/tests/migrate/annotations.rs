//! Annotations: what becomes of each, and that none is passed over in silence.

use serde_json::json;

use super::{Run, canary, ingress};

#[test]
fn a_session_has_the_fields_of_the_annotations() {
    let run = Run::on(&ingress(&[
        ("affinity", "cookie"),
        ("affinity-mode", "persistent"),
        ("session-cookie-name", "route"),
        ("session-cookie-path", "/shop"),
        ("session-cookie-domain", ".example.com"),
        ("session-cookie-samesite", "none"),
        ("session-cookie-secure", "true"),
        ("session-cookie-max-age", "172800"),
        ("session-cookie-change-on-failure", "false"),
    ]));
    assert_eq!((run.code, run.said.as_str()), (Some(0), ""));
    assert_eq!(
        run.one("HTTPRoute")["metadata"]["annotations"],
        json!({
            "mooring.dev/cookie-domain": "example.com",
            "mooring.dev/cookie-path": "/shop",
            "mooring.dev/cookie-same-site": "None",
            "mooring.dev/cookie-secure": "Always",
        })
    );
    assert_eq!(
        run.rule()["sessionPersistence"],
        json!({
            "absoluteTimeout": "48h",
            "cookieConfig": {"lifetimeType": "Permanent"},
            "sessionName": "route",
            "type": "Cookie",
        })
    );
    assert_eq!(run.rule()["retry"], json!({"attempts": 0}));
}

#[test]
fn defaults_that_differ_are_noted() {
    let run = Run::on(&ingress(&[("affinity", "cookie")]));
    assert_eq!(run.code, Some(0), "{}", run.said);
    for text in [
        "sessions stay on their pods",
        "SameSite=Lax",
        "keeps the client on the failing pod",
    ] {
        assert!(run.said.contains(text), "{text}: {}", run.said);
    }
}

#[test]
fn the_cookie_can_get_another_name() {
    let input = ingress(&[("affinity", "cookie")]);
    let run = Run::with(&["--gateway", "infra/front", "--cookie-suffix", "-mooring"], &input);
    assert_eq!(run.rule()["sessionPersistence"]["sessionName"], "INGRESSCOOKIE-mooring");
}

#[test]
fn another_prefix_of_the_annotations() {
    let input = ingress(&[("affinity", "cookie")]).replace("nginx.ingress.kubernetes.io", "ingress.corp");
    let flags = ["--gateway", "infra/front", "--annotations-prefix", "ingress.corp"];
    assert_eq!(
        Run::with(&flags, &input).rule()["sessionPersistence"]["sessionName"],
        "INGRESSCOOKIE"
    );
    assert!(Run::on(&input).rule()["sessionPersistence"].is_null());
}

/// Each annotation in the documentation of ingress-nginx 1.15, with a value that asks for something.
const ALL: [(&str, &str); 108] = [
    ("app-root", "/a"),
    ("affinity", "cookie"),
    ("affinity-mode", "persistent"),
    ("affinity-canary-behavior", "legacy"),
    ("auth-realm", "a"),
    ("auth-secret", "a"),
    ("auth-secret-type", "auth-file"),
    ("auth-type", "basic"),
    ("auth-tls-secret", "a/b"),
    ("auth-tls-verify-depth", "1"),
    ("auth-tls-verify-client", "on"),
    ("auth-tls-error-page", "a"),
    ("auth-tls-pass-certificate-to-upstream", "true"),
    ("auth-tls-match-cn", "CN=a"),
    ("auth-url", "http://a"),
    ("auth-cache-key", "a"),
    ("auth-cache-duration", "200 1m"),
    ("auth-keepalive", "1"),
    ("auth-keepalive-share-vars", "true"),
    ("auth-keepalive-requests", "1"),
    ("auth-keepalive-timeout", "1"),
    ("auth-proxy-set-headers", "a"),
    ("auth-snippet", "a"),
    ("enable-global-auth", "true"),
    ("backend-protocol", "GRPC"),
    ("client-body-buffer-size", "1k"),
    ("configuration-snippet", "a"),
    ("custom-http-errors", "404"),
    ("custom-headers", "a"),
    ("default-backend", "a"),
    ("enable-cors", "true"),
    ("cors-allow-origin", "a"),
    ("cors-allow-methods", "GET"),
    ("cors-allow-headers", "a"),
    ("cors-expose-headers", "a"),
    ("cors-allow-credentials", "true"),
    ("cors-max-age", "1"),
    ("force-ssl-redirect", "true"),
    ("from-to-www-redirect", "true"),
    ("http2-push-preload", "true"),
    ("limit-connections", "1"),
    ("limit-rps", "1"),
    ("permanent-redirect", "http://a"),
    ("permanent-redirect-code", "308"),
    ("temporal-redirect", "http://a"),
    ("temporal-redirect-code", "307"),
    ("preserve-trailing-slash", "true"),
    ("proxy-body-size", "1k"),
    ("proxy-cookie-domain", "a b"),
    ("proxy-cookie-path", "a b"),
    ("proxy-connect-timeout", "1"),
    ("proxy-send-timeout", "1"),
    ("proxy-read-timeout", "1"),
    ("proxy-next-upstream", "error"),
    ("proxy-next-upstream-timeout", "1"),
    ("proxy-next-upstream-tries", "1"),
    ("proxy-request-buffering", "on"),
    ("proxy-redirect-from", "a"),
    ("proxy-redirect-to", "a"),
    ("proxy-http-version", "1.0"),
    ("proxy-ssl-secret", "a/b"),
    ("proxy-ssl-ciphers", "a"),
    ("proxy-ssl-name", "a"),
    ("proxy-ssl-protocols", "a"),
    ("proxy-ssl-verify", "on"),
    ("proxy-ssl-verify-depth", "1"),
    ("proxy-ssl-server-name", "on"),
    ("enable-rewrite-log", "true"),
    ("rewrite-target", "/$1"),
    ("satisfy", "any"),
    ("server-snippet", "a"),
    ("service-upstream", "true"),
    ("session-cookie-change-on-failure", "maybe"),
    ("session-cookie-conditional-samesite-none", "true"),
    ("session-cookie-domain", "other.org"),
    ("session-cookie-expires", "1"),
    ("session-cookie-max-age", "a"),
    ("session-cookie-name", "a b"),
    ("session-cookie-path", "a"),
    ("session-cookie-samesite", "a"),
    ("session-cookie-secure", "a"),
    ("ssl-passthrough", "true"),
    ("stream-snippet", "a"),
    ("upstream-hash-by", "$request_id"),
    ("upstream-hash-by-subset", "true"),
    ("upstream-hash-by-subset-size", "2"),
    ("x-forwarded-prefix", "a"),
    ("load-balance", "ewma"),
    ("upstream-vhost", "$host"),
    ("denylist-source-range", "10.0.0.0/8"),
    ("whitelist-source-range", "10.0.0.0/8"),
    ("proxy-buffering", "on"),
    ("proxy-buffers-number", "1"),
    ("proxy-buffer-size", "1k"),
    ("proxy-busy-buffers-size", "1k"),
    ("proxy-max-temp-file-size", "1k"),
    ("ssl-ciphers", "a"),
    ("ssl-prefer-server-ciphers", "true"),
    ("connection-proxy-header", "a"),
    ("enable-access-log", "false"),
    ("enable-opentelemetry", "true"),
    ("opentelemetry-trust-incoming-span", "true"),
    ("enable-modsecurity", "true"),
    ("enable-owasp-core-rules", "true"),
    ("modsecurity-transaction-id", "a"),
    ("modsecurity-snippet", "a"),
    ("mirror-request-body", "on"),
    ("mirror-target", "http://a"),
];

/// Annotations that an `HTTPRoute` does as they ask: no finding.
const TRANSLATED: [(&str, &str); 5] = [
    ("affinity", "cookie"),
    ("affinity-mode", "persistent"),
    ("session-cookie-expires", "1"),
    ("use-regex", "true"),
    ("server-alias", "a.example.com"),
];

#[test]
fn no_annotation_is_passed_over_in_silence() {
    for (name, value) in ALL {
        if TRANSLATED.contains(&(name, value)) {
            continue;
        }
        let affinity = [("affinity", "cookie"), ("affinity-mode", "persistent"), (name, value)];
        let of_affinity = name.starts_with("session-cookie-");
        let annotations = if of_affinity { &affinity[..] } else { &affinity[2..] };
        let run = Run::on(&ingress(annotations));
        assert_eq!(run.code, Some(3), "{name}: {}", run.said);
        let named = run.said.contains(&format!("`nginx.ingress.kubernetes.io/{name}`"));
        let located = run
            .said
            .contains(&format!("nginx.ingress.kubernetes.io/{name}: '{value}'"));
        assert!(
            named || name == "rewrite-target" || name == "session-cookie-domain",
            "{name}: {}",
            run.said
        );
        assert!(located, "{name}: {}", run.said);
        assert!(
            !run.said.contains("not an annotation of ingress-nginx"),
            "{name}: {}",
            run.said
        );
    }
}

#[test]
fn annotations_without_an_effect_say_why() {
    for (annotations, expected) in [
        (&[("session-cookie-name", "a")][..], "there is no `affinity: cookie`"),
        (&[("canary-weight", "1")], "there is no `canary: \"true\"`"),
        (
            &[("affinity", "cookie"), ("session-cookie-max-age", "0")],
            "browsers delete such a cookie at once",
        ),
        (
            &[
                ("affinity", "cookie"),
                ("session-cookie-max-age", "2"),
                ("session-cookie-expires", "1"),
            ],
            "browsers prefer Max-Age",
        ),
        (
            &[("affinity", "cookie"), ("affinity-canary-behavior", "legacy")],
            "ingress-nginx reads it on the canary Ingress only",
        ),
        (
            &[("affinity", "cookie"), ("upstream-hash-by", "$host")],
            "`affinity: cookie` has precedence",
        ),
    ] {
        let run = Run::on(&ingress(annotations));
        assert_eq!(run.findings().len(), 1, "{}", run.said);
        assert!(run.findings()[0].contains(expected), "{expected}: {}", run.said);
    }
    let of_canary = canary(&[("affinity", "cookie"), ("proxy-body-size", "1k")]);
    let run = Run::on(&super::all(&[&ingress(&[]), &of_canary]));
    assert_eq!(run.findings().len(), 2, "{}", run.said);
    assert!(
        run.said
            .contains("a canary Ingress has the affinity of its main Ingress"),
        "{}",
        run.said
    );
    assert!(
        run.said
            .contains("a canary Ingress has the settings of its main Ingress"),
        "{}",
        run.said
    );
}

#[test]
fn values_that_ask_for_nothing_say_nothing() {
    let run = Run::on(&ingress(&[
        ("ssl-redirect", "false"),
        ("enable-cors", "false"),
        ("backend-protocol", "HTTP"),
        ("use-regex", "false"),
    ]));
    assert_eq!((run.code, run.said.as_str()), (Some(0), ""));
}

#[test]
fn hashing_becomes_a_destination_rule() {
    for (value, expected) in [
        ("$request_uri", json!({"httpHeaderName": ":path"})),
        ("${http_x_user}", json!({"httpHeaderName": "x-user"})),
        ("$cookie_user", json!({"httpCookie": {"name": "user"}})),
        ("$arg_user", json!({"httpQueryParameterName": "user"})),
        ("$binary_remote_addr", json!({"useSourceIp": true})),
    ] {
        let run = Run::on(&ingress(&[("upstream-hash-by", value)]));
        assert_eq!((run.code, run.said.as_str()), (Some(0), ""), "{value}");
        let spec = &run.one("DestinationRule")["spec"];
        assert_eq!(spec["host"], "web.shop.svc.cluster.local");
        assert_eq!(
            spec["trafficPolicy"]["loadBalancer"]["consistentHash"], expected,
            "{value}"
        );
    }
    for value in ["$request_uri$host", "${request_uri}-text", "text", "$request_id"] {
        let run = Run::on(&ingress(&[("upstream-hash-by", value)]));
        assert!(run.of("DestinationRule").is_empty());
        assert!(
            run.said.contains("Istio hashes one header, cookie or query parameter"),
            "{}",
            run.said
        );
    }
}
