//! The `Domain` of a session cookie: which domains a host may set (RFC 6265, sections 5.1.3 and 5.3).

use psl::{List, Psl as _};

use crate::dns;

/// Why no host can set a cookie for a domain, whatever the host is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDomain {
    /// It is not a host name.
    #[error("`{0}` is not a cookie Domain: a host name is, such as example.com, and no address")]
    NoName(String),
    /// Every owner of a domain below it would get the cookie; browsers refuse it.
    #[error(
        "`{0}` is not a cookie Domain: it is a public suffix, under which domains belong to different owners, and browsers \
         refuse such a cookie; name a domain below it, or none"
    )]
    PublicSuffix(String),
}

/// Checks what can be known of a domain without the hosts that are to set it.
pub fn check(domain: &str) -> Result<(), InvalidDomain> {
    let name = canonical(domain);
    // Browsers take a name whose last label is a number for an IPv4 address.
    let numeric = |label: &str| label.starts_with("0x") || label.bytes().all(|byte| byte.is_ascii_digit());
    if !dns::is_hostname(&name) || name.contains('*') || name.rsplit('.').next().is_some_and(numeric) {
        return Err(InvalidDomain::NoName(domain.to_owned()));
    }
    // A name that no rule of the list covers is below the suffix `*`: its last label.
    if List
        .suffix(name.as_bytes())
        .is_none_or(|suffix| suffix == name.as_bytes())
    {
        return Err(InvalidDomain::PublicSuffix(domain.to_owned()));
    }
    Ok(())
}

/// Whether a host may set a cookie for a domain: it is the host, or a domain that the host is below. Of a host name such as
/// `*.example.com`, whether every host may that it stands for.
pub fn may_set(host: &str, domain: &str) -> bool {
    let domain = canonical(domain);
    let host = host.strip_prefix("*.").unwrap_or(host).to_ascii_lowercase();
    let above = host.strip_suffix(domain.as_str());
    above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A domain as browsers compare it: in lower case, and without the dot that older specifications have before it.
pub fn canonical(domain: &str) -> String {
    domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_name_below_a_public_suffix() {
        for domain in [
            "example.com",
            ".example.com",
            "Shop.Example.com",
            "example.co.uk",
            "corp.internal",
        ] {
            assert_eq!(check(domain), Ok(()), "{domain}");
        }
        for domain in [
            "",
            ".",
            "..",
            "example..com",
            "127.0.0.1",
            "127.1",
            "1.0x7f",
            "example.com.",
            "*.example.com",
            "-a.com",
            "a_b.com",
        ] {
            assert_eq!(check(domain), Err(InvalidDomain::NoName(domain.to_owned())), "{domain}");
        }
        for domain in ["com", ".com", "CO.UK", "github.io", "internal", "localhost"] {
            assert_eq!(
                check(domain),
                Err(InvalidDomain::PublicSuffix(domain.to_owned())),
                "{domain}"
            );
        }
    }

    #[test]
    fn a_host_may_set_its_own_domain_and_those_above() {
        for (host, domain) in [
            ("shop.example.com", "shop.example.com"),
            ("shop.example.com", "example.com"),
            ("shop.example.com", ".Example.com"),
            ("*.example.com", "example.com"),
        ] {
            assert!(may_set(host, domain), "{host} {domain}");
        }
        for (host, domain) in [
            ("shop.example.com", "other.org"),
            ("shop.example.com", "a.shop.example.com"),
            ("shopexample.com", "example.com"),
            ("*.example.com", "a.example.com"),
            ("example.com", "shop.example.com"),
        ] {
            assert!(!may_set(host, domain), "{host} {domain}");
        }
    }
}
