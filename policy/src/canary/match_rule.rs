//! A match rule: it selects its backend for the requests that it matches.

use super::{
    budget::{Budget, Exhausted},
    limits::MAX_MATCHES,
    matches::{InvalidMatch, Match, SlotMatch},
    source::{Slot, Source, Sources, Values},
};
use crate::{config::MatchRuleConfig, name::InvalidName};

/// The cost of a comparison of a value with `always` and `never`, in steps.
const OPT_IN_STEPS: usize = 20;

/// A checked match rule, independent of the canary that it belongs to.
#[derive(Debug)]
pub struct MatchRule {
    name: Box<str>,
    condition: Condition<Match, Source>,
}

/// A [`MatchRule`] whose sources are replaced by the slots of their values.
#[derive(Debug)]
pub(super) struct SlotRule {
    name: Box<str>,
    condition: Condition<SlotMatch, Slot>,
}

/// What a request must have.
#[derive(Debug)]
enum Condition<M, S> {
    /// All of these hold.
    All(Box<[M]>),
    /// One of the values here is `always`, or `never` to exclude the backend.
    OptIn(S),
}

/// How a rule applies to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applies {
    /// It selects its backend.
    Selects,
    /// It excludes its backend.
    Excludes,
}

/// Why a match rule is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMatchRule {
    /// The name is invalid, or another rule has it.
    #[error("`{0}` is not a name for a canary rule: it must be unique, of 1 to 63 letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// It has too many conditions.
    #[error("a rule may have {MAX_MATCHES} matches at most, and `{rule}` has {count}")]
    TooManyMatches {
        /// The name of the rule.
        rule: String,
        /// The number of conditions.
        count: usize,
    },
    /// It would match every request.
    #[error("canary rule `{0}` has neither matches nor optIn, so it would match every request")]
    NoMatches(String),
    /// It has two kinds of conditions.
    #[error("canary rule `{0}` has both matches and optIn; it can have one of them")]
    MatchesAndOptIn(String),
    /// One of its conditions is invalid.
    #[error("canary rule `{rule}`: {reason}")]
    Match {
        /// The name of the rule.
        rule: String,
        /// What is wrong.
        reason: InvalidMatch,
    },
    /// The name of the header or cookie of `optIn` is invalid.
    #[error("canary rule `{rule}`: {reason}")]
    OptIn {
        /// The name of the rule.
        rule: String,
        /// What is wrong.
        reason: InvalidName,
    },
    /// Two of its conditions contradict each other.
    #[error("canary rule `{rule}` can never match: {reason}")]
    Contradiction {
        /// The name of the rule.
        rule: String,
        /// Which conditions, and why.
        reason: String,
    },
}

impl MatchRule {
    /// Checks a match rule.
    pub fn new(raw: &MatchRuleConfig) -> Result<Self, InvalidMatchRule> {
        let rule = || raw.name.clone();
        // Counted first, because each may take long to compile.
        check_count(&raw.name, raw.matches.len())?;
        let matches = raw.matches.iter().map(Match::new).collect::<Result<_, _>>();
        let matches = matches.map_err(|reason| InvalidMatchRule::Match { rule: rule(), reason })?;
        let opt_in = raw.opt_in.as_ref().map(Source::try_from).transpose();
        let opt_in = opt_in.map_err(|reason| InvalidMatchRule::OptIn { rule: rule(), reason })?;
        Self::from_parts(&raw.name, matches, opt_in)
    }

    /// Makes a match rule of parts that have been checked.
    pub fn from_parts(name: &str, matches: Vec<Match>, opt_in: Option<Source>) -> Result<Self, InvalidMatchRule> {
        if !is_name(name) {
            return Err(InvalidMatchRule::Name(name.to_owned()));
        }
        check_count(name, matches.len())?;
        let condition = match opt_in {
            None if matches.is_empty() => return Err(InvalidMatchRule::NoMatches(name.to_owned())),
            None => Condition::All(matches.into()),
            Some(_) if !matches.is_empty() => return Err(InvalidMatchRule::MatchesAndOptIn(name.to_owned())),
            Some(source) => Condition::OptIn(source),
        };
        let name = name.into();
        Self { name, condition }.without_contradiction()
    }

    fn without_contradiction(self) -> Result<Self, InvalidMatchRule> {
        let mut budget = Budget::for_request();
        for (position, first) in (1..).zip(self.matches()) {
            for second in self.matches().iter().skip(position) {
                if let Some(reason) = first.contradicts(second, &mut budget) {
                    let rule = self.name.into();
                    return Err(InvalidMatchRule::Contradiction { rule, reason });
                }
            }
        }
        Ok(self)
    }

    /// The name by which metrics count it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its conditions; none if it has `optIn`.
    #[must_use]
    pub fn matches(&self) -> &[Match] {
        match &self.condition {
            Condition::All(matches) => matches,
            Condition::OptIn(_) => &[],
        }
    }

    /// The headers and cookies that it compares.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        let opt_in = match &self.condition {
            Condition::All(_) => None,
            Condition::OptIn(source) => Some(source),
        };
        self.matches().iter().map(Match::source).chain(opt_in)
    }

    /// The rule for values in slots. None if `sources` lacks one of its sources.
    pub(super) fn with_slots(self, sources: &Sources) -> Option<SlotRule> {
        let condition = match self.condition {
            Condition::All(matches) => {
                let matches = matches.into_iter();
                let matches = matches.map(|one| sources.slot(one.source()).map(|slot| one.on(slot)));
                Condition::All(matches.collect::<Option<_>>()?)
            }
            Condition::OptIn(source) => Condition::OptIn(sources.slot(&source)?),
        };
        let name = self.name;
        Some(SlotRule { name, condition })
    }
}

impl SlotRule {
    /// The name by which metrics count it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How the rule applies to a request with these values. None: it does not match.
    pub(super) fn evaluate(&self, values: &Values, budget: &mut Budget) -> Result<Option<Applies>, Exhausted> {
        match &self.condition {
            Condition::All(matches) => {
                for one in matches {
                    if !one.holds(values, budget)? {
                        return Ok(None);
                    }
                }
                Ok(Some(Applies::Selects))
            }
            Condition::OptIn(slot) => {
                let values = values.of(*slot);
                budget.pay(values.len().saturating_add(1).saturating_mul(OPT_IN_STEPS))?;
                Ok(if values.contains(&b"always".as_slice()) {
                    Some(Applies::Selects)
                } else if values.contains(&b"never".as_slice()) {
                    Some(Applies::Excludes)
                } else {
                    None
                })
            }
        }
    }
}

fn check_count(rule: &str, count: usize) -> Result<(), InvalidMatchRule> {
    if count <= MAX_MATCHES {
        return Ok(());
    }
    let rule = rule.to_owned();
    Err(InvalidMatchRule::TooManyMatches { rule, count })
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&name.len()) && name.bytes().all(allowed)
}
