//! Canary routing: who is sent to a backend regardless of the weights, and how the same client is split the same way.
//!
//! Header names are compared without regard to case (RFC 9110, section 5.1), cookie names and all values byte for byte. A
//! header or cookie that is there several times matches if one of its values does.

use regex_lite::{Regex, RegexBuilder};

use crate::{
    config::{self, MatchType, Override},
    cookie,
    headers::Headers,
    name::{self, InvalidName},
    rule::Backend,
};

mod hash;

use self::hash::Seed;
pub use self::hash::{ClientHash, MAX_SEED_LENGTH};

/// Canary routing of a rule, ready for requests.
#[derive(Debug)]
pub struct Canary {
    rules: Box<[ForcingRule]>,
    override_session: Override,
    hash_on: Option<Source>,
    seed: Seed,
}

#[derive(Debug)]
struct ForcingRule {
    name: Box<str>,
    backend: usize,
    condition: Condition,
}

#[derive(Debug)]
enum Condition {
    All(Box<[Match]>),
    OptIn(Source),
}

#[derive(Debug)]
struct Match {
    on: Source,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<[u8]>),
    Regex(Box<Regex>),
    Present,
    Absent,
}

#[derive(Debug)]
enum Source {
    Header(Box<str>),
    Cookie(Box<str>),
}

/// What the forcing rules say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Free,
    /// It goes to this backend.
    To {
        /// The position of the forcing rule.
        rule: usize,
        /// The position of the backend.
        backend: usize,
    },
    /// It goes to any backend but this one.
    Not {
        /// The position of the forcing rule.
        rule: usize,
        /// The position of the backend.
        backend: usize,
    },
}

/// Why canary routing is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCanary {
    /// A forcing rule has no name, or not its own.
    #[error("`{0}` is not a name for a canary rule: it must be unique, of 1 to 63 letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// The backend is not one of the rule's.
    #[error("canary rule `{rule}`: there is no backend `{backend}`; there are {known}")]
    Backend {
        /// The forcing rule.
        rule: String,
        /// What was found.
        backend: String,
        /// What is allowed.
        known: String,
    },
    /// A forcing rule matches everything.
    #[error("canary rule `{0}` has neither matches nor optIn, so it would force every request")]
    NoMatches(String),
    /// A forcing rule has two kinds of condition.
    #[error("canary rule `{0}` has both matches and optIn; it can have one of them")]
    Both(String),
    /// A comparison without a value, or the other way round.
    #[error("canary rule `{rule}`: type {kind:?} {problem}")]
    Value {
        /// The forcing rule.
        rule: String,
        /// How the value is compared.
        kind: MatchType,
        /// What is wrong.
        problem: &'static str,
    },
    /// The regular expression does not compile.
    #[error("canary rule `{rule}`: `{pattern}` is not a regular expression: {reason}")]
    Regex {
        /// The forcing rule.
        rule: String,
        /// What was found.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two conditions of a forcing rule exclude each other.
    #[error("canary rule `{rule}` can never match: {reason}")]
    Never {
        /// The forcing rule.
        rule: String,
        /// Which conditions, and why.
        reason: String,
    },
    /// The seed of the split is too long, or empty.
    #[error("the seed of a split has 1 to {MAX_SEED_LENGTH} characters, and this one has {0}")]
    Seed(usize),
    /// The name of a header or cookie is none.
    #[error("canary: {0}")]
    Source(#[from] InvalidName),
}

impl Canary {
    /// Checks the canary routing of a rule with these backends.
    pub(crate) fn new(raw: config::Canary, backends: &[Backend]) -> Result<Self, InvalidCanary> {
        let mut rules: Vec<ForcingRule> = Vec::with_capacity(raw.rules.len());
        for rule in raw.rules {
            if !is_rule_name(&rule.name) || rules.iter().any(|other| *other.name == *rule.name) {
                return Err(InvalidCanary::Name(rule.name));
            }
            rules.push(ForcingRule::new(rule, backends)?);
        }
        Ok(Self {
            rules: rules.into(),
            override_session: raw.override_session,
            hash_on: raw.hash_on.map(Source::try_from).transpose()?,
            seed: Seed::new(raw.seed.as_deref())?,
        })
    }

    /// The name of the forcing rule at this position.
    #[must_use]
    pub fn rule_name(&self, position: usize) -> Option<&str> {
        self.rules.get(position).map(|rule| &*rule.name)
    }

    /// How many forcing rules there are.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Whether a forcing rule beats a live session.
    #[must_use]
    pub fn overrides_sessions(&self) -> bool {
        self.override_session == Override::Always
    }

    /// What the forcing rules say of a request.
    #[must_use]
    pub fn judge(&self, headers: &Headers) -> Verdict {
        let verdicts = (0..)
            .zip(&self.rules)
            .map(|(rule, forcing)| forcing.judge(rule, headers));
        verdicts
            .into_iter()
            .find(|verdict| *verdict != Verdict::Free)
            .unwrap_or(Verdict::Free)
    }

    /// The same number for the same client, wherever it comes in. None where the request does not say who it is.
    #[must_use]
    pub fn client_hash<'a>(&self, headers: &Headers<'a>) -> Option<ClientHash<'a>> {
        let source = self.hash_on.as_ref()?;
        let value = source.values(headers).find(|value| !value.is_empty())?;
        Some(self.seed.client(value))
    }
}

impl ForcingRule {
    fn new(raw: config::CanaryRule, backends: &[Backend]) -> Result<Self, InvalidCanary> {
        let Some(backend) = backends.iter().position(|backend| backend.key() == raw.backend) else {
            let known: Vec<&str> = backends.iter().map(Backend::key).collect();
            return Err(InvalidCanary::Backend {
                rule: raw.name,
                backend: raw.backend,
                known: known.join(", "),
            });
        };
        let condition = match (raw.opt_in, raw.matches) {
            (None, matches) if matches.is_empty() => return Err(InvalidCanary::NoMatches(raw.name)),
            (Some(_), matches) if !matches.is_empty() => return Err(InvalidCanary::Both(raw.name)),
            (Some(source), _) => Condition::OptIn(source.try_into()?),
            (None, matches) => {
                let matches: Vec<Match> = matches
                    .into_iter()
                    .map(|raw_match| Match::new(raw_match, &raw.name))
                    .collect::<Result<_, _>>()?;
                refuse_contradiction(&raw.name, &matches)?;
                Condition::All(matches.into())
            }
        };
        Ok(Self {
            name: raw.name.into(),
            backend,
            condition,
        })
    }

    fn judge(&self, rule: usize, headers: &Headers) -> Verdict {
        let backend = self.backend;
        match &self.condition {
            Condition::All(matches) if matches.iter().all(|one| one.holds(headers)) => Verdict::To { rule, backend },
            Condition::All(_) => Verdict::Free,
            Condition::OptIn(source) => {
                let says = |word: &[u8]| source.values(headers).any(|value| value == word);
                if says(b"always") {
                    Verdict::To { rule, backend }
                } else if says(b"never") {
                    Verdict::Not { rule, backend }
                } else {
                    Verdict::Free
                }
            }
        }
    }
}

/// Refuses a rule with two conditions on the same value that exclude each other.
fn refuse_contradiction(rule: &str, matches: &[Match]) -> Result<(), InvalidCanary> {
    for (position, first) in (1..).zip(matches) {
        for second in matches.iter().skip(position) {
            if first.on.is(&second.on)
                && let Some(reason) = first.test.excludes(&second.test)
            {
                return Err(InvalidCanary::Never {
                    rule: rule.to_owned(),
                    reason: format!("{} {reason}", first.on),
                });
            }
        }
    }
    Ok(())
}

impl Match {
    fn new(raw: config::Match, rule: &str) -> Result<Self, InvalidCanary> {
        let invalid = |problem| InvalidCanary::Value {
            rule: rule.to_owned(),
            kind: raw.kind,
            problem,
        };
        let bytes = |value: String| value.into_bytes().into_boxed_slice();
        let test = match (raw.kind, raw.value) {
            (MatchType::Present | MatchType::Absent, Some(_)) => return Err(invalid("takes no value")),
            (MatchType::Present, None) => Test::Present,
            (MatchType::Absent, None) => Test::Absent,
            (_, None) => return Err(invalid("needs a value")),
            (MatchType::Exact, Some(value)) => Test::Exact(bytes(value)),
            (_, Some(value)) if value.is_empty() => return Err(invalid("needs a value that is not empty")),
            (MatchType::Prefix, Some(value)) => Test::Prefix(bytes(value)),
            (MatchType::Suffix, Some(value)) => Test::Suffix(bytes(value)),
            (MatchType::Contains, Some(value)) => Test::Contains(bytes(value)),
            (MatchType::RegularExpression, Some(pattern)) => Test::Regex(compile(rule, pattern)?.into()),
        };
        Ok(Self {
            on: raw.on.try_into()?,
            test,
        })
    }

    fn holds(&self, headers: &Headers) -> bool {
        let mut values = self.on.values(headers);
        match &self.test {
            Test::Absent => values.next().is_none(),
            test => values.any(|value| test.holds(value)),
        }
    }
}

/// Compiles an expression that must match the whole value, as Envoy's `safe_regex` does.
/// The largest compiled regular expression, in bytes, and the longest value that one is tried on. Matching is linear in the
/// value, but a large expression can need a tenth of a millisecond for each byte, and the value is the client's.
const MAX_REGEX_SIZE: usize = 32 << 10;
const MAX_REGEX_VALUE: usize = 4 << 10;

fn compile(rule: &str, pattern: String) -> Result<Regex, InvalidCanary> {
    // First by itself: a pattern such as `a)(b` must not become valid by what is put around it.
    let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_REGEX_SIZE).build();
    let compiled = build(&pattern).and_then(|_| build(&format!("^(?:{pattern})$")));
    compiled.map_err(|error| InvalidCanary::Regex {
        rule: rule.to_owned(),
        reason: error.to_string(),
        pattern,
    })
}

impl Test {
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => *value == **wanted,
            Self::Prefix(wanted) => value.starts_with(wanted),
            Self::Suffix(wanted) => value.ends_with(wanted),
            Self::Contains(wanted) => value.windows(wanted.len()).any(|window| *window == **wanted),
            // An expression is about text; a value that is none does not match.
            Self::Regex(regex) => {
                value.len() <= MAX_REGEX_VALUE && str::from_utf8(value).is_ok_and(|value| regex.is_match(value))
            }
            Self::Present => true,
            Self::Absent => false,
        }
    }

    /// Why no single value can pass both tests, if that is certain.
    fn excludes(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Absent, Self::Absent) => None,
            (Self::Absent, _) | (_, Self::Absent) => Some("cannot be absent and have a value".to_owned()),
            (Self::Exact(one), test) | (test, Self::Exact(one)) if !test.holds(one) => Some(format!(
                "cannot be `{}` and pass another condition at once",
                String::from_utf8_lossy(one)
            )),
            _ => None,
        }
    }
}

impl Source {
    fn values<'a, 'b>(&'b self, headers: &'b Headers<'a>) -> Box<dyn Iterator<Item = &'a [u8]> + 'b> {
        match self {
            Self::Header(name) => Box::new(headers.values(name)),
            Self::Cookie(name) => Box::new(headers.values("cookie").flat_map(|line| cookie::values(line, name))),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(one), Self::Header(other)) => one.eq_ignore_ascii_case(other),
            (Self::Cookie(one), Self::Cookie(other)) => one == other,
            _ => false,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header `{name}`"),
            Self::Cookie(name) => write!(f, "cookie `{name}`"),
        }
    }
}

impl TryFrom<config::Source> for Source {
    type Error = InvalidName;

    fn try_from(raw: config::Source) -> Result<Self, InvalidName> {
        match &raw {
            config::Source::Header(name) | config::Source::Cookie(name) => name::check_token(name)?,
        }
        Ok(match raw {
            config::Source::Header(name) => Self::Header(name.into()),
            config::Source::Cookie(name) => Self::Cookie(name.into()),
        })
    }
}

fn is_rule_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
