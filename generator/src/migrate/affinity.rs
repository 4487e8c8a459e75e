//! Session affinity by cookie: what the annotations `affinity` and `session-cookie-…` ask for.

use mooring_policy::{
    config::{CookieConfig, SameSite},
    cookie::CookieAttributes,
    name,
};

use super::{annotations::Annotations, checks, sessions::Sessions};
use crate::{diagnostic::Report, location::SourceLocation, session::domain};

/// The name of the cookie without `session-cookie-name`.
const DEFAULT_NAME: &str = "INGRESSCOOKIE";

/// The longest name of a session (Gateway API).
pub(super) const MAX_NAME: usize = 128;

/// The annotations that have no effect without `affinity`.
pub(super) const OF_AFFINITY: [&str; 12] = [
    "affinity-mode",
    "affinity-canary-behavior",
    "session-cookie-change-on-failure",
    "session-cookie-conditional-samesite-none",
    "session-cookie-domain",
    "session-cookie-expires",
    "session-cookie-hash",
    "session-cookie-max-age",
    "session-cookie-name",
    "session-cookie-path",
    "session-cookie-samesite",
    "session-cookie-secure",
];

/// The affinity of an Ingress.
#[derive(Clone, Debug)]
pub struct Affinity {
    /// The location of the annotation `affinity`.
    pub at: SourceLocation,
    /// The location of the value that sets the name, or else of `affinity`.
    pub name_at: SourceLocation,
    /// The location of `session-cookie-domain`.
    pub domain_at: Option<SourceLocation>,
    /// The sessions.
    pub sessions: Sessions,
}

/// Reads the affinity of an Ingress. The name of its cookie ends with `suffix`. None: it has no affinity, or no valid one.
pub fn read(annotations: &Annotations, suffix: &str, report: &mut Report) -> Option<Affinity> {
    let Some(affinity) = annotations.word("affinity", ["cookie"], report) else {
        for name in OF_AFFINITY {
            annotations.no_effect(name, "there is no `affinity: cookie`", report);
        }
        return None;
    };
    let at = annotations.location("affinity").unwrap_or(affinity.location);
    modes(annotations, report);
    let given = annotations.text("session-cookie-name", report);
    let name = given.as_ref().map_or(DEFAULT_NAME, |name| &name.value);
    let name = format!("{name}{suffix}");
    let mut valid = true;
    if let Some(given) = &given {
        let too_long = name.chars().count() > MAX_NAME;
        if too_long || name::check_token(&name).is_err() {
            let most = MAX_NAME.saturating_sub(suffix.len());
            let allowed = format!("a cookie name has letters, digits and !#$%&'*+-.^_`|~, {most} at most");
            annotations.invalid("session-cookie-name", given, allowed, report);
            valid = false;
        }
    }
    let same_site = same_site(annotations, report);
    let secure = annotations.boolean("session-cookie-secure", report);
    let lifetime = lifetime(annotations, report);
    let domain = domain_of(annotations, report);
    let stays = annotations.boolean("session-cookie-change-on-failure", report);
    if annotations.location("session-cookie-change-on-failure").is_none() {
        annotations.note(
            "affinity",
            "Istio tries a failed request again on another pod, and the session moves there. Without \
             session-cookie-change-on-failure, ingress-nginx keeps the client on the failing pod",
            report,
        );
    }
    let sessions = Sessions {
        name,
        path: path(annotations, report),
        domain: domain.as_ref().map(|(domain, _)| domain.clone()),
        same_site,
        secure: secure.is_some_and(|secure| secure.value),
        max_age: match lifetime {
            Lifetime::Seconds(seconds) => Some(seconds),
            Lifetime::Session | Lifetime::Over => None,
        },
        stays_on_failure: stays.is_some_and(|changes| !changes.value),
    };
    if let Some(given) = given.as_ref().filter(|_| valid)
        && let Err(invalid) = CookieAttributes::new(&sessions.name, &sessions.cookie())
    {
        annotations.invalid("session-cookie-name", given, invalid, report);
        valid = false;
    }
    (valid && lifetime != Lifetime::Over).then(|| Affinity {
        at,
        name_at: given.map_or(at, |name| name.location),
        domain_at: domain.map(|(_, location)| location),
        sessions,
    })
}

/// `affinity-mode` and what is old.
fn modes(annotations: &Annotations, report: &mut Report) {
    let mode = annotations.word("affinity-mode", ["balanced", "persistent"], report);
    if mode.is_none_or(|mode| mode.value == "balanced") {
        let name = match annotations.location("affinity-mode") {
            Some(_) => "affinity-mode",
            None => "affinity",
        };
        let what = "sessions stay on their pods when pods are added. ingress-nginx moves some of them in the mode \
                    `balanced`, which is its default";
        annotations.note(name, what, report);
    }
    annotations.no_effect("session-cookie-hash", "ingress-nginx does not read it any more", report);
    if annotations
        .word("affinity-canary-behavior", ["sticky", "legacy"], report)
        .is_some()
    {
        let why = "ingress-nginx reads it on the canary Ingress only";
        if annotations.location("canary").is_none() {
            annotations.no_effect("affinity-canary-behavior", why, report);
        }
    }
}

fn path(annotations: &Annotations, report: &mut Report) -> Option<String> {
    let path = annotations.text("session-cookie-path", report)?;
    let config = CookieConfig {
        path: path.value.clone(),
        ..CookieConfig::default()
    };
    if let Err(invalid) = CookieAttributes::new("a", &config) {
        annotations.invalid("session-cookie-path", &path, invalid, report);
        return None;
    }
    Some(path.value)
}

fn domain_of(annotations: &Annotations, report: &mut Report) -> Option<(String, SourceLocation)> {
    let domain = annotations.text("session-cookie-domain", report)?;
    if let Err(invalid) = domain::check(&domain.value) {
        annotations.invalid("session-cookie-domain", &domain, invalid, report);
        return None;
    }
    Some((domain::canonical(&domain.value), domain.location))
}

fn same_site(annotations: &Annotations, report: &mut Report) -> Option<SameSite> {
    let name = "session-cookie-samesite";
    let word = annotations.word(name, ["None", "Lax", "Strict"], report);
    let conditional = "session-cookie-conditional-samesite-none";
    let omits = annotations
        .boolean(conditional, report)
        .is_some_and(|omits| omits.value);
    let same_site = word.map(|word| match word.value {
        "None" => SameSite::None,
        "Strict" => SameSite::Strict,
        _ => SameSite::Lax,
    });
    match same_site {
        Some(SameSite::None) if omits => annotations.unsupported(
            conditional,
            "Mooring sends SameSite=None to all browsers. Those that do not know the value are of 2019 and older",
            report,
        ),
        _ if omits => annotations.no_effect(conditional, "SameSite is not None", report),
        None if annotations.location(name).is_none() => annotations.note(
            "affinity",
            "the cookie gets SameSite=Lax. Without session-cookie-samesite, ingress-nginx sets no SameSite, which most \
             browsers treat as Lax",
            report,
        ),
        _ => {}
    }
    same_site
}

/// How long a browser keeps a cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// Until it is closed.
    Session,
    /// For these seconds.
    Seconds(u64),
    /// It deletes the cookie at once.
    Over,
}

fn lifetime(annotations: &Annotations, report: &mut Report) -> Lifetime {
    let (max_age, expires) = ("session-cookie-max-age", "session-cookie-expires");
    let allowed = "allowed: a whole number of seconds";
    let integer = |text: &str| text.parse::<i64>().ok();
    let by_age = annotations.parsed(max_age, allowed, report, integer);
    let by_date = annotations.parsed(expires, allowed, report, integer);
    // Max-Age has precedence over Expires (RFC 6265, section 5.3).
    let (name, seconds) = match (by_age, by_date) {
        (Some(age), Some(date)) if age.value != date.value => {
            let why = "browsers prefer Max-Age, which session-cookie-max-age sets to another value";
            annotations.no_effect(expires, why, report);
            (max_age, age)
        }
        (Some(age), _) => (max_age, age),
        (None, Some(date)) => {
            annotations.note(
                expires,
                "Mooring sends the lifetime as Max-Age, without Expires",
                report,
            );
            (expires, date)
        }
        (None, None) => return Lifetime::Session,
    };
    if let Some(wanted) = u64::try_from(seconds.value).ok().filter(|seconds| *seconds > 0) {
        let (seconds, shorter) = checks::seconds(wanted);
        if shorter {
            annotations.note(name, checks::SHORTER, report);
        }
        return Lifetime::Seconds(seconds);
    }
    let why = "browsers delete such a cookie at once, so the Ingress has no sessions, and none are written";
    annotations.no_effect(name, why, report);
    Lifetime::Over
}

/// Reports the annotations of a canary Ingress that have no effect there: it has the affinity of its main Ingress.
pub fn of_canary(annotations: &Annotations, report: &mut Report) {
    let why = "a canary Ingress has the affinity of its main Ingress";
    annotations.no_effect("affinity", why, report);
    for name in OF_AFFINITY
        .into_iter()
        .filter(|name| *name != "affinity-canary-behavior")
    {
        annotations.no_effect(name, why, report);
    }
}
