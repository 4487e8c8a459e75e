//! What a case expects, and how it differs from what was found.

use cookie::Cookie;
use mooring_policy::duration::Duration;

use super::{
    checker::Checker,
    expected_cookie::{CookieAttributes, ExpectedCookie},
    format::{Expect, Session},
    names,
    observed::{CANARY, NONE, Observed, REASONS},
    values::{ABSENT, Attribute, ExpectedHeader, PRESENT},
};
use crate::{
    api::field::{Field, Text},
    location::SourceLocation,
    suggest,
};

/// One field that a case expects.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Its name, such as `backend` or `setCookie.path`.
    pub field: &'static str,
    /// Where it is written.
    pub location: SourceLocation,
    /// The value.
    pub value: Expected,
}

/// The value of a field that is expected.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// The end of the identity of a rule. None: no rule.
    Rule(Option<String>),
    /// A name of a backend. None: no backend.
    Backend(Option<String>),
    /// A host.
    Host(String),
    /// A reason.
    Reason(String),
    /// What became of the session.
    Session(Session),
    /// Whether the response has a session cookie.
    Cookie(bool),
    /// The name of the cookie.
    CookieName(String),
    /// An attribute of the cookie.
    CookieText(CookieText, Attribute),
    /// An attribute of the cookie that it has or has not.
    CookieFlag(CookieFlag, bool),
    /// `Max-Age` in seconds. None: it has none.
    MaxAge(Option<i64>),
    /// The session header.
    Header(ExpectedHeader),
    /// The status.
    Status(u16),
}

/// An attribute with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieText {
    /// `Domain`.
    Domain,
    /// `Path`.
    Path,
    /// `SameSite`.
    SameSite,
}

/// An attribute without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieFlag {
    /// `Secure`.
    Secure,
    /// `HttpOnly`.
    HttpOnly,
    /// `Partitioned`.
    Partitioned,
}

/// A field that is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The field.
    pub field: &'static str,
    /// Where the expected value is written.
    pub location: SourceLocation,
    /// The expected value.
    pub expected: String,
    /// The value that was found.
    pub found: String,
    /// Advice.
    pub help: Option<String>,
}

/// The expected fields of a case.
pub(super) fn expectations(expect: &Expect, checker: &mut Checker) -> Vec<Expectation> {
    let mut all = Expectations {
        list: Vec::new(),
        checker,
    };
    let or_none = |text: &String| Some(text.clone()).filter(|text| text != NONE);
    all.add("rule", expect.rule.as_ref(), |rule| Expected::Rule(or_none(rule)));
    all.add("backend", expect.backend.as_ref(), |backend| {
        Expected::Backend(or_none(backend))
    });
    all.add("host", expect.host.as_ref(), |host| Expected::Host(host.clone()));
    if let Some(reason) = &expect.reason {
        all.check_reason(reason);
    }
    all.add("reason", expect.reason.as_ref(), |reason| {
        Expected::Reason(reason.clone())
    });
    all.add("session", expect.session.as_ref(), |session| {
        Expected::Session(*session)
    });
    if let Some(cookie) = &expect.set_cookie {
        let is_present = !matches!(cookie.value, ExpectedCookie::Absent);
        all.add("setCookie", Some(cookie), |_| Expected::Cookie(is_present));
        match &cookie.value {
            ExpectedCookie::With(attributes) => all.cookie(attributes),
            ExpectedCookie::Unknown(word) => {
                let message =
                    format!("`{word}` is not allowed here; allowed: {ABSENT}, {PRESENT}, or attributes of the cookie");
                all.checker.error(cookie, message);
            }
            ExpectedCookie::Absent | ExpectedCookie::Present => {}
        }
    }
    let header = expect.session_header.as_ref();
    all.add("sessionHeader", header, |header| Expected::Header(header.clone()));
    all.add("status", expect.status.as_ref(), |status| Expected::Status(*status));
    all.list
}

struct Expectations<'a, 'c> {
    list: Vec<Expectation>,
    checker: &'a mut Checker<'c>,
}

impl Expectations<'_, '_> {
    fn add<T>(&mut self, name: &'static str, field: Option<&Field<T>>, value: impl FnOnce(&T) -> Expected) {
        self.list.extend(field.map(|field| Expectation {
            field: name,
            location: self.checker.offset.location(field),
            value: value(&field.value),
        }));
    }

    fn check_reason(&mut self, reason: &Field<String>) {
        let word = reason.value.as_str();
        let canary = word.strip_prefix(CANARY).is_some_and(|name| !name.is_empty());
        if canary || REASONS.contains(&word) {
            return;
        }
        let similar = suggest::find(word, REASONS);
        let help = similar.map_or_else(String::new, |similar| format!("; did you mean `{similar}`?"));
        let message = format!(
            "`{word}` is not a reason; allowed: {}, {CANARY}NAME{help}",
            REASONS.join(", ")
        );
        self.checker.error(reason, message);
    }

    fn cookie(&mut self, cookie: &CookieAttributes) {
        self.add("setCookie.name", cookie.name.as_ref(), |name| {
            Expected::CookieName(name.clone())
        });
        for (name, field, attribute) in [
            ("setCookie.domain", &cookie.domain, CookieText::Domain),
            ("setCookie.path", &cookie.path, CookieText::Path),
            ("setCookie.sameSite", &cookie.same_site, CookieText::SameSite),
        ] {
            self.add(name, field.as_ref(), |value| {
                Expected::CookieText(attribute, value.clone())
            });
        }
        if let Some(max_age) = &cookie.max_age {
            let seconds = self.max_age(max_age);
            self.add("setCookie.maxAge", Some(max_age), |_| Expected::MaxAge(seconds));
        }
        for (name, field, flag) in [
            ("setCookie.secure", &cookie.secure, CookieFlag::Secure),
            ("setCookie.httpOnly", &cookie.http_only, CookieFlag::HttpOnly),
            ("setCookie.partitioned", &cookie.partitioned, CookieFlag::Partitioned),
        ] {
            self.add(name, field.as_ref(), |value| Expected::CookieFlag(flag, *value));
        }
    }

    fn max_age(&mut self, text: &Field<Text>) -> Option<i64> {
        let value = text.value.0.as_str();
        if value == ABSENT {
            return None;
        }
        let of_duration = || value.parse::<Duration>().ok()?.whole_seconds().ok();
        let seconds = value.parse::<u64>().ok().or_else(of_duration);
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        if seconds.is_none() {
            let message = format!("`{value}` is not a Max-Age: write seconds, a duration such as 12h, or `{ABSENT}`");
            self.checker.error(text, message);
        }
        seconds
    }
}

impl Expectation {
    /// How what was found differs. None: it does not.
    #[must_use]
    pub fn compare(&self, observed: &Observed) -> Option<Mismatch> {
        let cookie = observed.set_cookie.as_deref().and_then(|text| Cookie::parse(text).ok());
        let (holds, found) = self.value.compare(observed, cookie.as_ref());
        if holds {
            return None;
        }
        let undrawn = matches!(self.value, Expected::Backend(Some(_))) && !observed.odds.is_empty();
        Some(Mismatch {
            field: self.field,
            location: self.location,
            expected: self.value.shown(),
            found,
            help: undrawn.then(|| "the weights select the backend: give the case a `draw`".to_owned()),
        })
    }
}

impl Expected {
    /// Whether it is what was found, and what that is.
    fn compare(&self, observed: &Observed, cookie: Option<&Cookie>) -> (bool, String) {
        let text = |found: Option<&str>| found.unwrap_or(NONE).to_owned();
        match self {
            Self::Rule(expected) => {
                let found = observed.rule.as_deref();
                let holds = match (expected, found) {
                    (Some(expected), Some(found)) => names::is_rule(expected, found),
                    (expected, found) => expected.is_none() && found.is_none(),
                };
                (holds, text(found))
            }
            Self::Backend(Some(_)) if !observed.odds.is_empty() => {
                let odds = observed.odds.iter();
                let odds: Vec<String> = odds.map(|(backend, share)| format!("{backend} ({share} %)")).collect();
                (false, odds.join(" or "))
            }
            Self::Backend(expected) => {
                let found = observed.backend.as_deref();
                let holds = match (expected, found) {
                    (Some(expected), Some(found)) => names::is_backend(expected, found),
                    (expected, found) => expected.is_none() && found.is_none(),
                };
                (holds, text(found))
            }
            Self::Host(expected) => {
                let found = text(observed.host.as_deref());
                (*expected == found, found)
            }
            Self::Reason(expected) => {
                let found = text(observed.reason.as_deref());
                (*expected == found, found)
            }
            Self::Session(expected) => {
                let (name, found) = (expected.to_string(), observed.session);
                let of_any_kind = *expected == Session::Rejected && found.starts_with(&name);
                (of_any_kind || name == found, found.to_owned())
            }
            Self::Header(expected) => {
                let found = observed.session_header.as_deref();
                let holds = match expected {
                    ExpectedHeader::Absent => found.is_none(),
                    ExpectedHeader::Present => found.is_some(),
                    ExpectedHeader::Named(name) => found.is_some_and(|found| found.eq_ignore_ascii_case(name)),
                };
                (holds, found.unwrap_or(ABSENT).to_owned())
            }
            Self::Status(expected) => (*expected == observed.status, observed.status.to_string()),
            Self::Cookie(expected) => {
                let found = cookie.map(|cookie| format!("{PRESENT} ({})", cookie.name()));
                (*expected == found.is_some(), found.unwrap_or_else(|| ABSENT.to_owned()))
            }
            // That there is no cookie is a mismatch of its own.
            attribute => cookie.map_or((true, String::new()), |cookie| attribute.compare_attribute(cookie)),
        }
    }

    fn compare_attribute(&self, cookie: &Cookie) -> (bool, String) {
        match self {
            Self::CookieName(expected) => (expected == cookie.name(), cookie.name().to_owned()),
            Self::CookieText(attribute, expected) => {
                let found = attribute.of(cookie);
                let holds = match (expected, &found) {
                    (Attribute::Absent, found) => found.is_none(),
                    (Attribute::Value(expected), Some(found)) => {
                        // Names of hosts and of SameSite are not case-sensitive (RFC 6265bis, section 5.6).
                        let any_case = *attribute != CookieText::Path && expected.eq_ignore_ascii_case(found);
                        expected == found || any_case
                    }
                    (Attribute::Value(_), None) => false,
                };
                (holds, found.unwrap_or_else(|| ABSENT.to_owned()))
            }
            Self::CookieFlag(flag, expected) => {
                let found = flag.of(cookie);
                (*expected == found, found.to_string())
            }
            Self::MaxAge(expected) => {
                let found = cookie.max_age().map(time::Duration::whole_seconds);
                (*expected == found, max_age(found))
            }
            _ => (true, String::new()),
        }
    }

    /// The expected value as text.
    fn shown(&self) -> String {
        match self {
            Self::Rule(expected) | Self::Backend(expected) => expected.as_deref().unwrap_or(NONE).to_owned(),
            Self::Host(expected) | Self::Reason(expected) | Self::CookieName(expected) => expected.clone(),
            Self::Session(expected) => expected.to_string(),
            Self::Cookie(true) | Self::Header(ExpectedHeader::Present) => PRESENT.to_owned(),
            Self::Cookie(false) | Self::Header(ExpectedHeader::Absent) | Self::CookieText(_, Attribute::Absent) => {
                ABSENT.to_owned()
            }
            Self::CookieText(_, Attribute::Value(expected)) | Self::Header(ExpectedHeader::Named(expected)) => {
                expected.clone()
            }
            Self::CookieFlag(_, expected) => expected.to_string(),
            Self::MaxAge(expected) => max_age(*expected),
            Self::Status(expected) => expected.to_string(),
        }
    }
}

fn max_age(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| ABSENT.to_owned(), |seconds| seconds.to_string())
}

impl CookieText {
    fn of(self, cookie: &Cookie) -> Option<String> {
        match self {
            Self::Domain => cookie.domain().map(str::to_owned),
            Self::Path => cookie.path().map(str::to_owned),
            Self::SameSite => cookie.same_site().map(|site| site.to_string()),
        }
    }
}

impl CookieFlag {
    fn of(self, cookie: &Cookie) -> bool {
        let has = match self {
            Self::Secure => cookie.secure(),
            Self::HttpOnly => cookie.http_only(),
            Self::Partitioned => cookie.partitioned(),
        };
        has.unwrap_or(false)
    }
}
