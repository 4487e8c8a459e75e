//! Parses `sessionPersistence`, in the form of Gateway API 1.1 to 1.6 and in the later one (GEP-1619).
//!
//! If no field belongs to one form only, as in `{type: Cookie}`, the first one applies: the second one requires `cookie` or
//! `header`.

use mooring_policy::config::Transport;

use super::{Session, annotations::Annotations, builder::Builder};
use crate::{
    api::{field::Field, policy::SessionPersistence},
    diagnostic::{Code, Diagnostic, Report, Reported},
    id::Id,
    kind::Kind,
    location::DocumentOffset,
};

/// The longest `sessionName` (Gateway API 1.1 to 1.6: `maxLength`).
const MAX_SESSION_NAME: usize = 128;

/// The longest `cookie.path` (Gateway API after 1.6: `maxLength`).
const MAX_PATH: usize = 1_024;

/// What carries the token.
pub fn transport(raw: &Field<SessionPersistence>) -> Transport {
    raw.value
        .transport
        .as_ref()
        .map_or(Transport::Cookie, |field| field.value)
}

/// Parses the session of a policy, or of a rule itself.
pub fn parse(
    persistence: &Field<SessionPersistence>,
    policy: Option<(Kind, Id)>,
    annotations: &Annotations,
    offset: DocumentOffset,
    report: &mut Report,
) -> Result<Session, Reported> {
    let raw = &persistence.value;
    let mut session = Session::new(policy, offset.location(persistence));
    session.config.transport = transport(persistence);
    let mut builder = Builder::new(session, offset);
    builder.set_timeout("absoluteTimeout", raw.absolute_timeout.as_ref(), |config| {
        &mut config.absolute_timeout
    });
    builder.set_timeout("idleTimeout", raw.idle_timeout.as_ref(), |config| {
        &mut config.idle_timeout
    });
    match (first_form(raw), second_form(raw)) {
        (Some((old, old_at)), Some((new, new_at))) => {
            let message =
                format!("`{old}` and `{new}` are of two versions of Gateway API: {old} is gone where {new} exists");
            let mut error = Diagnostic::error(Code::Invalid, message)
                .at(offset.location(&new_at))
                .with(offset.location(&old_at), "this field is of Gateway API 1.6 or earlier");
            if old == "idleTimeout" {
                error = error.help("write the idle timeout as the annotation `mooring.dev/idle-timeout`");
            }
            builder.report(error);
        }
        (None, Some(_)) => parse_second(persistence, &mut builder),
        (_, None) => parse_first(raw, &mut builder),
    }
    builder.build(annotations, report)
}

/// A field that only the first form has.
fn first_form(raw: &SessionPersistence) -> Option<(&'static str, Field<()>)> {
    find("sessionName", raw.session_name.as_ref())
        .or_else(|| find("cookieConfig", raw.cookie_config.as_ref()))
        .or_else(|| find("idleTimeout", raw.idle_timeout.as_ref()))
}

/// A field that only the second form has.
fn second_form(raw: &SessionPersistence) -> Option<(&'static str, Field<()>)> {
    find("cookie", raw.cookie.as_ref()).or_else(|| find("header", raw.header.as_ref()))
}

fn find<T>(name: &'static str, field: Option<&Field<T>>) -> Option<(&'static str, Field<()>)> {
    field.map(|field| (name, field.put(())))
}

fn parse_first(raw: &SessionPersistence, builder: &mut Builder) {
    if let Some(name) = &raw.session_name {
        builder.limit("sessionName", name, MAX_SESSION_NAME);
        builder.set_name(name);
    }
    let Some(config) = &raw.cookie_config else { return };
    if builder.transport() == Transport::Header {
        let location = builder.location_of(config);
        builder.invalid("cookieConfig can only be set with type Cookie", location);
    } else {
        builder.set_lifetime(config.value.lifetime_type.as_ref());
    }
}

fn parse_second(persistence: &Field<SessionPersistence>, builder: &mut Builder) {
    let raw = &persistence.value;
    let wrong = match builder.transport() {
        Transport::Cookie => [
            (raw.header.is_some(), "header must be nil if type is not Header"),
            (raw.cookie.is_none(), "cookie must be specified for Cookie type"),
        ],
        Transport::Header => [
            (raw.cookie.is_some(), "cookie must be nil if type is not Cookie"),
            (raw.header.is_none(), "header must be specified for Header type"),
        ],
    };
    let whole = builder.location_of(persistence);
    let location = raw.transport.as_ref().map_or(whole, |field| builder.location_of(field));
    for (_, message) in wrong.into_iter().filter(|(wrong, _)| *wrong) {
        builder.invalid(message, location);
    }
    match (builder.transport(), &raw.header, &raw.cookie) {
        (Transport::Header, Some(header), _) => builder.set_name(&header.value.name),
        (Transport::Cookie, _, Some(cookie)) => {
            if let Some(name) = &cookie.value.name {
                builder.set_name(name);
            }
            builder.set_lifetime(cookie.value.lifetime_type.as_ref());
            if let Some(path) = &cookie.value.path {
                builder.limit("path", path, MAX_PATH);
                builder.set_path(path);
            }
        }
        _ => {}
    }
}
