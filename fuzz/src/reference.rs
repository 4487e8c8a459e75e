//! The decisions of `mooring-policy`, made in another way: slowly, and from the configuration as it is written.
//!
//! From `mooring-policy` it takes types and constants only. It shares the engine of regular expressions, so it finds no fault
//! of that.

use mooring_policy::{
    canary::{MAX_EXPRESSION_INPUT, MAX_VALUES, Selection},
    config::{self, MatchType, SourceConfig},
    duration::Duration,
    timeouts::{MAX_SKEW, SessionState},
    token::{Rejection, Token},
};
use regex_lite::Regex;

/// The lines of a request's headers.
pub type Lines = [(String, Vec<u8>)];

/// The values of a cookie in the lines of a request.
#[must_use]
pub fn cookies(lines: &Lines, name: &str) -> Vec<Vec<u8>> {
    let lines = lines.iter().filter(|(header, _)| header.eq_ignore_ascii_case("cookie"));
    let pairs = lines.flat_map(|(_, line)| line.split(|byte| *byte == b';'));
    let named = pairs.filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..equals].trim_ascii() == name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
    });
    let bare = named.map(|value| match value {
        [b'"', bare @ .., b'"'] => bare,
        value => value,
    });
    bare.map(<[u8]>::to_vec).collect()
}

/// Whether a cookie of this path goes with a request to this target.
#[must_use]
pub fn is_below(path: &str, target: &str) -> bool {
    let (request, _) = target.split_once(['?', '#']).unwrap_or((target, ""));
    let directory = if path.ends_with('/') {
        path.to_owned()
    } else {
        format!("{path}/")
    };
    path == "/" || request == path || request.starts_with(&directory)
}

/// The pairs in the `Cookie` lines of a request that are not of the cookie of this name.
#[must_use]
pub fn other_pairs(lines: &Lines, name: &str) -> Vec<Vec<u8>> {
    let lines = lines.iter().filter(|(header, _)| header.eq_ignore_ascii_case("cookie"));
    let pairs = lines.flat_map(|(_, line)| line.split(|byte| *byte == b';'));
    let others = pairs.filter(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=');
        equals.is_none_or(|equals| pair[..equals].trim_ascii() != name.as_bytes())
    });
    let others = others.map(|pair| pair.trim_ascii_start().to_vec());
    others.filter(|pair| !pair.is_empty()).collect()
}

/// The values of a source, as many as are looked at.
#[must_use]
pub fn values(lines: &Lines, source: &SourceConfig) -> Vec<Vec<u8>> {
    let mut values = all_values(lines, source);
    values.truncate(MAX_VALUES);
    values
}

fn all_values(lines: &Lines, source: &SourceConfig) -> Vec<Vec<u8>> {
    match source {
        SourceConfig::Cookie(name) => cookies(lines, name),
        SourceConfig::Header(name) => {
            let lines = lines.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
            lines.map(|(_, value)| value.clone()).collect()
        }
    }
}

/// The selection of the match rules for a request within the budget. The canary routing must be valid.
#[must_use]
pub fn select(canary: &config::CanaryConfig, of_rule: &config::RuleCanaryConfig, lines: &Lines) -> Selection {
    for (rule, raw) in canary.rules.iter().enumerate() {
        let Some(backend) = of_rule.backends[rule] else {
            continue;
        };
        if let Some(source) = &raw.opt_in {
            let said = values(lines, source);
            if said.iter().any(|value| value == b"always") {
                return Selection::Only { rule, backend };
            }
            if said.iter().any(|value| value == b"never") {
                return Selection::Except { rule, backend };
            }
        } else if raw.matches.iter().all(|one| holds(one, lines)) {
            return Selection::Only { rule, backend };
        }
    }
    Selection::Any
}

fn holds(one: &config::MatchConfig, lines: &Lines) -> bool {
    let values = values(lines, &one.on);
    let wanted = one.value.as_deref().unwrap_or_default();
    let test = |value: &Vec<u8>| match one.match_type {
        MatchType::Present => true,
        MatchType::Absent => false,
        MatchType::Exact => value == wanted.as_bytes(),
        MatchType::Prefix => value.get(..wanted.len()) == Some(wanted.as_bytes()),
        MatchType::Suffix => value.iter().rev().take(wanted.len()).eq(wanted.as_bytes().iter().rev()),
        MatchType::Contains => (0..=value.len()).any(|start| value[start..].starts_with(wanted.as_bytes())),
        MatchType::RegularExpression => {
            let whole = Regex::new(&format!(r"\A(?:{wanted})\z")).expect("it was accepted");
            value.len() <= MAX_EXPRESSION_INPUT && str::from_utf8(value).is_ok_and(|value| whole.is_match(value))
        }
    };
    if one.match_type == MatchType::Absent {
        values.is_empty()
    } else {
        values.iter().any(test)
    }
}

/// What a token that opened is worth.
#[must_use]
pub fn session_state(session: &config::SessionConfig, token: &Token, now: u64) -> SessionState {
    // No sum of a few of these overflows.
    let wide = |seconds: u64| i128::from(seconds);
    let seconds = |duration: Option<Duration>| duration.and_then(|duration| duration.whole_seconds().ok()).map(wide);
    let age = wide(now) - wide(token.issued);
    let silence = wide(now) - wide(token.seen);
    if age < -wide(MAX_SKEW) {
        return SessionState::Rejected(Rejection::Future);
    }
    if seconds(session.absolute_timeout).is_some_and(|timeout| age.max(0) >= timeout) {
        return SessionState::ExpiredAbsolute;
    }
    let Some(timeout) = seconds(session.idle_timeout) else {
        return SessionState::Live { needs_refresh: false };
    };
    if silence > timeout {
        return SessionState::ExpiredIdle;
    }
    let refresh = seconds(session.refresh_interval).unwrap_or((timeout / 20).clamp(1, 60));
    SessionState::Live {
        needs_refresh: silence >= refresh || silence < -wide(MAX_SKEW),
    }
}

/// The names that istiod may give the cluster of the backend with this key: a Service is in some domain, a host of a
/// `ServiceEntry` is as it is. None: it is not the key of a backend in Istio.
#[must_use]
pub fn clusters(key: &str) -> Option<Vec<String>> {
    let (address, subset) = match key.split('/').collect::<Vec<_>>().as_slice() {
        [address] => (*address, ""),
        [address, subset] if !subset.is_empty() => (*address, *subset),
        _ => return None,
    };
    let (host, port) = address.rsplit_once(':')?;
    let plain = !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || key.contains('|') {
        return None;
    }
    let mut hosts = vec![host.to_owned()];
    if host.split('.').count() == 2 {
        hosts.extend(["cluster.local", "corp.example", "svc"].map(|domain| format!("{host}.svc.{domain}")));
    }
    let name = |host: &String| format!("outbound|{port}|{subset}|{host}");
    Some(hosts.iter().map(name).collect())
}

/// A regular expression that is known by what it is made of.
#[derive(Clone, Debug, arbitrary::Arbitrary)]
pub enum Pattern {
    /// A letter.
    Letter(Letter),
    /// Any character.
    Any,
    /// One of several letters, or none of them.
    Class(bool, Letter, Letter),
    /// Nothing.
    Empty,
    /// One after the other.
    Both(Box<(Pattern, Pattern)>),
    /// One or the other.
    Either(Box<(Pattern, Pattern)>),
    /// Again and again: from so often, to so often or without end.
    Repeated(Box<Pattern>, Times),
}

/// The letters of texts for patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, arbitrary::Arbitrary)]
pub enum Letter {
    /// `a`
    A,
    /// `b`
    B,
    /// Two bytes.
    Umlaut,
}

impl Letter {
    /// The letter.
    #[must_use]
    pub fn character(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
            Self::Umlaut => 'ä',
        }
    }
}

/// How often.
#[derive(Clone, Copy, Debug, arbitrary::Arbitrary)]
pub enum Times {
    /// `?`
    Optional,
    /// `*`
    Any,
    /// `+`
    Some,
    /// `{2}`
    Two,
}

impl Pattern {
    /// As it is written.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Letter(letter) => letter.character().into(),
            Self::Any => ".".to_owned(),
            Self::Class(negated, one, other) => {
                let not = if *negated { "^" } else { "" };
                format!("[{not}{}{}]", one.character(), other.character())
            }
            Self::Empty => String::new(),
            Self::Both(both) => format!("{}{}", both.0.group(), both.1.group()),
            Self::Either(both) => format!("{}|{}", both.0.group(), both.1.group()),
            Self::Repeated(what, times) => {
                let times = match times {
                    Times::Optional => "?",
                    Times::Any => "*",
                    Times::Some => "+",
                    Times::Two => "{2}",
                };
                format!("{}{times}", what.group())
            }
        }
    }

    fn group(&self) -> String {
        format!("({})", self.text())
    }

    /// Whether it matches all of a text of 64 letters at most.
    #[must_use]
    pub fn matches(&self, text: &[Letter]) -> bool {
        self.ends(text)[0] >> text.len() & 1 == 1
    }

    /// Where it can end, for each position at which it begins: a bit for each position.
    fn ends(&self, text: &[Letter]) -> Vec<u128> {
        let step = |fits: &dyn Fn(Letter) -> bool| {
            let after = text
                .iter()
                .zip(1..)
                .map(|(letter, end)| u128::from(fits(*letter)) << end);
            after.chain([0]).collect()
        };
        let nothing = || (0..=text.len()).map(|start| 1 << start).collect();
        match self {
            Self::Letter(wanted) => step(&|letter| letter == *wanted),
            Self::Any => step(&|_| true),
            Self::Class(negated, one, other) => step(&|letter| (letter == *one || letter == *other) != *negated),
            Self::Empty => nothing(),
            Self::Both(both) => then(&both.0.ends(text), &both.1.ends(text)),
            Self::Either(both) => either(&both.0.ends(text), &both.1.ends(text)),
            Self::Repeated(what, times) => {
                let once = what.ends(text);
                match times {
                    Times::Optional => either(&nothing(), &once),
                    Times::Two => then(&once, &once),
                    Times::Any => again(nothing(), &once),
                    Times::Some => again(once.clone(), &once),
                }
            }
        }
    }
}

fn either(one: &[u128], other: &[u128]) -> Vec<u128> {
    one.iter().zip(other).map(|(one, other)| one | other).collect()
}

fn then(one: &[u128], other: &[u128]) -> Vec<u128> {
    let from = |ends: &u128| {
        let starts = other.iter().enumerate().filter(|(start, _)| ends >> start & 1 == 1);
        starts.fold(0, |sum, (_, ends)| sum | ends)
    };
    one.iter().map(from).collect()
}

/// Once more and once more, until that leads nowhere new.
fn again(mut ends: Vec<u128>, once: &[u128]) -> Vec<u128> {
    loop {
        let more = either(&ends, &then(&ends, once));
        if more == ends {
            return ends;
        }
        ends = more;
    }
}
