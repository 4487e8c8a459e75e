//! The attributes of a session cookie, and which of their combinations browsers take (RFC 6265bis).

use super::{InvalidRule, SameSite, Secure};
use crate::config;

/// The attributes of a session cookie, of which no browser refuses the combination.
#[derive(Debug)]
pub struct CookieAttributes {
    path: Box<str>,
    domain: Option<Box<str>>,
    same_site: SameSite,
    secure: Secure,
    http_only: bool,
    partitioned: bool,
    private_cache: bool,
}

impl CookieAttributes {
    /// The `Path` attribute.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The `Domain` attribute.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// The `SameSite` attribute.
    #[must_use]
    pub fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// When the `Secure` attribute is set.
    #[must_use]
    pub fn secure(&self) -> Secure {
        self.secure
    }

    /// Whether a cookie for a request by this scheme gets the `Secure` attribute.
    #[must_use]
    pub fn is_secure(&self, https: bool) -> bool {
        match self.secure {
            Secure::Auto => https,
            Secure::Always => true,
            Secure::Never => false,
        }
    }

    /// The `HttpOnly` attribute.
    #[must_use]
    pub fn http_only(&self) -> bool {
        self.http_only
    }

    /// The `Partitioned` attribute.
    #[must_use]
    pub fn partitioned(&self) -> bool {
        self.partitioned
    }

    /// Whether `Cache-Control: private` goes with the cookie.
    #[must_use]
    pub fn private_cache(&self) -> bool {
        self.private_cache
    }
}

impl CookieAttributes {
    /// Checks the attributes of the cookie called `name`.
    pub(crate) fn new(name: &str, raw: config::Cookie) -> Result<Self, InvalidRule> {
        // An attribute's value ends at `;`, and nothing may end the header line (RFC 6265, section 4.1.1, path-value).
        let plain = |value: &str| value.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b';');
        if !raw.path.starts_with('/') || !plain(&raw.path) {
            return Err(InvalidRule::Attribute {
                attribute: "Path",
                value: raw.path,
                allowed: "it begins with / and has printable ASCII characters other than ; only",
            });
        }
        let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if let Some(domain) = raw
            .domain
            .as_ref()
            .filter(|domain| domain.is_empty() || !domain.bytes().all(label))
        {
            return Err(InvalidRule::Attribute {
                attribute: "Domain",
                value: domain.clone(),
                allowed: "a host name is, such as example.com",
            });
        }
        let secure = secure(name, &raw)?;
        Ok(Self {
            path: raw.path.into(),
            domain: raw.domain.map(Into::into),
            same_site: raw.same_site,
            secure,
            http_only: raw.http_only,
            partitioned: raw.partitioned,
            private_cache: raw.private_cache,
        })
    }
}

/// When the cookie gets `Secure`. Some attributes, and the prefixes `__Host-` and `__Secure-` (RFC 6265bis, section
/// 4.1.3), demand it: then always, since browsers would drop the cookie without it.
fn secure(name: &str, raw: &config::Cookie) -> Result<Secure, InvalidRule> {
    // Browsers compare the prefixes without regard to case.
    let lower = name.to_ascii_lowercase();
    let host = lower.starts_with("__host-");
    if host && (raw.path != "/" || raw.domain.is_some()) {
        return Err(InvalidRule::HostPrefix);
    }
    let demands = [
        (host, "a cookie whose name begins with __Host-"),
        (
            lower.starts_with("__secure-"),
            "a cookie whose name begins with __Secure-",
        ),
        (raw.same_site == SameSite::None, "SameSite=None"),
        (raw.partitioned, "Partitioned"),
    ];
    match demands.into_iter().find(|(demanded, _)| *demanded) {
        None => Ok(raw.secure),
        Some((_, what)) if raw.secure == Secure::Never => Err(InvalidRule::NeedsSecure(what)),
        Some(_) => Ok(Secure::Always),
    }
}
