//! One condition of a match rule: a header or cookie, and what its value is compared with.

use memchr::memmem::Finder;

use super::{
    budget::{Budget, Exhausted},
    expression::{Expression, MAX_SIZE},
    limits::MAX_VALUE_LENGTH,
    source::{Slot, Source, Values},
};
use crate::{
    config::{MatchConfig, MatchType},
    name::InvalidName,
};

/// The cost of a condition, of a comparison with one value, and of a search per byte of the value, in steps.
const CONDITION_STEPS: usize = 12;
const VALUE_STEPS: usize = 12;
const SEARCH_STEPS: usize = 6;

/// A checked condition. It holds if one of the values of its source passes the comparison.
#[derive(Debug)]
pub struct Match {
    source: Source,
    comparison: Comparison,
}

/// A [`Match`] whose source is replaced by the slot of its values.
#[derive(Debug)]
pub(super) struct SlotMatch {
    slot: Slot,
    comparison: Comparison,
}

#[derive(Debug)]
enum Comparison {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Regex(Box<Expression>),
    Present,
    Absent,
}

/// Why a condition is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMatch {
    /// The name of the header or cookie is invalid.
    #[error(transparent)]
    Source(#[from] InvalidName),
    /// The value is missing or not allowed.
    #[error("type {match_type:?} {problem}")]
    Value {
        /// How the value is compared.
        match_type: MatchType,
        /// What is wrong.
        problem: &'static str,
    },
    /// The value or regular expression is too long.
    #[error("a value may have {MAX_VALUE_LENGTH} bytes at most, and this one has {0}")]
    TooLong(usize),
    /// The regular expression does not compile.
    #[error("`{pattern}` is not a regular expression: {reason}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The compiled regular expression is too large.
    #[error(
        "the regular expression `{pattern}` takes more than {} KiB when it is compiled; repetitions with counts make it large",
        MAX_SIZE >> 10
    )]
    LargeRegex {
        /// The expression.
        pattern: String,
    },
}

impl InvalidMatch {
    fn from_regex_error(pattern: &str, error: &regex_lite::Error) -> Self {
        let pattern = pattern.to_owned();
        let reason = error.to_string();
        // The message is the only way to distinguish the errors of regex-lite.
        if reason.contains("size limit") {
            Self::LargeRegex { pattern }
        } else {
            Self::Regex { pattern, reason }
        }
    }
}

impl Match {
    /// Checks a condition and compiles its regular expression.
    pub fn new(raw: &MatchConfig) -> Result<Self, InvalidMatch> {
        Ok(Self {
            comparison: Comparison::new(raw)?,
            source: Source::try_from(&raw.on)?,
        })
    }

    /// The header or cookie that is compared.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// An upper bound on the memory of its regular expression in a VM, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.comparison {
            Comparison::Regex(expression) => expression.memory(),
            _ => 0,
        }
    }

    /// Why this condition and another one on the same source can never both hold. None if they can, or if the budget does not
    /// suffice to find out.
    pub(super) fn contradicts(&self, other: &Self, budget: &mut Budget) -> Option<String> {
        let reason = (self.source == other.source).then(|| self.comparison.excludes(&other.comparison, budget));
        Some(format!("{} {}", self.source, reason.flatten()?))
    }

    /// The same condition on the values in this slot.
    pub(super) fn on(self, slot: Slot) -> SlotMatch {
        let comparison = self.comparison;
        SlotMatch { slot, comparison }
    }
}

impl SlotMatch {
    /// Whether the condition holds.
    pub(super) fn holds(&self, values: &Values, budget: &mut Budget) -> Result<bool, Exhausted> {
        budget.pay(CONDITION_STEPS)?;
        let values = values.of(self.slot);
        if let Comparison::Absent = self.comparison {
            return Ok(values.is_empty());
        }
        for value in values {
            if self.comparison.accepts(value, budget)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Comparison {
    fn new(raw: &MatchConfig) -> Result<Self, InvalidMatch> {
        let match_type = raw.match_type;
        let invalid = |problem| InvalidMatch::Value { match_type, problem };
        let value = raw.value.as_deref();
        if let Some(value) = value
            && value.len() > MAX_VALUE_LENGTH
        {
            return Err(InvalidMatch::TooLong(value.len()));
        }
        Ok(match (match_type, value) {
            (MatchType::Present | MatchType::Absent, Some(_)) => return Err(invalid("takes no value")),
            (MatchType::Present, None) => Self::Present,
            (MatchType::Absent, None) => Self::Absent,
            (_, None) => return Err(invalid("needs a value")),
            (MatchType::Exact, Some(value)) => Self::Exact(value.as_bytes().into()),
            (_, Some("")) => return Err(invalid("needs a value that is not empty")),
            (MatchType::Prefix, Some(value)) => Self::Prefix(value.as_bytes().into()),
            (MatchType::Suffix, Some(value)) => Self::Suffix(value.as_bytes().into()),
            (MatchType::Contains, Some(value)) => Self::Contains(Finder::new(value.as_bytes()).into_owned().into()),
            (MatchType::RegularExpression, Some(pattern)) => {
                let compiled = Expression::new(pattern, raw.compiled_size);
                let expression = compiled.map_err(|error| InvalidMatch::from_regex_error(pattern, &error))?;
                Self::Regex(expression.into())
            }
        })
    }

    /// Whether one value passes. `Absent` accepts no value.
    fn accepts(&self, value: &[u8], budget: &mut Budget) -> Result<bool, Exhausted> {
        budget.pay(VALUE_STEPS)?;
        match self {
            Self::Exact(wanted) => {
                if value.len() != wanted.len() {
                    return Ok(false);
                }
                budget.pay(wanted.len())?;
                Ok(*value == **wanted)
            }
            Self::Prefix(wanted) => {
                budget.pay(wanted.len())?;
                Ok(value.starts_with(wanted))
            }
            Self::Suffix(wanted) => {
                budget.pay(wanted.len())?;
                Ok(value.ends_with(wanted))
            }
            Self::Contains(finder) => {
                budget.pay(value.len().saturating_mul(SEARCH_STEPS))?;
                Ok(finder.find(value).is_some())
            }
            Self::Regex(expression) => expression.is_match(value, budget),
            Self::Present => Ok(true),
            Self::Absent => Ok(false),
        }
    }

    /// Why no value can pass both comparisons, if that is certain.
    fn excludes(&self, other: &Self, budget: &mut Budget) -> Option<String> {
        match (self, other) {
            (Self::Absent, Self::Absent) => None,
            (Self::Absent, _) | (_, Self::Absent) => Some("cannot be absent and have a value".to_owned()),
            (Self::Exact(one), test) | (test, Self::Exact(one)) if test.accepts(one, budget) == Ok(false) => {
                Some(format!(
                    "cannot be `{}` and pass another condition at once",
                    String::from_utf8_lossy(one)
                ))
            }
            _ => None,
        }
    }
}
