//! The attributes of a session cookie, in combinations that browsers accept (RFC 6265bis, sections 4.1.2 and 4.1.3).

use crate::config::{CookieConfig, SameSite, Secure};

/// The checked attributes of a session cookie.
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

/// Why the attributes of a cookie are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCookie {
    /// `Path` or `Domain` has a character that would end the attribute.
    #[error("`{value}` is not a cookie {attribute}: {allowed}")]
    Attribute {
        /// `Path` or `Domain`.
        attribute: &'static str,
        /// The invalid value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Browsers refuse the cookie without `Secure`.
    #[error("{0} needs the Secure attribute, so secure cannot be Never")]
    NeedsSecure(&'static str),
    /// Browsers refuse the cookie with this name and these attributes.
    #[error("a cookie whose name begins with __Host- must have the Path / and no Domain")]
    HostPrefix,
}

impl CookieAttributes {
    /// Checks the attributes of the cookie with this name.
    pub fn new(name: &str, raw: &CookieConfig) -> Result<Self, InvalidCookie> {
        // A `;` ends the value of an attribute, and a control character could end the header (RFC 6265, section 4.1.1,
        // path-value).
        let plain = |value: &str| value.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b';');
        if !raw.path.starts_with('/') || !plain(&raw.path) {
            return Err(InvalidCookie::Attribute {
                attribute: "Path",
                value: raw.path.clone(),
                allowed: "it must begin with / and have only printable ASCII characters other than ;",
            });
        }
        let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let is_host_name = |domain: &str| !domain.is_empty() && domain.bytes().all(is_label);
        if let Some(domain) = raw.domain.as_deref().filter(|domain| !is_host_name(domain)) {
            return Err(InvalidCookie::Attribute {
                attribute: "Domain",
                value: domain.to_owned(),
                allowed: "it must be a host name such as example.com",
            });
        }
        Ok(Self {
            path: raw.path.as_str().into(),
            domain: raw.domain.as_deref().map(Into::into),
            same_site: raw.same_site,
            secure: secure(name, raw)?,
            http_only: raw.http_only,
            partitioned: raw.partitioned,
            private_cache: raw.private_cache,
        })
    }

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

    /// Whether the cookie gets the `Secure` attribute in response to a request of this scheme.
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

    /// Whether a response with the cookie also gets `Cache-Control: private`.
    #[must_use]
    pub fn private_cache(&self) -> bool {
        self.private_cache
    }
}

/// When the cookie gets `Secure`: always if an attribute or a name prefix (`__Host-` or `__Secure-`, RFC 6265bis, section 4.1.3)
/// requires it, because browsers drop such a cookie without it.
fn secure(name: &str, raw: &CookieConfig) -> Result<Secure, InvalidCookie> {
    // Browsers compare the prefixes case-insensitively.
    let lower = name.to_ascii_lowercase();
    let host = lower.starts_with("__host-");
    if host && (raw.path != "/" || raw.domain.is_some()) {
        return Err(InvalidCookie::HostPrefix);
    }
    let requirements = [
        (host, "a cookie whose name begins with __Host-"),
        (
            lower.starts_with("__secure-"),
            "a cookie whose name begins with __Secure-",
        ),
        (raw.same_site == SameSite::None, "SameSite=None"),
        (raw.partitioned, "Partitioned"),
    ];
    match requirements.into_iter().find(|(applies, _)| *applies) {
        None => Ok(raw.secure),
        Some((_, what)) if raw.secure == Secure::Never => Err(InvalidCookie::NeedsSecure(what)),
        Some(_) => Ok(Secure::Always),
    }
}
