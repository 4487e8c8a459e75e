//! The session part of a rule: names, timeouts and what tokens are bound to (GEP-1619).

use super::{CookieAttributes, InvalidRule, Pin, Transport};
use crate::{
    config,
    duration::Duration,
    name,
    session::{Idle, Timeouts},
    token::Binding,
};

/// How the sessions of a rule are kept.
#[derive(Debug)]
pub struct Session {
    name: Box<str>,
    transport: Transport,
    pin: Pin,
    timeouts: Timeouts,
    permanent: bool,
    strict: bool,
    forward_token: bool,
    cookie: CookieAttributes,
    binding: Binding,
}

impl Session {
    pub(super) fn new(raw: config::Session, route_id: &str) -> Result<Self, InvalidRule> {
        let permanent = raw.cookie.lifetime_type == config::LifetimeType::Permanent;
        let timeouts = Timeouts {
            absolute: seconds("absoluteTimeout", raw.absolute_timeout)?,
            idle: idle(raw.idle_timeout, raw.refresh_interval)?,
        };
        if permanent && timeouts.absolute.is_none() {
            return Err(InvalidRule::PermanentWithoutEnd);
        }
        match raw.transport {
            Transport::Cookie => name::check_token(&raw.name)?,
            Transport::Header => {
                name::check_header(&raw.name)?;
                if raw.cookie != config::Cookie::default() {
                    return Err(InvalidRule::CookieWithHeader);
                }
            }
        }
        Ok(Self {
            binding: Binding::new(route_id, &raw.name),
            cookie: CookieAttributes::new(&raw.name, raw.cookie)?,
            name: raw.name.into(),
            transport: raw.transport,
            pin: raw.pin,
            timeouts,
            permanent,
            strict: raw.strict,
            forward_token: raw.forward_token,
        })
    }

    /// The name of the cookie or header.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the token travels.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// What a session is bound to.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// How long a session lasts.
    #[must_use]
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Whether the browser keeps the cookie when it is closed.
    #[must_use]
    pub fn permanent(&self) -> bool {
        self.permanent
    }

    /// Whether a request is answered with 503 when the host of its session is gone.
    #[must_use]
    pub fn strict(&self) -> bool {
        self.strict
    }

    /// Whether the backend gets to see the token.
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

fn seconds(field: &'static str, duration: Option<Duration>) -> Result<Option<u64>, InvalidRule> {
    duration
        .map(Duration::whole_seconds)
        .transpose()
        .map_err(|reason| InvalidRule::Timeout { field, reason })
}

fn idle(timeout: Option<Duration>, refresh: Option<Duration>) -> Result<Option<Idle>, InvalidRule> {
    let refresh_seconds = seconds("refreshInterval", refresh)?;
    let Some(idle) = timeout else {
        return match refresh {
            Some(_) => Err(InvalidRule::RefreshWithoutIdle),
            None => Ok(None),
        };
    };
    let Some(timeout) = seconds("idleTimeout", Some(idle))? else {
        return Ok(None);
    };
    if let Some(refresh) = refresh
        && refresh >= idle
    {
        return Err(InvalidRule::RefreshTooLong { refresh, idle });
    }
    Ok(Some(Idle {
        timeout,
        refresh: refresh_seconds.unwrap_or_else(|| (timeout / 20).clamp(1, 60)),
    }))
}
