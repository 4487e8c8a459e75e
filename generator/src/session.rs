//! The one type that every dialect becomes: how the sessions of a rule are kept, and where each part of it was written.
//!
//! What is valid is decided by `mooring_policy::session`, the code that the filter runs; here each of its refusals is given
//! its place.

use mooring_policy::{
    config::{self, BoundTo, CookieConfig, Transport},
    cookie::InvalidCookie,
    duration::Duration,
    name,
    session::{InvalidSession, Session},
    timeouts::InvalidTimeouts,
};

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    location::{SourceLocation, Spanned},
};

mod app_cookies;
pub(crate) mod domain;
mod field_names;

/// How sessions are kept.
#[derive(Clone, Debug)]
pub struct SessionPolicy {
    /// Where it stands as a whole.
    pub location: SourceLocation,
    /// The name of the cookie or header. None: one for each rule.
    pub name: Option<Spanned<String>>,
    /// Where the token travels.
    pub transport: Transport,
    /// What a session is bound to.
    pub bound_to: BoundTo,
    /// How long a session may last.
    pub absolute_timeout: Option<Spanned<Duration>>,
    /// How long a session may be silent.
    pub idle_timeout: Option<Spanned<Duration>>,
    /// How often its last-seen time is renewed.
    pub refresh_interval: Option<Spanned<Duration>>,
    /// Whether a request is answered with 503 when its host is gone.
    pub strict: bool,
    /// Whether the backend sees the token.
    pub forward_token: bool,
    /// The attributes of the cookie.
    pub cookie: CookieConfig,
    /// Where `lifetimeType` was written.
    pub lifetime_location: Option<SourceLocation>,
    /// Where cookie attributes and `strict` were written.
    pub attribute_locations: Vec<(&'static str, SourceLocation)>,
    /// Whether a part of it could not be read. That has been reported; what seems to be missing may be that part.
    pub partial: bool,
}

impl SessionPolicy {
    /// A policy that says nothing.
    #[must_use]
    pub fn new(location: SourceLocation) -> Self {
        Self {
            location,
            name: None,
            transport: Transport::default(),
            bound_to: BoundTo::default(),
            absolute_timeout: None,
            idle_timeout: None,
            refresh_interval: None,
            strict: false,
            forward_token: false,
            cookie: CookieConfig::default(),
            lifetime_location: None,
            attribute_locations: Vec::new(),
            partial: false,
        }
    }

    /// The policy as the plugin configuration has it. `default_name` is for a policy without a name.
    #[must_use]
    pub fn session(&self, default_name: &str) -> config::SessionConfig {
        let value = |spanned: &Option<Spanned<Duration>>| spanned.as_ref().map(|spanned| spanned.value);
        config::SessionConfig {
            name: self.name.as_ref().map_or(default_name, |name| &name.value).to_owned(),
            transport: self.transport,
            bound_to: self.bound_to,
            absolute_timeout: value(&self.absolute_timeout),
            idle_timeout: value(&self.idle_timeout),
            refresh_interval: value(&self.refresh_interval),
            strict: self.strict,
            forward_token: self.forward_token,
            cookie: self.cookie.clone(),
        }
    }

    /// Reports everything that is wrong with it, and a name that may do harm. Returns whether nothing is wrong.
    pub fn check(&self, report: &mut Report) -> bool {
        self.warn_of_app_cookie(report);
        let mut problems = self.single_problems();
        if problems.is_empty() && !self.partial {
            problems.extend(self.combined_problem());
        }
        let sound = problems.is_empty();
        if sound {
            self.warn_of_long_idle(report);
        }
        for (message, location) in problems {
            report.add(Diagnostic::error(Code::Invalid, message).at(location));
        }
        sound
    }

    fn warn_of_app_cookie(&self, report: &mut Report) {
        let named = self.name.as_ref().filter(|_| self.transport == Transport::Cookie);
        let Some(name) = named.filter(|name| app_cookies::are_used(&name.value)) else {
            return;
        };
        let message = format!(
            "the session name `{}` is the name of a cookie in which applications keep their own sessions: an application's \
             cookie of that name is replaced in the browser, and never reaches the application",
            name.value
        );
        let help = "choose another session name, or none: then each rule gets a name of its own";
        report.add(
            Diagnostic::warning(Code::Conflicted, message)
                .at(name.location)
                .help(help),
        );
    }

    /// A session that has come to its end cannot be silent any longer.
    fn warn_of_long_idle(&self, report: &mut Report) {
        let (Some(idle), Some(absolute)) = (&self.idle_timeout, &self.absolute_timeout) else {
            return;
        };
        if idle.value <= absolute.value {
            return;
        }
        let message = format!(
            "an idleTimeout of {} has no effect: the absoluteTimeout of {} ends each session before",
            idle.value, absolute.value
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(idle.location);
        report.add(warning.with(absolute.location, "the absoluteTimeout"));
    }

    /// What is wrong with a value whatever the others are.
    fn single_problems(&self) -> Vec<(String, SourceLocation)> {
        let mut problems = Vec::new();
        if let Some(session_name) = &self.name {
            let checked = match self.transport {
                Transport::Cookie => name::check_token(&session_name.value),
                Transport::Header => field_names::check(&session_name.value),
            };
            problems.extend(
                checked
                    .err()
                    .map(|invalid| (invalid.to_string(), session_name.location)),
            );
        }
        if let Some(domain) = &self.cookie.domain
            && let Err(invalid) = domain::check(domain)
        {
            problems.push((invalid.to_string(), self.location_of_attribute("Domain")));
        }
        let timeouts = [
            ("absoluteTimeout", &self.absolute_timeout),
            ("idleTimeout", &self.idle_timeout),
            ("refreshInterval", &self.refresh_interval),
        ];
        for (field, timeout) in timeouts {
            if let Some(timeout) = timeout
                && let Err(reason) = timeout.value.whole_seconds()
            {
                problems.push((format!("{field} {reason}"), timeout.location));
            }
        }
        problems
    }

    /// What the filter would say against the values together.
    fn combined_problem(&self) -> Option<(String, SourceLocation)> {
        let invalid = Session::new(&self.session("unnamed"), "unnamed").err()?;
        let location = match &invalid {
            InvalidSession::PermanentWithoutTimeout => self.lifetime_location,
            InvalidSession::Timeouts(InvalidTimeouts::RefreshWithoutIdle | InvalidTimeouts::RefreshTooLong { .. }) => {
                self.refresh_interval.as_ref().map(|spanned| spanned.location)
            }
            InvalidSession::Cookie(InvalidCookie::Attribute { attribute, .. }) => self.attribute_location(attribute),
            InvalidSession::Cookie(InvalidCookie::NeedsSecure(_)) => self.attribute_location("Secure"),
            InvalidSession::Cookie(InvalidCookie::HostPrefix) => self.name.as_ref().map(|name| name.location),
            _ => None,
        };
        Some((invalid.to_string(), location.unwrap_or(self.location)))
    }

    /// The location of a cookie attribute or of `strict`; that of the policy where it has none of its own.
    #[must_use]
    pub fn location_of_attribute(&self, name: &str) -> SourceLocation {
        self.attribute_location(name).unwrap_or(self.location)
    }

    /// The location of a cookie attribute or of `strict`, if it has one.
    #[must_use]
    pub fn attribute_location(&self, name: &str) -> Option<SourceLocation> {
        let (_, location) = self
            .attribute_locations
            .iter()
            .find(|(attribute, _)| *attribute == name)?;
        Some(*location)
    }
}
