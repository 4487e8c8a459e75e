//! The names that DNS and Kubernetes allow.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::id::Id;

/// The maximum length of a name (RFC 1123).
pub const MAX_LENGTH: usize = 253;

/// The maximum length of a DNS label (RFC 1123) and of the value of a Kubernetes label.
pub const MAX_LABEL_LENGTH: usize = 63;

/// The cluster domain. The full name of a Service ends with it: `NAME.NAMESPACE.svc.DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDomain {
    /// The text between the namespace of a Service and the cluster domain.
    suffix: String,
}

/// The reason why a text is not a cluster domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDomain {
    /// It has an invalid character or an empty label.
    #[error(
        "a cluster domain consists of lower-case labels separated by dots, such as cluster.local, with no dot at either end"
    )]
    NoName,
    /// It is an IP address.
    #[error("this is an IP address; a cluster domain is a name, such as cluster.local")]
    Address,
    /// It begins with `svc.`, which precedes every cluster domain.
    #[error("give only the domain, without `svc.`: cluster.local for web.shop.svc.cluster.local")]
    Svc,
}

impl Default for ClusterDomain {
    /// The default cluster domain.
    fn default() -> Self {
        Self {
            suffix: ".svc.cluster.local".to_owned(),
        }
    }
}

impl FromStr for ClusterDomain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        if !is_name(text) {
            return Err(InvalidDomain::NoName);
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(InvalidDomain::Address);
        }
        if text == "svc" || text.starts_with("svc.") {
            return Err(InvalidDomain::Svc);
        }
        Ok(Self {
            suffix: format!(".svc.{text}"),
        })
    }
}

impl fmt::Display for ClusterDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix.strip_prefix(".svc.").unwrap_or(&self.suffix))
    }
}

impl ClusterDomain {
    /// The full name of a Service.
    #[must_use]
    pub fn host(&self, name: &str, namespace: &str) -> String {
        format!("{name}.{namespace}{}", self.suffix)
    }

    /// The full name of a host. A name without dots is that of a Service in the same namespace, unless it is an address
    /// or the wildcard for every host (istiod: `ResolveShortnameToFQDN`).
    #[must_use]
    pub fn full_name(&self, host: &str, namespace: &str) -> String {
        if host.contains('.') || host == "*" || host.parse::<IpAddr>().is_ok() {
            host.to_owned()
        } else {
            self.host(host, namespace)
        }
    }

    /// The part of the full name of a Service before the cluster domain: its name and namespace.
    #[must_use]
    pub fn strip<'h>(&self, host: &'h str) -> Option<&'h str> {
        host.strip_suffix(&self.suffix)
    }

    /// The Service that a host names, or `None` if the host is not the name of a Service. A short name refers to
    /// `namespace`.
    #[must_use]
    pub fn service(&self, host: &str, namespace: &str) -> Option<Id> {
        let full = self.full_name(host, namespace);
        let (name, namespace) = self.strip(&full)?.split_once('.')?;
        Some(Id::new(namespace, name))
    }
}

/// Whether a text is a valid object name: an RFC 1123 subdomain in lower case.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-');
    text.len() <= MAX_LENGTH && text.split('.').all(label)
}

/// Whether a text is a valid namespace name: an RFC 1123 label in lower case.
#[must_use]
pub fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL_LENGTH && !text.contains('.') && is_name(text)
}

/// Whether a text is a valid name of a label, with an optional DNS prefix (Kubernetes: `IsQualifiedName`).
#[must_use]
pub fn is_label_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    prefix.is_none_or(is_name) && !name.is_empty() && is_label_value(name)
}

/// Whether a text is a valid label value (Kubernetes: `IsValidLabelValue`).
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = text.bytes().next().into_iter().chain(text.bytes().next_back());
    text.len() <= MAX_LABEL_LENGTH
        && text.bytes().all(inner)
        && ends.into_iter().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a text is a valid host of a `VirtualService`: an address, or labels separated by dots, in upper or lower
/// case, of which the first may begin with `*` (istiod: `ValidateWildcardDomain`).
#[must_use]
pub fn is_istio_host(text: &str) -> bool {
    let name = text.strip_prefix('*').unwrap_or(text);
    let name = name.strip_prefix('.').unwrap_or(name);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(inner);
    text == "*"
        || text.parse::<IpAddr>().is_ok()
        || (text.len() <= 255 && name.trim_end_matches('.').split('.').all(label))
}

/// Whether a text is a valid host name of a route or listener: a name whose first label may be `*`, but not an address
/// (Gateway API: `Hostname`).
#[must_use]
pub fn is_hostname(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= MAX_LENGTH && is_name(name) && name.parse::<IpAddr>().is_err()
}

/// The narrower of two host names that overlap, or `None` if they do not overlap.
#[must_use]
pub fn narrower<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    match (covers(one, other), covers(other, one)) {
        (true, _) => Some(other),
        (false, true) => Some(one),
        (false, false) => None,
    }
}

/// Whether a host name, which may begin with a wildcard, covers every host that the other one covers.
#[must_use]
pub fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_prefix('*') {
        Some(suffix) => narrow.ends_with(suffix),
        None => wide == narrow,
    }
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
    fn a_cluster_domain_is_a_name_alone() {
        for domain in ["cluster.local", "corp", "k8s.prod-1.example.com", "svcs.example"] {
            let parsed: ClusterDomain = domain.parse().unwrap();
            assert_eq!(parsed.to_string(), domain);
            assert_eq!(parsed.host("web", "shop"), format!("web.shop.svc.{domain}"));
            assert_eq!(parsed.strip(&parsed.host("web", "shop")), Some("web.shop"));
        }
        for domain in [
            "",
            ".",
            "cluster.local.",
            ".cluster.local",
            "Cluster.Local",
            "a_b",
            "*.local",
            "10.0.0.1",
        ] {
            assert!(domain.parse::<ClusterDomain>().is_err(), "{domain}");
        }
        for domain in ["svc", "svc.cluster.local"] {
            assert_eq!(domain.parse::<ClusterDomain>(), Err(InvalidDomain::Svc), "{domain}");
        }
        assert_eq!(ClusterDomain::default().to_string(), "cluster.local");
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

    #[test]
    fn a_wildcard_covers_what_is_below_it() {
        assert!(covers("*", "a.example.com"));
        assert!(covers("*.example.com", "a.example.com"));
        assert!(covers("*.example.com", "a.b.example.com"));
        assert!(covers("*.example.com", "*.b.example.com"));
        assert!(!covers("*.example.com", "example.com"));
        assert!(!covers("*.example.com", "aexample.com"));
        assert!(!covers("*.b.example.com", "*.example.com"));
        assert!(!covers("a.example.com", "*.example.com"));
    }
}
