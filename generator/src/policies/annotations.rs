//! The annotations `mooring.dev/…`, for what Gateway API has no field for. They are checked as strictly as fields.

use mooring_policy::{
    config::{CookieConfig, SameSite, Secure, Transport},
    duration::Duration,
};

use super::persistence;
use crate::{
    api::field::{Field, Pairs},
    diagnostic::{Code, Diagnostic, Report},
    kind::Kind,
    location::{DocumentOffset, SourceLocation, Spanned},
    resources::{Items, Resources},
    session::SessionPolicy,
    suggest,
};

/// The prefix of our annotations.
pub const PREFIX: &str = "mooring.dev/";

/// Every annotation, without its prefix.
const NAMES: [&str; 11] = [
    "cookie-domain",
    "cookie-http-only",
    "cookie-partitioned",
    "cookie-path",
    "cookie-same-site",
    "cookie-secure",
    "forward-token",
    "idle-timeout",
    "private-cache",
    "refresh-interval",
    "strict",
];

/// What the annotations of an object say.
#[derive(Default)]
pub struct Overrides {
    idle_timeout: Option<Spanned<Duration>>,
    refresh_interval: Option<Spanned<Duration>>,
    strict: Option<(bool, SourceLocation)>,
    forward_token: Option<bool>,
    cookie: Vec<CookieOverride>,
    first: Option<SourceLocation>,
    partial: bool,
}

/// One attribute of the cookie.
struct CookieOverride {
    name: String,
    location: SourceLocation,
    attribute: &'static str,
    set: Set,
}

type Set = Box<dyn Fn(&mut CookieConfig)>;

/// What `true` and `false` mean.
const TRUTH: [(&str, bool); 2] = [("true", true), ("false", false)];

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

impl Overrides {
    /// Reads the annotations of an object. Those without our prefix are somebody else's.
    pub fn read(annotations: &Pairs, offset: DocumentOffset, report: &mut Report) -> Self {
        let mut overrides = Self::default();
        for (name, value) in annotations.iter() {
            if let Some(short) = name.value.strip_prefix(PREFIX) {
                overrides.first.get_or_insert(offset.location(name));
                overrides.read_one(short, name, value, offset, report);
            }
        }
        overrides
    }

    fn read_one(
        &mut self,
        short: &str,
        name: &Field<String>,
        value: &Field<String>,
        offset: DocumentOffset,
        report: &mut Report,
    ) {
        let location = offset.location(value);
        let text = value.value.as_str();
        let mut cookie = |attribute: &'static str, set: Option<Set>| {
            self.cookie.extend(set.map(|set| CookieOverride {
                name: name.value.clone(),
                location,
                attribute,
                set,
            }));
        };
        let mut flag = |set: fn(&mut CookieConfig, bool)| {
            one_of(text, TRUTH, name, location, report).map(|value| setter(set, value))
        };
        match short {
            "cookie-domain" => cookie(
                "Domain",
                Some(setter(|cookie, text| cookie.domain = Some(text), text.to_owned())),
            ),
            "cookie-path" => cookie("Path", Some(setter(|cookie, text| cookie.path = text, text.to_owned()))),
            "cookie-http-only" => cookie("HttpOnly", flag(|cookie, value| cookie.http_only = value)),
            "cookie-partitioned" => cookie("Partitioned", flag(|cookie, value| cookie.partitioned = value)),
            "private-cache" => cookie("private-cache", flag(|cookie, value| cookie.private_cache = value)),
            "cookie-same-site" => {
                let value = one_of(text, SAME_SITE, name, location, report);
                cookie(
                    "SameSite",
                    value.map(|value| setter(|cookie, value| cookie.same_site = value, value)),
                );
            }
            "cookie-secure" => {
                let value = one_of(text, SECURE, name, location, report);
                cookie(
                    "Secure",
                    value.map(|value| setter(|cookie, value| cookie.secure = value, value)),
                );
            }
            "idle-timeout" | "refresh-interval" => {
                let duration = persistence::duration(text, location, report);
                self.partial |= duration.is_none();
                match short {
                    "idle-timeout" => self.idle_timeout = duration,
                    _ => self.refresh_interval = duration,
                }
            }
            "strict" => {
                let strict = one_of(text, TRUTH, name, location, report);
                self.strict = strict.map(|strict| (strict, location));
            }
            "forward-token" => self.forward_token = one_of(text, TRUTH, name, location, report),
            _ => unknown(short, offset.location(name), report),
        }
    }

    /// Lays the annotations over the policies of the object, which may be several: the rules of a route.
    pub fn apply(&self, policies: &mut [SessionPolicy], report: &mut Report) {
        if let (Some(location), true) = (self.first, policies.is_empty()) {
            let message = format!("the annotations `{PREFIX}…` have no effect: there is no sessionPersistence here");
            report.add(Diagnostic::warning(Code::NoEffect, message).at(location));
        }
        let cookies = policies.iter().any(|policy| policy.transport == Transport::Cookie);
        if let (Some(cookie), false) = (self.cookie.first(), cookies || policies.is_empty()) {
            let message = format!("`{}` can only be set with type Cookie", cookie.name);
            report.add(Diagnostic::error(Code::Invalid, message).at(cookie.location));
        }
        for policy in policies {
            self.apply_to(policy, report);
        }
    }

    fn apply_to(&self, policy: &mut SessionPolicy, report: &mut Report) {
        if let Some(annotation) = &self.idle_timeout {
            match &policy.idle_timeout {
                Some(field) => twice("idleTimeout", annotation.location, field.location, report),
                None => policy.idle_timeout = Some(annotation.clone()),
            }
        }
        policy.partial |= self.partial;
        policy.refresh_interval.clone_from(&self.refresh_interval);
        if let Some((strict, location)) = self.strict {
            policy.strict = strict;
            policy.attribute_locations.push(("strict", location));
        }
        policy.forward_token = self.forward_token.unwrap_or(policy.forward_token);
        if policy.transport == Transport::Cookie {
            for cookie in &self.cookie {
                cookie.apply_to(policy, report);
            }
        }
    }
}

impl CookieOverride {
    fn apply_to(&self, policy: &mut SessionPolicy, report: &mut Report) {
        let mut locations = policy.attribute_locations.iter();
        // The one attribute that has a field as well.
        if let Some((_, field)) = locations.find(|(name, _)| *name == "Path" && *name == self.attribute) {
            return twice("path", self.location, *field, report);
        }
        (self.set)(&mut policy.cookie);
        policy.attribute_locations.push((self.attribute, self.location));
    }
}

/// Sets an attribute to a value.
fn setter<T: Clone + 'static>(set: fn(&mut CookieConfig, T), value: T) -> Set {
    Box::new(move |cookie| set(cookie, value.clone()))
}

/// Our annotations on objects that do not have them are mistakes.
pub fn warn_elsewhere(resources: &Resources, report: &mut Report) {
    fn warn<T>(kind: Kind, items: &Items<T>, report: &mut Report) {
        for item in items.iter() {
            let mut names = item.metadata.annotations.iter().map(|(name, _)| name);
            if let Some(name) = names.find(|name| name.value.starts_with(PREFIX)) {
                let message = format!("`{}` has no effect on a {kind}", name.value);
                report.add(
                    Diagnostic::warning(Code::NoEffect, message)
                        .at(item.location_of(name))
                        .help("put it on the policy, or on the route whose rule has a sessionPersistence"),
                );
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

fn one_of<T: Copy, const N: usize>(
    text: &str,
    allowed: [(&str, T); N],
    name: &Field<String>,
    location: SourceLocation,
    report: &mut Report,
) -> Option<T> {
    let found = allowed.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let words: Vec<String> = allowed.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let message = format!("`{}` is \"{text}\"; allowed: {}", name.value, words.join(", "));
        report.add(Diagnostic::error(Code::Invalid, message).at(location));
    }
    found.map(|(_, value)| *value)
}

fn unknown(short: &str, location: SourceLocation, report: &mut Report) {
    let allowed: Vec<String> = NAMES.iter().map(|name| format!("{PREFIX}{name}")).collect();
    let message = format!("unknown annotation `{PREFIX}{short}`; allowed: {}", allowed.join(", "));
    let diagnostic = Diagnostic::error(Code::Invalid, message).at(location);
    report.add(match suggest::find(short, NAMES) {
        Some(name) => diagnostic.help(format!("did you mean `{PREFIX}{name}`?")),
        None => diagnostic,
    });
}

fn twice(field: &str, annotation: SourceLocation, location: SourceLocation, report: &mut Report) {
    let message = format!("{field} is set twice: by the annotation and by the field");
    report.add(
        Diagnostic::error(Code::Duplicate, message)
            .at(annotation)
            .with(location, "the field"),
    );
}
