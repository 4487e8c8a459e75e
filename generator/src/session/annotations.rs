//! The annotations `mooring.dev/…`, for settings that have no field in Gateway API. They are checked as strictly as fields.

use mooring_policy::{
    config::{SameSite, Secure, SessionConfig, Transport},
    duration::{Duration, InvalidDuration},
};

use super::{Session, version_label};
use crate::{
    api::{
        field::{Field, Pairs},
        object::Metadata,
    },
    diagnostic::{Code, Diagnostic, Report, Reported},
    kind::Kind,
    location::{DocumentOffset, SourceLocation},
    resources::{Items, Resources},
    suggest,
};

/// The prefix of the annotations.
const PREFIX: &str = "mooring.dev/";

/// An annotation that exists.
struct Annotation {
    /// Its name, without the prefix.
    name: &'static str,
    /// The field of the session that it sets.
    field: &'static str,
    /// Whether that is a field of the cookie.
    of_cookie: bool,
    /// Parses a value. The first argument is the full name, for messages.
    parse: fn(&str, &str) -> Result<Apply, String>,
}

/// Sets a field to a parsed value.
type Apply = Box<dyn Fn(&mut Session)>;

/// Every annotation.
static ANNOTATIONS: [Annotation; 12] = [
    Annotation {
        name: "cookie-domain",
        field: "domain",
        of_cookie: true,
        parse: |_, text| {
            Ok(apply(
                |session, value| session.cookie.domain = Some(value),
                text.to_owned(),
            ))
        },
    },
    Annotation {
        name: "cookie-http-only",
        field: "httpOnly",
        of_cookie: true,
        parse: |name, text| one_of(name, text, BOOLEAN, |session, value| session.cookie.http_only = value),
    },
    Annotation {
        name: "cookie-partitioned",
        field: "partitioned",
        of_cookie: true,
        parse: |name, text| one_of(name, text, BOOLEAN, |session, value| session.cookie.partitioned = value),
    },
    Annotation {
        name: "cookie-path",
        field: "path",
        of_cookie: true,
        parse: |_, text| Ok(apply(|session, value| session.cookie.path = value, text.to_owned())),
    },
    Annotation {
        name: "cookie-same-site",
        field: "sameSite",
        of_cookie: true,
        parse: |name, text| one_of(name, text, SAME_SITE, |session, value| session.cookie.same_site = value),
    },
    Annotation {
        name: "cookie-secure",
        field: "secure",
        of_cookie: true,
        parse: |name, text| one_of(name, text, SECURE, |session, value| session.cookie.secure = value),
    },
    Annotation {
        name: "forward-token",
        field: "forwardToken",
        of_cookie: false,
        parse: |name, text| one_of(name, text, BOOLEAN, |session, value| session.forward_token = value),
    },
    Annotation {
        name: "idle-timeout",
        field: "idleTimeout",
        of_cookie: false,
        parse: |_, text| duration(text, |session, value| session.idle_timeout = Some(value)),
    },
    Annotation {
        name: "private-cache",
        field: "privateCache",
        of_cookie: true,
        parse: |name, text| {
            one_of(name, text, BOOLEAN, |session, value| {
                session.cookie.private_cache = value;
            })
        },
    },
    Annotation {
        name: "refresh-interval",
        field: "refreshInterval",
        of_cookie: false,
        parse: |_, text| duration(text, |session, value| session.refresh_interval = Some(value)),
    },
    Annotation {
        name: "strict",
        field: "strict",
        of_cookie: false,
        parse: |name, text| one_of(name, text, BOOLEAN, |session, value| session.strict = value),
    },
    Annotation {
        name: "version-label",
        field: "versionLabel",
        of_cookie: false,
        parse: |_, text| {
            let label = text.to_owned();
            match version_label::problem(text) {
                Some(problem) => Err(problem),
                None => Ok(Box::new(move |session| session.version_label = Some(label.clone()))),
            }
        },
    },
];

const BOOLEAN: [(&str, bool); 2] = [("true", true), ("false", false)];

const SAME_SITE: [(&str, SameSite); 3] = [
    ("Strict", SameSite::Strict),
    ("Lax", SameSite::Lax),
    ("None", SameSite::None),
];

const SECURE: [(&str, Secure); 3] = [
    ("Auto", Secure::Auto),
    ("Always", Secure::Always),
    ("Never", Secure::Never),
];

/// The parsed annotations of an object.
pub struct Annotations {
    settings: Vec<Setting>,
    /// Whether all of them are valid. If not, no session of the object is.
    pub valid: Result<(), Reported>,
}

/// One annotation and its value.
struct Setting {
    annotation: &'static Annotation,
    location: SourceLocation,
    apply: Apply,
}

impl Annotations {
    /// Parses the annotations of an object whose sessions have these transports. Annotations with other prefixes are ignored.
    pub fn parse(
        annotations: &Pairs,
        offset: DocumentOffset,
        transports: impl Iterator<Item = Transport>,
        report: &mut Report,
    ) -> Self {
        let mut found = Report::default();
        let mut settings = Vec::new();
        let mut first = None;
        for (name, value) in annotations.iter() {
            let Some(short) = name.value.strip_prefix(PREFIX) else {
                continue;
            };
            first.get_or_insert(offset.location(name));
            let Some(annotation) = ANNOTATIONS.iter().find(|known| known.name == short) else {
                found.add(unknown(short).at(offset.location(name)));
                continue;
            };
            let location = offset.location(value);
            match (annotation.parse)(&name.value, &value.value) {
                Ok(apply) => settings.push(Setting {
                    annotation,
                    location,
                    apply,
                }),
                Err(message) => found.add(Diagnostic::error(Code::Invalid, message).at(location)),
            }
        }
        let transports: Vec<Transport> = transports.collect();
        if let (Some(location), true) = (first, transports.is_empty()) {
            let message = format!("the annotations `{PREFIX}…` have no effect: there is no sessionPersistence here");
            found.add(Diagnostic::warning(Code::NoEffect, message).at(location));
        }
        let of_cookie = settings.iter().find(|setting| setting.annotation.of_cookie);
        let no_cookie = !transports.is_empty() && !transports.contains(&Transport::Cookie);
        if let (Some(setting), true) = (of_cookie, no_cookie) {
            let message = format!("`{PREFIX}{}` can only be set with type Cookie", setting.annotation.name);
            found.add(Diagnostic::error(Code::Invalid, message).at(setting.location));
        }
        let valid = found.result();
        report.extend(found);
        Self { settings, valid }
    }

    /// Applies them to a session of the object.
    pub fn apply(&self, session: &mut Session, report: &mut Report) {
        for setting in &self.settings {
            let Annotation { field, of_cookie, .. } = setting.annotation;
            if *of_cookie && session.config.transport != Transport::Cookie {
                continue;
            }
            if let Some(location) = session.locations.get(field) {
                let message = format!("{field} is set twice: by the annotation and by the field");
                let error = Diagnostic::error(Code::Duplicate, message).at(setting.location);
                report.add(error.with(location, "the field"));
                continue;
            }
            (setting.apply)(session);
            session.locations.set(field, setting.location);
        }
    }
}

/// Warns of these annotations on objects that cannot have them.
pub fn warn_elsewhere(resources: &Resources, report: &mut Report) {
    fn warn<T>(kind: Kind, items: &Items<T>, report: &mut Report) {
        for item in items.iter() {
            if let Some(warning) = elsewhere(kind, &item.metadata, item.offset) {
                report.add(warning);
            }
        }
    }
    warn(Kind::Gateway, &resources.gateways, report);
    warn(Kind::ListenerSet, &resources.listener_sets, report);
    warn(Kind::XListenerSet, &resources.x_listener_sets, report);
    warn(Kind::Service, &resources.services, report);
    warn(Kind::EndpointSlice, &resources.endpoint_slices, report);
    warn(Kind::ReferenceGrant, &resources.reference_grants, report);
}

/// The warning about annotations on an object of a kind on which they have no effect.
pub fn elsewhere(kind: Kind, metadata: &Metadata, offset: DocumentOffset) -> Option<Diagnostic> {
    let warned = matches!(
        kind,
        Kind::Gateway
            | Kind::ListenerSet
            | Kind::XListenerSet
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::ReferenceGrant
    );
    let mut names = metadata.annotations.iter().map(|(name, _)| name);
    let name = names.find(|name| warned && name.value.starts_with(PREFIX))?;
    let message = format!("`{}` has no effect on a {kind}", name.value);
    let warning = Diagnostic::warning(Code::NoEffect, message).at(offset.location(name));
    Some(warning.help("put it on the policy, or on the route whose rule has a sessionPersistence"))
}

/// The full name of an annotation as the object has it, with its location.
pub fn find<'a>(annotations: &'a Pairs, name: &str) -> Option<&'a Field<String>> {
    let mut names = annotations.iter().map(|(name, _)| name);
    names.find(|full| full.value.strip_prefix(PREFIX) == Some(name))
}

fn apply<T: Clone + 'static>(set: fn(&mut SessionConfig, T), value: T) -> Apply {
    Box::new(move |session| set(&mut session.config, value.clone()))
}

fn duration(text: &str, set: fn(&mut SessionConfig, Duration)) -> Result<Apply, String> {
    let value = text.parse().map_err(|invalid: InvalidDuration| invalid.to_string());
    value.map(|value| apply(set, value))
}

fn one_of<T: Copy + 'static, const N: usize>(
    name: &str,
    text: &str,
    allowed: [(&str, T); N],
    set: fn(&mut SessionConfig, T),
) -> Result<Apply, String> {
    if let Some((_, value)) = allowed.iter().find(|(word, _)| *word == text) {
        return Ok(apply(set, *value));
    }
    let words = allowed.map(|(word, _)| format!("\"{word}\""));
    Err(format!("`{name}` is \"{text}\"; allowed: {}", words.join(", ")))
}

fn unknown(short: &str) -> Diagnostic {
    let allowed = ANNOTATIONS.each_ref().map(|known| format!("{PREFIX}{}", known.name));
    let message = format!("unknown annotation `{PREFIX}{short}`; allowed: {}", allowed.join(", "));
    let error = Diagnostic::error(Code::Invalid, message);
    match suggest::find(short, ANNOTATIONS.iter().map(|known| known.name)) {
        Some(name) => error.help(format!("did you mean `{PREFIX}{name}`?")),
        None => error,
    }
}
