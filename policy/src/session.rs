//! How the sessions of a rule are kept (GEP-1619): the checked form of [`SessionConfig`].

use crate::{
    config::{BoundTo, CookieConfig, LifetimeType, SessionConfig, Transport},
    cookie::{CookieAttributes, InvalidCookie},
    name::{self, InvalidName},
    timeouts::{InvalidTimeouts, Timeouts},
    token::Binding,
};

/// How the sessions of a rule are kept.
#[derive(Debug)]
pub struct Session {
    name: Box<str>,
    transport: Transport,
    bound_to: BoundTo,
    timeouts: Timeouts,
    permanent: bool,
    strict: bool,
    forward_token: bool,
    cookie: CookieAttributes,
    binding: Binding,
}

/// Why a session is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSession {
    /// The name cannot be the name of a session cookie or header.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The timeouts are invalid.
    #[error(transparent)]
    Timeouts(#[from] InvalidTimeouts),
    /// A permanent cookie would never expire.
    #[error("absoluteTimeout must be specified when cookie lifetimeType is Permanent")]
    PermanentWithoutTimeout,
    /// A header session has cookie attributes.
    #[error("cookie attributes can only be set with type Cookie")]
    CookieWithHeader,
    /// The cookie attributes are invalid.
    #[error(transparent)]
    Cookie(#[from] InvalidCookie),
}

impl Session {
    /// Checks the session of the rule with this id.
    pub fn new(raw: &SessionConfig, rule_id: &str) -> Result<Self, InvalidSession> {
        let permanent = raw.cookie.lifetime_type == LifetimeType::Permanent;
        let timeouts = Timeouts::new(raw)?;
        if permanent && timeouts.absolute.is_none() {
            return Err(InvalidSession::PermanentWithoutTimeout);
        }
        match raw.transport {
            Transport::Cookie => name::check_token(&raw.name)?,
            Transport::Header => {
                name::check_header(&raw.name)?;
                if raw.cookie != CookieConfig::default() {
                    return Err(InvalidSession::CookieWithHeader);
                }
            }
        }
        Ok(Self {
            name: raw.name.as_str().into(),
            transport: raw.transport,
            bound_to: raw.bound_to,
            timeouts,
            permanent,
            strict: raw.strict,
            forward_token: raw.forward_token,
            cookie: CookieAttributes::new(&raw.name, &raw.cookie)?,
            binding: Binding::new(rule_id, &raw.name),
        })
    }

    /// The name of the cookie or header.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What carries the token.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// What a session is bound to.
    #[must_use]
    pub fn bound_to(&self) -> BoundTo {
        self.bound_to
    }

    /// The timeouts.
    #[must_use]
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Whether the browser keeps the cookie when it is closed.
    #[must_use]
    pub fn permanent(&self) -> bool {
        self.permanent
    }

    /// Whether a request gets a 503 response when the host of its session is gone.
    #[must_use]
    pub fn strict(&self) -> bool {
        self.strict
    }

    /// Whether the backend receives the token.
    #[must_use]
    pub fn forward_token(&self) -> bool {
        self.forward_token
    }

    /// The attributes of the cookie.
    #[must_use]
    pub fn cookie(&self) -> &CookieAttributes {
        &self.cookie
    }

    /// What tokens are bound to.
    #[must_use]
    pub fn binding(&self) -> &Binding {
        &self.binding
    }
}
