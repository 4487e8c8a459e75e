//! Builds a session field by field, checks it, and reports everything that is invalid.

use mooring_policy::{
    config::{LifetimeType, SessionConfig, Transport},
    cookie::InvalidCookie,
    duration::Duration,
    name,
    session::{self, InvalidSession},
    timeouts::InvalidTimeouts,
};

use super::{Session, annotations::Annotations, app_cookies, domain, field_names};
use crate::{
    api::field::{Field, Text},
    diagnostic::{Code, Diagnostic, Report, Reported},
    location::{DocumentOffset, SourceLocation},
};

/// A session whose fields are being read.
pub struct Builder {
    session: Session,
    offset: DocumentOffset,
    found: Report,
}

impl Builder {
    /// Starts with this session. `offset` is that of the document that contains its fields.
    pub fn new(session: Session, offset: DocumentOffset) -> Self {
        let found = Report::default();
        Self { session, offset, found }
    }

    /// What carries the token.
    pub fn transport(&self) -> Transport {
        self.session.config.transport
    }

    /// The location of a field.
    pub fn location_of<T>(&self, field: &Field<T>) -> SourceLocation {
        self.offset.location(field)
    }

    /// Reports an error at this location.
    pub fn invalid(&mut self, message: impl Into<String>, location: SourceLocation) {
        self.report(Diagnostic::error(Code::Invalid, message).at(location));
    }

    /// Reports something about the session, which is invalid if this is an error.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.found.add(diagnostic);
    }

    /// Reports a text that is longer than it may be.
    pub fn limit(&mut self, name: &str, field: &Field<String>, limit: usize) {
        let length = field.value.chars().count();
        if length > limit {
            let message = format!("{name} has {length} characters, and at most {limit} are allowed");
            self.invalid(message, self.location_of(field));
        }
    }

    /// Sets a field. `apply` changes the configuration.
    pub fn set<T: Clone>(&mut self, name: &'static str, field: &Field<T>, apply: impl FnOnce(&mut SessionConfig, T)) {
        self.session.locations.set(name, self.location_of(field));
        apply(&mut self.session.config, field.value.clone());
    }

    /// Sets a timeout (GEP-2257).
    pub fn set_timeout(
        &mut self,
        name: &'static str,
        field: Option<&Field<Text>>,
        timeout: fn(&mut SessionConfig) -> &mut Option<Duration>,
    ) {
        let Some(field) = field else { return };
        let location = self.location_of(field);
        match field.value.0.parse::<Duration>() {
            Ok(value) => self.set(name, &field.put(value), |config, value| *timeout(config) = Some(value)),
            Err(invalid) => self.invalid(invalid.to_string(), location),
        }
    }

    /// Sets the name.
    pub fn set_name(&mut self, field: &Field<String>) {
        self.set("name", field, |config, name| config.name = name);
    }

    /// Sets `lifetimeType` of the cookie.
    pub fn set_lifetime(&mut self, field: Option<&Field<LifetimeType>>) {
        if let Some(field) = field {
            self.set("lifetimeType", field, |config, lifetime| {
                config.cookie.lifetime_type = lifetime;
            });
        }
    }

    /// Sets `path` of the cookie.
    pub fn set_path(&mut self, field: &Field<String>) {
        self.set("path", field, |config, path| config.cookie.path = path);
    }

    /// Applies the annotations of the object, and returns the session if it is valid.
    pub fn build(mut self, annotations: &Annotations, report: &mut Report) -> Result<Session, Reported> {
        annotations.apply(&mut self.session, &mut self.found);
        self.warn_of_app_cookie();
        self.check_fields();
        let mut result = annotations.valid.and(self.found.result());
        if result.is_ok() {
            self.check_together();
            result = self.found.result();
        }
        if result.is_ok() {
            self.warn_of_long_idle();
        }
        report.extend(self.found);
        result.map(|()| self.session)
    }

    fn warn_of_app_cookie(&mut self) {
        let Some(location) = self.session.locations.get("name") else {
            return;
        };
        let name = &self.session.config.name;
        if self.transport() != Transport::Cookie || !app_cookies::are_used(name) {
            return;
        }
        let message = format!(
            "the session name `{name}` is the name of a cookie in which applications keep their own sessions: an application's \
             cookie of that name is replaced in the browser, and never reaches the application",
        );
        let help = "choose another session name, or none: each rule then gets its own default name";
        self.report(Diagnostic::warning(Code::Conflicted, message).at(location).help(help));
    }

    /// A session that has reached its absolute timeout cannot be idle any longer.
    fn warn_of_long_idle(&mut self) {
        let Session { config, locations, .. } = &self.session;
        let (Some(idle), Some(absolute)) = (config.idle_timeout, config.absolute_timeout) else {
            return;
        };
        if idle <= absolute {
            return;
        }
        let message = format!(
            "an idleTimeout of {idle} has no effect: the absoluteTimeout of {absolute} ends each session before"
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(locations.get_or_whole("idleTimeout"));
        let absolute = locations.get_or_whole("absoluteTimeout");
        self.report(warning.with(absolute, "the absoluteTimeout"));
    }

    /// Checks each field by itself.
    fn check_fields(&mut self) {
        let Session { config, locations, .. } = &self.session;
        let name = match config.transport {
            Transport::Cookie => name::check_token(&config.name),
            Transport::Header => field_names::check(&config.name),
        };
        let domain = config.cookie.domain.as_deref().map_or(Ok(()), domain::check);
        let timeout = |field: &'static str, timeout: Option<Duration>| {
            let seconds = timeout.map_or(Ok(0), Duration::whole_seconds);
            (field, seconds.err().map(|reason| format!("{field} {reason}")))
        };
        let problems = [
            ("name", name.err().map(|invalid| invalid.to_string())),
            ("domain", domain.err().map(|invalid| invalid.to_string())),
            timeout("absoluteTimeout", config.absolute_timeout),
            timeout("idleTimeout", config.idle_timeout),
            timeout("refreshInterval", config.refresh_interval),
        ];
        let problems = problems.map(|(field, message)| Some((message?, locations.get_or_whole(field))));
        for (message, location) in problems.into_iter().flatten() {
            self.invalid(message, location);
        }
    }

    /// Checks the fields together, as the filter does. The rule only matters for tokens.
    fn check_together(&mut self) {
        let Session { config, locations, .. } = &self.session;
        let Err(invalid) = session::Session::new(config, "") else {
            return;
        };
        let field = match &invalid {
            InvalidSession::PermanentWithoutTimeout => "lifetimeType",
            InvalidSession::Timeouts(InvalidTimeouts::NotWholeSeconds { field, .. }) => field,
            InvalidSession::Timeouts(_) => "refreshInterval",
            InvalidSession::Cookie(InvalidCookie::Attribute { attribute: "Path", .. }) => "path",
            InvalidSession::Cookie(InvalidCookie::Attribute { .. }) => "domain",
            InvalidSession::Cookie(InvalidCookie::NeedsSecure(_)) => "secure",
            _ => "name",
        };
        let location = locations.get_or_whole(field);
        self.invalid(invalid.to_string(), location);
    }
}
