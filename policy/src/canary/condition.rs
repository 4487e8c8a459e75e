//! One condition of a forcing rule.

use memchr::memmem::Finder;

use super::{
    InvalidCanary, MAX_CONFIGURED,
    budget::{Budget, Exhausted},
    expression::Expression,
    source::{Slot, Source, Values},
};
use crate::config::{self, MatchType};

/// What it takes to come to a condition, to look at one value, and to search in a byte of one.
const CONDITION: usize = 12;
const VALUE: usize = 12;
const SEARCH: usize = 6;

/// A condition: what one of the values of a source must be.
#[derive(Debug)]
pub(super) struct Match {
    on: Slot,
    test: Test,
}

#[derive(Debug)]
pub(super) enum Test {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Regex(Box<Expression>),
    Present,
    Absent,
}

impl Match {
    pub(super) fn new(on: Slot, test: Test) -> Self {
        Self { on, test }
    }

    pub(super) fn holds(&self, values: &Values, budget: &mut Budget) -> Result<bool, Exhausted> {
        budget.pay(CONDITION)?;
        let values = values.of(self.on);
        if let Test::Absent = self.test {
            return Ok(values.is_empty());
        }
        for value in values {
            if self.test.holds(value, budget)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Test {
    /// Checks what a value is compared with. `rule` is the forcing rule, for messages.
    pub(super) fn new(raw: config::Match, rule: &str) -> Result<(Source, Self), InvalidCanary> {
        let config::Match { on, kind, value, size } = raw;
        let invalid = |problem| InvalidCanary::Value {
            rule: rule.to_owned(),
            kind,
            problem,
        };
        if let Some(value) = &value
            && value.len() > MAX_CONFIGURED
        {
            return Err(InvalidCanary::TooLong {
                rule: rule.to_owned(),
                length: value.len(),
            });
        }
        let bytes = |value: String| value.into_bytes().into_boxed_slice();
        let test = match (kind, value) {
            (MatchType::Present | MatchType::Absent, Some(_)) => return Err(invalid("takes no value")),
            (MatchType::Present, None) => Self::Present,
            (MatchType::Absent, None) => Self::Absent,
            (_, None) => return Err(invalid("needs a value")),
            (MatchType::Exact, Some(value)) => Self::Exact(bytes(value)),
            (_, Some(value)) if value.is_empty() => return Err(invalid("needs a value that is not empty")),
            (MatchType::Prefix, Some(value)) => Self::Prefix(bytes(value)),
            (MatchType::Suffix, Some(value)) => Self::Suffix(bytes(value)),
            (MatchType::Contains, Some(value)) => Self::Contains(Finder::new(value.as_bytes()).into_owned().into()),
            (MatchType::RegularExpression, Some(pattern)) => {
                let compiled = Expression::new(&pattern, size);
                let expression = compiled.map_err(|error| InvalidCanary::regex(rule, pattern, &error))?;
                Self::Regex(expression.into())
            }
        };
        Ok((on.try_into()?, test))
    }

    /// What an expression takes of a VM's memory.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Regex(expression) => expression.memory(),
            _ => 0,
        }
    }

    /// Whether one value passes. `Absent` is about there being none.
    fn holds(&self, value: &[u8], budget: &mut Budget) -> Result<bool, Exhausted> {
        budget.pay(VALUE)?;
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
                budget.pay(value.len().saturating_mul(SEARCH))?;
                Ok(finder.find(value).is_some())
            }
            Self::Regex(expression) => expression.holds(value, budget),
            Self::Present => Ok(true),
            Self::Absent => Ok(false),
        }
    }

    /// Why no single value can pass both tests, if that is certain. It is not where the budget does not suffice.
    pub(super) fn excludes(&self, other: &Self, budget: &mut Budget) -> Option<String> {
        match (self, other) {
            (Self::Absent, Self::Absent) => None,
            (Self::Absent, _) | (_, Self::Absent) => Some("cannot be absent and have a value".to_owned()),
            (Self::Exact(one), test) | (test, Self::Exact(one)) if test.holds(one, budget) == Ok(false) => {
                Some(format!(
                    "cannot be `{}` and pass another condition at once",
                    String::from_utf8_lossy(one)
                ))
            }
            _ => None,
        }
    }
}
