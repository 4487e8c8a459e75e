//! Canary routing: who is sent to a backend regardless of the weights, and how the same client is split the same way.
//!
//! Header names are compared without regard to case (RFC 9110, section 5.1), cookie names and all values byte for byte. A
//! header or cookie that is there several times matches if one of its first [`MAX_VALUES`] values does.
//!
//! All conditions of a request share one [`Budget`]. When it is used up, the conditions that are left do not hold, so that the
//! forcing rules say nothing: the request goes where its session or the weights send it, as it would without a canary.

use std::rc::Rc;

use crate::{
    config::{self, MatchType, Override},
    headers::Headers,
    name::InvalidName,
};

mod budget;
mod condition;
mod expression;
mod hash;
mod source;

use self::{
    budget::Exhausted,
    condition::{Match, Test},
    hash::Seed,
    source::{Slot, Source, Sources, Values},
};
pub use self::{
    budget::{Budget, HASH_STEPS, STEPS},
    expression::{MAX_SIZE as MAX_EXPRESSION, MAX_VALUE as MAX_EXPRESSION_VALUE, size as expression_size},
    hash::{ClientHash, MAX_SEED_LENGTH},
    source::MAX_VALUES,
};

/// How many forcing rules a canary may have, and how many conditions a forcing rule.
pub const MAX_RULES: usize = 32;
/// See [`MAX_RULES`].
pub const MAX_MATCHES: usize = 16;

/// The longest value that a condition may compare with, in bytes; also the longest regular expression.
pub const MAX_CONFIGURED: usize = 1 << 10;

/// What the regular expressions of a canary may take of a VM's memory together, in bytes.
pub const MAX_MEMORY: usize = 1 << 20;

/// What those of all canaries of a gateway may take together. While a new configuration comes in, the old one is still there.
pub const MAX_MEMORY_OF_GATEWAY: usize = 4 << 20;

/// Canary routing of a route rule, ready for requests.
#[derive(Debug)]
pub struct Canary {
    conditions: Rc<Conditions>,
    /// The backend of each forcing rule. None: the route rule has none for it, so that it says nothing.
    backends: Box<[Option<usize>]>,
}

/// What all route rules share that have the same canary.
#[derive(Debug)]
pub(crate) struct Conditions {
    rules: Box<[ForcingRule]>,
    sources: Sources,
    override_session: Override,
    hash_on: Option<(Sources, Slot)>,
    seed: Seed,
    memory: usize,
}

#[derive(Debug)]
struct ForcingRule {
    name: Box<str>,
    condition: Condition,
}

#[derive(Debug)]
enum Condition {
    All(Box<[Match]>),
    OptIn(Slot),
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
    /// There are too many forcing rules.
    #[error("a policy may have {MAX_RULES} rules at most, and this one has {0}")]
    Rules(usize),
    /// A forcing rule has too many conditions.
    #[error("a rule may have {MAX_MATCHES} matches at most, and `{rule}` has {count}")]
    Matches {
        /// The forcing rule.
        rule: String,
        /// How many it has.
        count: usize,
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
    /// A value or a regular expression is too long.
    #[error("canary rule `{rule}`: a value may have {MAX_CONFIGURED} bytes at most, and this one has {length}")]
    TooLong {
        /// The forcing rule.
        rule: String,
        /// How long it is.
        length: usize,
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
    /// The regular expression is too large when it is compiled.
    #[error(
        "canary rule `{rule}`: the regular expression `{pattern}` takes more than {} KiB when it is compiled; repetitions with \
         counts make it large",
        MAX_EXPRESSION >> 10
    )]
    LargeRegex {
        /// The forcing rule.
        rule: String,
        /// What was found.
        pattern: String,
    },
    /// The regular expressions are too large together.
    #[error(
        "the regular expressions of a policy may take {} KiB of memory together, and from this one in canary rule `{rule}` on they \
         take more: it counts with {} KiB; repetitions with counts and groups in brackets make an expression large",
        MAX_MEMORY >> 10,
        memory.div_ceil(1 << 10)
    )]
    Memory {
        /// The forcing rule with the expression that does not fit.
        rule: String,
        /// The position of the expression among the conditions of the rule.
        position: usize,
        /// What the expression takes.
        memory: usize,
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

/// Why a route rule cannot have its canary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCanaryOfRule {
    /// There is no such canary.
    #[error("there is no canary {position}; there are {count}, counted from 0")]
    Unknown {
        /// What was found.
        position: usize,
        /// How many there are.
        count: usize,
    },
    /// The number of backends is another than that of forcing rules.
    #[error("the canary has {rules} rules, and {backends} backends are given for them")]
    Count {
        /// How many forcing rules the canary has.
        rules: usize,
        /// How many backends are given.
        backends: usize,
    },
    /// The rule has no such backend.
    #[error("canary: there is no backend {position}; there are {count}, counted from 0")]
    Backend {
        /// What was found.
        position: usize,
        /// How many there are.
        count: usize,
    },
}

impl InvalidCanary {
    /// An expression that does not compile.
    fn regex(rule: &str, pattern: String, error: &regex_lite::Error) -> Self {
        let rule = rule.to_owned();
        let reason = error.to_string();
        // regex-lite has no other way to tell.
        if reason.contains("size limit") {
            Self::LargeRegex { rule, pattern }
        } else {
            Self::Regex { rule, pattern, reason }
        }
    }
}

impl Conditions {
    /// Checks and compiles a canary.
    pub(crate) fn new(raw: config::Canary) -> Result<Self, InvalidCanary> {
        if raw.rules.len() > MAX_RULES {
            return Err(InvalidCanary::Rules(raw.rules.len()));
        }
        let mut budget = Budget::of_request();
        let mut memory = 0;
        let mut drafts: Vec<Draft> = Vec::with_capacity(raw.rules.len());
        for rule in raw.rules {
            if !is_rule_name(&rule.name) || drafts.iter().any(|other| other.name == rule.name) {
                return Err(InvalidCanary::Name(rule.name));
            }
            drafts.push(Draft::new(rule, &mut memory, &mut budget)?);
        }
        let sources = Sources::new(drafts.iter().flat_map(|draft| &draft.on));
        let rules = drafts.into_iter().filter_map(|draft| draft.rule(&sources)).collect();
        let hash_on = raw.hash_on.map(Source::try_from).transpose()?;
        let hash_on = hash_on.and_then(|source| {
            let sources = Sources::new(std::iter::once(&source));
            let slot = sources.slot(&source)?;
            Some((sources, slot))
        });
        Ok(Self {
            rules,
            sources,
            override_session: raw.override_session,
            hash_on,
            seed: Seed::new(raw.seed.as_deref())?,
            memory,
        })
    }

    /// What its regular expressions take of a VM's memory, in bytes, at most.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

/// What the regular expressions of a canary take of a VM's memory, in bytes, at most.
pub fn memory(raw: config::Canary) -> Result<usize, InvalidCanary> {
    Conditions::new(raw).map(|conditions| conditions.memory())
}

impl Canary {
    /// The canary of a rule with so many backends.
    pub(crate) fn new(
        raw: config::RuleCanary,
        canaries: &[Rc<Conditions>],
        count: usize,
    ) -> Result<Self, InvalidCanaryOfRule> {
        let position = raw.position;
        let conditions = canaries.get(position).ok_or(InvalidCanaryOfRule::Unknown {
            position,
            count: canaries.len(),
        })?;
        if raw.backends.len() != conditions.rules.len() {
            return Err(InvalidCanaryOfRule::Count {
                rules: conditions.rules.len(),
                backends: raw.backends.len(),
            });
        }
        if let Some(position) = raw.backends.iter().flatten().copied().find(|&backend| backend >= count) {
            return Err(InvalidCanaryOfRule::Backend { position, count });
        }
        Ok(Self {
            conditions: Rc::clone(conditions),
            backends: raw.backends.into(),
        })
    }

    /// The name of the forcing rule at this position.
    #[must_use]
    pub fn rule_name(&self, position: usize) -> Option<&str> {
        self.conditions.rules.get(position).map(|rule| &*rule.name)
    }

    /// How many forcing rules there are.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.conditions.rules.len()
    }

    /// Whether a forcing rule beats a live session.
    #[must_use]
    pub fn overrides_sessions(&self) -> bool {
        self.conditions.override_session == Override::Always
    }

    /// What the forcing rules say of a request. Nothing, where the budget does not suffice; the budget tells that then.
    pub fn judge(&self, headers: &Headers, budget: &mut Budget) -> Verdict {
        if self.backends.iter().all(Option::is_none) {
            return Verdict::Free;
        }
        self.verdict(headers, budget).unwrap_or(Verdict::Free)
    }

    fn verdict(&self, headers: &Headers, budget: &mut Budget) -> Result<Verdict, Exhausted> {
        let values = self.conditions.sources.values(headers, budget)?;
        for ((rule, forcing), backend) in (0..).zip(&self.conditions.rules).zip(&self.backends) {
            let Some(backend) = *backend else { continue };
            let verdict = forcing.judge(rule, backend, &values, budget)?;
            if verdict != Verdict::Free {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Free)
    }

    /// The same number for the same client, wherever it comes in, for a rule with so many backends. None where the request does
    /// not say who it is, or in so much that it takes more than [`HASH_STEPS`] to hash it.
    #[must_use]
    pub fn client_hash<'a>(&self, headers: &Headers<'a>, backends: usize) -> Option<ClientHash<'a>> {
        let (sources, slot) = self.conditions.hash_on.as_ref()?;
        let mut budget = Budget::new(HASH_STEPS);
        let values = sources.values(headers, &mut budget).ok()?;
        let value = values.of(*slot).iter().find(|value| !value.is_empty())?;
        self.conditions.seed.client(value, backends, &mut budget).ok()
    }
}

/// A forcing rule, before it is known where the values of its sources will be.
struct Draft {
    name: String,
    on: Vec<Source>,
    /// One for each source; none for `optIn`.
    tests: Vec<Test>,
}

impl Draft {
    fn new(raw: config::CanaryRule, memory: &mut usize, budget: &mut Budget) -> Result<Self, InvalidCanary> {
        let config::CanaryRule { name, matches, opt_in } = raw;
        let mut on = Vec::with_capacity(matches.len());
        let mut tests = Vec::with_capacity(matches.len());
        match (opt_in, matches) {
            (None, matches) if matches.is_empty() => return Err(InvalidCanary::NoMatches(name)),
            (Some(_), matches) if !matches.is_empty() => return Err(InvalidCanary::Both(name)),
            (Some(source), _) => on.push(source.try_into()?),
            (None, matches) if matches.len() > MAX_MATCHES => {
                return Err(InvalidCanary::Matches {
                    rule: name,
                    count: matches.len(),
                });
            }
            (None, matches) => {
                for (position, one) in matches.into_iter().enumerate() {
                    let (source, test) = Test::new(one, &name)?;
                    *memory = memory.saturating_add(test.memory());
                    if *memory > MAX_MEMORY {
                        return Err(InvalidCanary::Memory {
                            rule: name,
                            position,
                            memory: test.memory(),
                        });
                    }
                    on.push(source);
                    tests.push(test);
                }
            }
        }
        let draft = Self { name, on, tests };
        draft.refuse_contradiction(budget)?;
        Ok(draft)
    }

    /// Refuses a rule with two conditions on the same value that exclude each other.
    fn refuse_contradiction(&self, budget: &mut Budget) -> Result<(), InvalidCanary> {
        let all = || self.on.iter().zip(&self.tests);
        for (position, (on, first)) in (1..).zip(all()) {
            for (_, second) in all().skip(position).filter(|(other, _)| *other == on) {
                if let Some(reason) = first.excludes(second, budget) {
                    return Err(InvalidCanary::Never {
                        rule: self.name.clone(),
                        reason: format!("{on} {reason}"),
                    });
                }
            }
        }
        Ok(())
    }

    /// The rule. `sources` has all of its sources.
    fn rule(self, sources: &Sources) -> Option<ForcingRule> {
        let slots: Option<Vec<Slot>> = self.on.iter().map(|source| sources.slot(source)).collect();
        let slots = slots?;
        let condition = match slots.as_slice() {
            [slot] if self.tests.is_empty() => Condition::OptIn(*slot),
            slots => {
                let matches = slots.iter().zip(self.tests).map(|(slot, test)| Match::new(*slot, test));
                Condition::All(matches.collect())
            }
        };
        Some(ForcingRule {
            name: self.name.into(),
            condition,
        })
    }
}

impl ForcingRule {
    fn judge(&self, rule: usize, backend: usize, values: &Values, budget: &mut Budget) -> Result<Verdict, Exhausted> {
        match &self.condition {
            Condition::All(matches) => {
                for one in matches {
                    if !one.holds(values, budget)? {
                        return Ok(Verdict::Free);
                    }
                }
                Ok(Verdict::To { rule, backend })
            }
            Condition::OptIn(slot) => {
                let said = values.of(*slot);
                budget.pay(said.len().saturating_add(1).saturating_mul(OPT_IN))?;
                Ok(if said.contains(&b"always".as_slice()) {
                    Verdict::To { rule, backend }
                } else if said.contains(&b"never".as_slice()) {
                    Verdict::Not { rule, backend }
                } else {
                    Verdict::Free
                })
            }
        }
    }
}

/// What it takes to see whether a value is one of the two words.
const OPT_IN: usize = 20;

fn is_rule_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
