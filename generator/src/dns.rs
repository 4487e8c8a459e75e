//! Names as DNS and Kubernetes have them.

use std::net::IpAddr;

/// The longest name (RFC 1123).
pub const MAX_LENGTH: usize = 253;

/// What stands behind the name and namespace of a Service in its full name.
pub const CLUSTER_DOMAIN: &str = ".svc.cluster.local";

/// The full name of a host: a name without dots is that of a Service in the same namespace, unless it is an address or stands for
/// every host (istiod: `ResolveShortnameToFQDN`).
pub fn full_name(host: &str, namespace: &str) -> String {
    if host.contains('.') || host == "*" || host.parse::<IpAddr>().is_ok() {
        host.to_owned()
    } else {
        format!("{host}.{namespace}{CLUSTER_DOMAIN}")
    }
}

/// Whether a text can be the name of an object: an RFC 1123 subdomain, in lower case.
pub fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-');
    text.len() <= MAX_LENGTH && text.split('.').all(label)
}

/// Whether a text can be the value of a label (Kubernetes: `IsValidLabelValue`).
pub fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = text.bytes().next().into_iter().chain(text.bytes().next_back());
    text.len() <= 63 && text.bytes().all(inner) && ends.into_iter().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a text can be a host of a `VirtualService`: labels between dots, in upper or lower case, of which the first may begin
/// with `*`, or an address (istiod: `ValidateWildcardDomain`).
pub fn is_istio_host(text: &str) -> bool {
    let name = text.strip_prefix('*').unwrap_or(text);
    let name = name.strip_prefix('.').unwrap_or(name);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(inner);
    text == "*"
        || text.parse::<IpAddr>().is_ok()
        || (text.len() <= 255 && name.trim_end_matches('.').split('.').all(label))
}

/// Whether a text can be the host name of a route or listener: a name, perhaps with `*` for its first label, and no
/// address (Gateway API: `Hostname`).
pub fn is_hostname(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= MAX_LENGTH && is_name(name) && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_labels_between_dots() {
        for name in ["a", "a-b.c1", "1.2"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "a.",
            "../a",
            "A",
            "a_b",
            "-a",
            "a-",
            "a..b",
            "é",
            &"a".repeat(254),
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn the_value_of_a_label_has_no_slash() {
        for value in ["", "a", "Ingress_gateway.v1-b"] {
            assert!(is_label_value(value), "{value}");
        }
        for value in ["a/b", "..", "-a", "a_", "../../a", "a b", "é", &"a".repeat(64)] {
            assert!(!is_label_value(value), "{value}");
        }
    }

    #[test]
    fn a_hostname_is_a_name_and_no_address() {
        for name in ["example.com", "*.example.com", "a-b.c1"] {
            assert!(is_hostname(name), "{name}");
        }
        for name in ["", "*", "a.*.com", "Example.com", "10.0.0.1", "a.com:80"] {
            assert!(!is_hostname(name), "{name}");
        }
    }
}
