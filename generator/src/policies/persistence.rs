//! `sessionPersistence`, in the shape of Gateway API 1.1 to 1.6 and in the one that came after (GEP-1619).
//!
//! A text that has no field of its own kind, such as `{type: Cookie}`, is of the first shape: the second one demands
//! `cookie` or `header`.

use mooring_policy::{
    config::{LifetimeType, Transport},
    duration::Duration,
};

use super::spanned;
use crate::{
    api::{
        field::{Field, Text},
        policy::SessionPersistence,
    },
    diagnostic::{Code, Diagnostic, Report},
    location::{DocumentOffset, SourceLocation, Spanned},
    session::SessionPolicy,
};

/// The longest `sessionName` (Gateway API 1.1 to 1.6: `maxLength`).
const MAX_SESSION_NAME: usize = 128;

/// The longest `cookie.path` (Gateway API after 1.6: `maxLength`).
const MAX_PATH: usize = 1_024;

/// What a `sessionPersistence` says.
pub fn read(persistence: &Field<SessionPersistence>, offset: DocumentOffset, report: &mut Report) -> SessionPolicy {
    let reader = Reader { offset };
    let raw = &persistence.value;
    let mut policy = SessionPolicy::new(offset.location(persistence));
    policy.transport = raw.transport.as_ref().map_or(Transport::Cookie, |field| field.value);
    policy.absolute_timeout = reader.duration(raw.absolute_timeout.as_ref(), report);
    policy.idle_timeout = reader.duration(raw.idle_timeout.as_ref(), report);
    policy.partial = raw.absolute_timeout.is_some() != policy.absolute_timeout.is_some()
        || raw.idle_timeout.is_some() != policy.idle_timeout.is_some();
    match (reader.first_shape(raw), reader.second_shape(raw)) {
        (Some((old, old_location)), Some((new, new_location))) => {
            let message =
                format!("`{old}` and `{new}` are of two versions of Gateway API: {old} is gone where {new} exists");
            let mut diagnostic = Diagnostic::error(Code::Invalid, message)
                .at(new_location)
                .with(old_location, "this field is of Gateway API 1.6 or earlier");
            if old == "idleTimeout" {
                diagnostic = diagnostic.help("write the idle timeout as the annotation `mooring.dev/idle-timeout`");
            }
            report.add(diagnostic);
        }
        (None, Some(_)) => reader.read_second(raw, &mut policy, report),
        (_, None) => reader.read_first(raw, &mut policy, report),
    }
    policy
}

struct Reader {
    offset: DocumentOffset,
}

impl Reader {
    fn location<T>(&self, name: &'static str, field: Option<&Field<T>>) -> Option<(&'static str, SourceLocation)> {
        field.map(|field| (name, self.offset.location(field)))
    }

    /// A field that only the first shape has.
    fn first_shape(&self, raw: &SessionPersistence) -> Option<(&'static str, SourceLocation)> {
        self.location("sessionName", raw.session_name.as_ref())
            .or_else(|| self.location("cookieConfig", raw.cookie_config.as_ref()))
            .or_else(|| self.location("idleTimeout", raw.idle_timeout.as_ref()))
    }

    /// A field that only the second shape has.
    fn second_shape(&self, raw: &SessionPersistence) -> Option<(&'static str, SourceLocation)> {
        self.location("cookie", raw.cookie.as_ref())
            .or_else(|| self.location("header", raw.header.as_ref()))
    }

    fn duration(&self, field: Option<&Field<Text>>, report: &mut Report) -> Option<Spanned<Duration>> {
        let field = field?;
        duration(&field.value.0, self.offset.location(field), report)
    }

    fn read_first(&self, raw: &SessionPersistence, policy: &mut SessionPolicy, report: &mut Report) {
        if let Some(name) = &raw.session_name {
            self.limit("sessionName", name, MAX_SESSION_NAME, report);
            policy.name = Some(spanned(name, self.offset));
        }
        if let Some(config) = &raw.cookie_config {
            if policy.transport == Transport::Header {
                let message = "cookieConfig can only be set with type Cookie";
                report.add(Diagnostic::error(Code::Invalid, message).at(self.offset.location(config)));
            } else {
                self.lifetime(config.value.lifetime_type.as_ref(), policy);
            }
        }
    }

    fn read_second(&self, raw: &SessionPersistence, policy: &mut SessionPolicy, report: &mut Report) {
        let wrong = match policy.transport {
            Transport::Cookie => [
                (raw.header.is_some(), "header must be nil if type is not Header"),
                (raw.cookie.is_none(), "cookie must be specified for Cookie type"),
            ],
            Transport::Header => [
                (raw.cookie.is_some(), "cookie must be nil if type is not Cookie"),
                (raw.header.is_none(), "header must be specified for Header type"),
            ],
        };
        let location = raw
            .transport
            .as_ref()
            .map_or(policy.location, |field| self.offset.location(field));
        for (_, message) in wrong.into_iter().filter(|(wrong, _)| *wrong) {
            report.add(Diagnostic::error(Code::Invalid, message).at(location));
        }
        match policy.transport {
            Transport::Header => {
                policy.name = raw
                    .header
                    .as_ref()
                    .map(|header| spanned(&header.value.name, self.offset));
            }
            Transport::Cookie => {
                let Some(cookie) = &raw.cookie else { return };
                policy.name = cookie.value.name.as_ref().map(|name| spanned(name, self.offset));
                self.lifetime(cookie.value.lifetime_type.as_ref(), policy);
                if let Some(path) = &cookie.value.path {
                    self.limit("path", path, MAX_PATH, report);
                    policy.attribute_locations.push(("Path", self.offset.location(path)));
                    path.value.clone_into(&mut policy.cookie.path);
                }
            }
        }
    }

    fn lifetime(&self, field: Option<&Field<LifetimeType>>, policy: &mut SessionPolicy) {
        if let Some(field) = field {
            policy.cookie.lifetime_type = field.value;
            policy.lifetime_location = Some(self.offset.location(field));
        }
    }

    fn limit(&self, name: &str, field: &Field<String>, limit: usize, report: &mut Report) {
        let length = field.value.chars().count();
        if length > limit {
            let message = format!("{name} has {length} characters, and at most {limit} are allowed");
            report.add(Diagnostic::error(Code::Invalid, message).at(self.offset.location(field)));
        }
    }
}

/// A GEP-2257 duration.
pub fn duration(text: &str, location: SourceLocation, report: &mut Report) -> Option<Spanned<Duration>> {
    match text.parse() {
        Ok(value) => Some(Spanned { value, location }),
        Err(invalid) => {
            let invalid: mooring_policy::duration::InvalidDuration = invalid;
            report.add(Diagnostic::error(Code::Invalid, invalid.to_string()).at(location));
            None
        }
    }
}
