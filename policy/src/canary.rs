//! Canary routing: which clients are sent to a backend regardless of the weights, and how the others are split.
//!
//! Header names are compared case-insensitively (RFC 9110, section 5.1), cookie names and all values byte for byte. If a header or
//! cookie has several values, it is enough that one of the first [`MAX_VALUES`] matches.
//!
//! All conditions of a request share one [`Budget`]. When it is exhausted, no further match rule applies, and the session or the
//! weights select the backend as they would without a canary.

use std::rc::Rc;

use crate::{
    config::{CanaryConfig, Override, RuleCanaryConfig},
    headers::Headers,
    name::InvalidName,
};

mod budget;
mod client_hash;
mod expression;
mod limits;
mod match_rule;
mod matches;
mod source;

use self::{
    budget::Exhausted,
    match_rule::{Applies, SlotRule},
    source::{Slot, Sources},
};
pub use self::{
    budget::{Budget, MAX_HASH_STEPS, MAX_STEPS},
    client_hash::{ClientHash, InvalidSeed, Seed},
    expression::{MAX_INPUT as MAX_EXPRESSION_INPUT, size as expression_size},
    limits::{
        MAX_MATCHES, MAX_MEMORY, MAX_MEMORY_OF_GATEWAY, MAX_RULES, MAX_SEED_LENGTH, MAX_VALUE_LENGTH, MAX_VALUES,
    },
    match_rule::{InvalidMatchRule, MatchRule},
    matches::{InvalidMatch, Match},
    source::Source,
};

/// A checked canary, which the route rules that use it share.
#[derive(Debug)]
pub struct Canary {
    rules: Box<[SlotRule]>,
    sources: Sources,
    override_session: Override,
    hash_on: Option<(Sources, Slot)>,
    seed: Seed,
    memory: usize,
}

/// The canary of one route rule.
#[derive(Debug)]
pub struct RuleCanary {
    canary: Rc<Canary>,
    /// For each match rule the position of its backend. None: the match rule does not apply to this route rule.
    backends: Box<[Option<usize>]>,
}

/// Which backends a canary selects for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// No match rule applies.
    Any,
    /// Only this backend.
    Only {
        /// The position of the match rule.
        rule: usize,
        /// The position of the backend.
        backend: usize,
    },
    /// Any backend except this one.
    Except {
        /// The position of the match rule.
        rule: usize,
        /// The position of the backend.
        backend: usize,
    },
}

/// Why a canary is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCanary {
    /// It has too many match rules.
    #[error("a policy may have {MAX_RULES} rules at most, and this one has {0}")]
    TooManyRules(usize),
    /// A match rule is invalid.
    #[error(transparent)]
    Rule(#[from] InvalidMatchRule),
    /// The regular expressions are too large together.
    #[error(
        "the regular expressions of a policy may take {} KiB of memory together, and this one in canary rule `{rule}` exceeds \
         that: it takes {} KiB; repetitions with counts and groups in brackets make an expression large",
        MAX_MEMORY >> 10,
        memory.div_ceil(1 << 10)
    )]
    Memory {
        /// The match rule with the expression that does not fit.
        rule: String,
        /// The position of the expression among the conditions of the rule.
        position: usize,
        /// The memory of the expression, in bytes.
        memory: usize,
    },
    /// The name of the header or cookie of `hashOn` is invalid.
    #[error("hashOn: {0}")]
    HashOn(InvalidName),
    /// The seed is empty or too long.
    #[error(transparent)]
    Seed(#[from] InvalidSeed),
}

/// Why a route rule cannot use its canary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRuleCanary {
    /// The canary does not exist.
    #[error("there is no canary {position}; there are {count}, counted from 0")]
    Unknown {
        /// The position.
        position: usize,
        /// The number of canaries.
        count: usize,
    },
    /// The number of backends differs from that of match rules.
    #[error("the canary has {rules} rules, and {backends} backends are given for them")]
    Count {
        /// The number of match rules.
        rules: usize,
        /// The number of backends.
        backends: usize,
    },
    /// The backend does not exist.
    #[error("canary: there is no backend {position}; there are {count}, counted from 0")]
    Backend {
        /// The position.
        position: usize,
        /// The number of backends.
        count: usize,
    },
}

impl Canary {
    /// Checks a canary and compiles its regular expressions.
    pub fn new(raw: &CanaryConfig) -> Result<Self, InvalidCanary> {
        if raw.rules.len() > MAX_RULES {
            return Err(InvalidCanary::TooManyRules(raw.rules.len()));
        }
        let mut rules = Vec::with_capacity(raw.rules.len());
        for rule in &raw.rules {
            rules.push(MatchRule::new(rule)?);
            // Checked after each rule, so that no canary takes much more memory than it may.
            memory(&rules)?;
        }
        let hash_on = raw.hash_on.as_ref().map(Source::try_from).transpose();
        let hash_on = hash_on.map_err(InvalidCanary::HashOn)?;
        let seed = raw.seed.as_deref().map(Seed::new).transpose()?;
        Self::from_parts(rules, raw.override_session, hash_on, seed)
    }

    /// Makes a canary of parts that have been checked.
    pub fn from_parts(
        rules: Vec<MatchRule>,
        override_session: Override,
        hash_on: Option<Source>,
        seed: Option<Seed>,
    ) -> Result<Self, InvalidCanary> {
        if rules.len() > MAX_RULES {
            return Err(InvalidCanary::TooManyRules(rules.len()));
        }
        let memory = memory(&rules)?;
        let sources = Sources::new(rules.iter().flat_map(MatchRule::sources));
        let hash_on = hash_on.and_then(|source| {
            let sources = Sources::new(std::iter::once(&source));
            let slot = sources.slot(&source)?;
            Some((sources, slot))
        });
        Ok(Self {
            rules: rules.into_iter().filter_map(|rule| rule.with_slots(&sources)).collect(),
            sources,
            override_session,
            hash_on,
            seed: seed.unwrap_or_default(),
            memory,
        })
    }

    /// An upper bound on the memory of its regular expressions in a VM, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.memory
    }
}

/// The memory of the regular expressions of these rules, which must have different names.
fn memory(rules: &[MatchRule]) -> Result<usize, InvalidCanary> {
    let mut sum = 0_usize;
    for (number, rule) in rules.iter().enumerate() {
        if rules.iter().take(number).any(|other| other.name() == rule.name()) {
            return Err(InvalidMatchRule::Name(rule.name().to_owned()).into());
        }
        for (position, one) in rule.matches().iter().enumerate() {
            let memory = one.memory();
            sum = sum.saturating_add(memory);
            if sum > MAX_MEMORY {
                return Err(InvalidCanary::Memory {
                    rule: rule.name().to_owned(),
                    position,
                    memory,
                });
            }
        }
    }
    Ok(sum)
}

impl RuleCanary {
    /// Checks the canary of a route rule with this many backends.
    pub fn new(raw: &RuleCanaryConfig, canaries: &[Rc<Canary>], count: usize) -> Result<Self, InvalidRuleCanary> {
        let position = raw.position;
        let canary = canaries.get(position).ok_or(InvalidRuleCanary::Unknown {
            position,
            count: canaries.len(),
        })?;
        if raw.backends.len() != canary.rules.len() {
            return Err(InvalidRuleCanary::Count {
                rules: canary.rules.len(),
                backends: raw.backends.len(),
            });
        }
        if let Some(position) = raw.backends.iter().flatten().copied().find(|&backend| backend >= count) {
            return Err(InvalidRuleCanary::Backend { position, count });
        }
        Ok(Self {
            canary: Rc::clone(canary),
            backends: raw.backends.as_slice().into(),
        })
    }

    /// The name of the match rule at this position.
    #[must_use]
    pub fn rule_name(&self, position: usize) -> Option<&str> {
        self.canary.rules.get(position).map(SlotRule::name)
    }

    /// The number of match rules.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.canary.rules.len()
    }

    /// Whether a match rule overrides a live session.
    #[must_use]
    pub fn overrides_sessions(&self) -> bool {
        self.canary.override_session == Override::Always
    }

    /// The backends that the match rules select for a request: any if the budget does not suffice.
    pub fn select(&self, headers: &Headers, budget: &mut Budget) -> Selection {
        if self.backends.iter().all(Option::is_none) {
            return Selection::Any;
        }
        self.first_match(headers, budget).unwrap_or(Selection::Any)
    }

    fn first_match(&self, headers: &Headers, budget: &mut Budget) -> Result<Selection, Exhausted> {
        let values = self.canary.sources.values(headers, budget)?;
        for ((rule, match_rule), backend) in (0..).zip(&self.canary.rules).zip(&self.backends) {
            let Some(backend) = *backend else { continue };
            match match_rule.evaluate(&values, budget)? {
                Some(Applies::Selects) => return Ok(Selection::Only { rule, backend }),
                Some(Applies::Excludes) => return Ok(Selection::Except { rule, backend }),
                None => {}
            }
        }
        Ok(Selection::Any)
    }

    /// The hash of the client by `hashOn`, for a rule with this many backends. None if the request lacks the value, or if it takes
    /// more than [`MAX_HASH_STEPS`] to find and hash it.
    #[must_use]
    pub fn client_hash<'a>(&self, headers: &Headers<'a>, backends: usize) -> Option<ClientHash<'a>> {
        let (sources, slot) = self.canary.hash_on.as_ref()?;
        let mut budget = Budget::new(MAX_HASH_STEPS);
        let values = sources.values(headers, &mut budget).ok()?;
        let value = values.of(*slot).iter().find(|value| !value.is_empty())?;
        self.canary.seed.client(value, backends, &mut budget).ok()
    }
}

#[cfg(test)]
mod tests;
