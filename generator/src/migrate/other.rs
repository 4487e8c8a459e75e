//! The annotations of ingress-nginx that are neither affinity nor canary: those with an exact equivalent in an
//! `HTTPRoute`, and a finding for each of the others.

use super::{affinity::OF_AFFINITY, annotations::Annotations, canary_rules::OF_CANARY, checks};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    location::Spanned,
    suggest,
};

/// The settings with an equivalent.
#[derive(Clone, Debug, Default)]
pub struct Other {
    /// `use-regex`.
    pub use_regex: bool,
    /// `rewrite-target`.
    pub rewrite: Option<Spanned<String>>,
    /// `server-alias`: further host names.
    pub aliases: Vec<String>,
    /// `upstream-vhost`: the host name that the backend sees.
    pub upstream_vhost: Option<String>,
    /// Whether HTTP is redirected to HTTPS: `ssl-redirect`. None: if there is TLS.
    pub ssl_redirect: Option<bool>,
}

/// Annotations that are false by default: `"false"` asks for nothing.
const OFF_BY_DEFAULT: [&str; 11] = [
    "auth-tls-pass-certificate-to-upstream",
    "enable-cors",
    "enable-modsecurity",
    "enable-owasp-core-rules",
    "enable-rewrite-log",
    "force-ssl-redirect",
    "from-to-www-redirect",
    "http2-push-preload",
    "service-upstream",
    "ssl-passthrough",
    "upstream-hash-by-subset",
];

/// What to do about an annotation that is not translated: the beginning of its name, and the advice.
const ADVICE: [(&str, &str); 40] = [
    ("app-root", "add a rule for the path / with a RequestRedirect filter"),
    (
        "auth-tls-",
        "set the client certificates at the listener: frontendValidation of the Gateway, or mode MUTUAL in Istio",
    ),
    (
        "auth-url",
        "use an external authorizer: AuthorizationPolicy with action CUSTOM in Istio",
    ),
    (
        "auth-",
        "use an AuthorizationPolicy or RequestAuthentication of Istio, or an external authorizer",
    ),
    (
        "backend-protocol",
        "set appProtocol at the port of the Service, and for gRPC use a GRPCRoute",
    ),
    (
        "client-body-buffer-size",
        "Envoy streams requests and needs no buffer size",
    ),
    (
        "configuration-snippet",
        "Envoy has no snippets: look for a filter of the HTTPRoute, or use an EnvoyFilter",
    ),
    ("connection-proxy-header", "Envoy sets the Connection header itself"),
    (
        "cors-",
        "use the CORS filter of the HTTPRoute (Gateway API 1.4 and later), or corsPolicy of a VirtualService",
    ),
    ("custom-headers", "use a ResponseHeaderModifier filter"),
    (
        "custom-http-errors",
        "Envoy passes the errors of the backend to the client",
    ),
    ("default-backend", "add a backend for the errors to the application"),
    (
        "denylist-source-range",
        "use an AuthorizationPolicy with ipBlocks or remoteIpBlocks",
    ),
    (
        "enable-access-log",
        "use the access log settings of the gateway, such as a Telemetry of Istio",
    ),
    (
        "enable-cors",
        "use the CORS filter of the HTTPRoute (Gateway API 1.4 and later), or corsPolicy of a VirtualService",
    ),
    (
        "enable-modsecurity",
        "use a web application firewall as a Wasm plugin, such as Coraza",
    ),
    (
        "enable-opentelemetry",
        "use the tracing settings of the gateway, such as a Telemetry of Istio",
    ),
    (
        "enable-owasp-core-rules",
        "use a web application firewall as a Wasm plugin, such as Coraza",
    ),
    (
        "force-ssl-redirect",
        "attach a route with a RequestRedirect filter, scheme https, to the HTTP listener",
    ),
    (
        "from-to-www-redirect",
        "attach a route with a RequestRedirect filter to the other host name",
    ),
    ("limit-", "use a rate limit of Envoy"),
    ("load-balance", "set loadBalancer in a DestinationRule"),
    ("mirror-", "use a RequestMirror filter"),
    (
        "modsecurity-",
        "use a web application firewall as a Wasm plugin, such as Coraza",
    ),
    (
        "opentelemetry-",
        "use the tracing settings of the gateway, such as a Telemetry of Istio",
    ),
    ("permanent-redirect", "use a RequestRedirect filter"),
    ("proxy-body-size", "Envoy does not limit the size of requests"),
    ("proxy-cookie-", "change the cookies in the application"),
    (
        "proxy-next-upstream",
        "use retry of the HTTPRoute rule, or retries of a VirtualService",
    ),
    ("proxy-ssl-", "use a BackendTLSPolicy, or tls in a DestinationRule"),
    (
        "proxy-",
        "Envoy has timeouts of the HTTPRoute rule (timeouts) and connectionPool of a DestinationRule instead",
    ),
    ("satisfy", "use an AuthorizationPolicy"),
    (
        "server-snippet",
        "Envoy has no snippets: look for a filter of the HTTPRoute, or use an EnvoyFilter",
    ),
    (
        "ssl-passthrough",
        "use a TLSRoute and a listener with the TLS mode Passthrough",
    ),
    ("ssl-", "set the ciphers at the listener of the Gateway"),
    ("stream-snippet", "Envoy has no snippets"),
    ("temporal-redirect", "use a RequestRedirect filter"),
    (
        "upstream-hash-by-subset",
        "Envoy has no hashing to a subset of the pods",
    ),
    (
        "whitelist-source-range",
        "use an AuthorizationPolicy with ipBlocks or remoteIpBlocks",
    ),
    (
        "x-forwarded-prefix",
        "use a RequestHeaderModifier filter that sets X-Forwarded-Prefix",
    ),
];

/// Further annotations that exist in ingress-nginx: with those of [`ADVICE`], all of them.
const WITHOUT_ADVICE: [&str; 5] = [
    "enable-global-auth",
    "enable-rewrite-log",
    "http2-push-preload",
    "preserve-trailing-slash",
    "service-upstream",
];

/// Reads the settings with an equivalent.
pub fn read(annotations: &Annotations, report: &mut Report) -> Other {
    let ssl_redirect = annotations.boolean("ssl-redirect", report);
    Other {
        use_regex: annotations
            .boolean("use-regex", report)
            .is_some_and(|regex| regex.value),
        rewrite: annotations.text("rewrite-target", report),
        aliases: aliases(annotations, report),
        upstream_vhost: upstream_vhost(annotations, report),
        ssl_redirect: ssl_redirect.map(|redirect| redirect.value),
    }
}

/// The aliases that an `HTTPRoute` can have. The others are reported.
fn aliases(annotations: &Annotations, report: &mut Report) -> Vec<String> {
    const NAME: &str = "server-alias";
    let Some(text) = annotations.text(NAME, report) else {
        return Vec::new();
    };
    let mut aliases = Vec::new();
    for alias in text.value.split(',').map(str::trim).filter(|alias| !alias.is_empty()) {
        if alias.starts_with('~') {
            annotations.unsupported(NAME, "an HTTPRoute has no regular expressions for hosts", report);
            continue;
        }
        let alias = alias.to_ascii_lowercase();
        match checks::host(&alias) {
            Ok(()) => aliases.push(alias),
            Err(message) => {
                let message = format!("`{}`: {message}", annotations.full(NAME));
                report.error(Code::Invalid, message, text.location);
            }
        }
    }
    aliases
}

fn upstream_vhost(annotations: &Annotations, report: &mut Report) -> Option<String> {
    const NAME: &str = "upstream-vhost";
    let vhost = annotations.text(NAME, report)?;
    if vhost.value.contains('$') {
        annotations.unsupported(NAME, "an HTTPRoute has no variables", report);
        return None;
    }
    let host = vhost.value.to_ascii_lowercase();
    if host.starts_with('*') || checks::host(&host).is_err() {
        annotations.invalid(
            NAME,
            &vhost,
            "allowed: a host name without a wildcard and a port",
            report,
        );
        return None;
    }
    Some(host)
}

/// Reports the annotations that nothing else reads. `canary` says whether it is a canary Ingress, which
/// inherits them from its main Ingress.
pub fn report_others(annotations: &Annotations, canary: bool, report: &mut Report) {
    for (short, name, value) in annotations.iter() {
        if annotations.was_read(short) || is_default(short, value.value.trim()) {
            continue;
        }
        let Some(location) = annotations.location(short) else {
            continue;
        };
        let found = if canary && is_known(short) {
            let message = format!(
                "`{}` has no effect: a canary Ingress has the settings of its main Ingress",
                name.value
            );
            Diagnostic::warning(Code::NoEffect, message)
        } else {
            untranslated(short, &name.value)
        };
        report.add(found.at(location));
    }
}

/// The annotations that the translation reads, besides those of sessions and canaries.
const OTHERS: [&str; 8] = [
    "affinity",
    "canary",
    "rewrite-target",
    "server-alias",
    "ssl-redirect",
    "upstream-hash-by",
    "upstream-vhost",
    "use-regex",
];

/// The annotations that the translation reads.
fn names_read() -> impl Iterator<Item = &'static str> {
    OTHERS.into_iter().chain(OF_AFFINITY).chain(OF_CANARY)
}

fn untranslated(short: &str, full: &str) -> Diagnostic {
    let advice = advice(short);
    if let Some(advice) = advice {
        return Diagnostic::warning(Code::Unsupported, format!("`{full}` is not translated")).help(advice);
    }
    if is_known(short) {
        return Diagnostic::warning(Code::Unsupported, format!("`{full}` is not translated"));
    }
    let known = ADVICE.iter().map(|(name, _)| *name).chain(names_read());
    let message = format!("`{full}` is not translated: it is not an annotation of ingress-nginx that Mooring knows");
    Diagnostic::warning(Code::Unsupported, message).help_similar(suggest::find(short, known))
}

fn advice(short: &str) -> Option<&'static str> {
    let mut advice = ADVICE.iter();
    let (_, advice) = advice.find(|(name, _)| short == *name || short.starts_with(name))?;
    Some(advice)
}

fn is_known(short: &str) -> bool {
    advice(short).is_some() || WITHOUT_ADVICE.contains(&short) || names_read().any(|name| name == short)
}

/// Whether an annotation asks for what an `HTTPRoute` does anyway.
fn is_default(short: &str, value: &str) -> bool {
    let off = matches!(value, "false" | "False" | "FALSE" | "f" | "F" | "0");
    (off && OFF_BY_DEFAULT.contains(&short)) || (short == "backend-protocol" && value.eq_ignore_ascii_case("HTTP"))
}
