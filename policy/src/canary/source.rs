//! The headers and cookies that a canary compares. One pass over the header lines of a request finds all of their values.

use super::{
    budget::{Budget, Exhausted},
    limits::MAX_VALUES,
};
use crate::{
    config::SourceConfig,
    cookie,
    headers::Headers,
    name::{self, InvalidName},
};

/// The cost of reading a header line, of reading a cookie, of comparing two names, and of storing a value, in steps.
const LINE_STEPS: usize = 30;
const COOKIE_STEPS: usize = 20;
const COMPARISON_STEPS: usize = 10;
const VALUE_STEPS: usize = 60;

/// A header or cookie of a request, with a checked name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A header, by its name in lower case.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

/// All headers and cookies that a canary compares. Each has a [`Slot`]: headers first, then cookies.
#[derive(Debug, Default)]
pub(super) struct Sources {
    headers: Names,
    cookies: Names,
}

/// Distinct names, sorted by length and then by bytes.
#[derive(Debug, Default)]
struct Names(Vec<Box<str>>);

/// The position of the values of a source in [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// The values of all sources, by slot.
#[derive(Debug)]
pub(super) struct Values<'a>(Vec<Vec<&'a [u8]>>);

impl Sources {
    /// The sources in a list, which may contain a source several times.
    pub(super) fn new<'s>(all: impl Iterator<Item = &'s Source>) -> Self {
        let mut sources = Self::default();
        for source in all {
            match source {
                Source::Header(name) => sources.headers.insert(name),
                Source::Cookie(name) => sources.cookies.insert(name),
            }
        }
        sources
    }

    /// The slot of a source. None if it is not one of these.
    pub(super) fn slot(&self, source: &Source) -> Option<Slot> {
        let index = match source {
            Source::Header(name) => self.headers.find(name.as_bytes())?,
            Source::Cookie(name) => {
                let cookies = self.headers.0.len();
                self.cookies.find(name.as_bytes())?.checked_add(cookies)?
            }
        };
        Some(Slot(index))
    }

    fn len(&self) -> usize {
        self.headers.0.len().saturating_add(self.cookies.0.len())
    }

    /// Finds the values in the header lines of a request, in the order of the request.
    pub(super) fn values<'a>(&self, headers: &Headers<'a>, budget: &mut Budget) -> Result<Values<'a>, Exhausted> {
        budget.pay(self.len().saturating_mul(2))?;
        let mut values = Values(vec![Vec::new(); self.len()]);
        for (name, value) in headers.lines() {
            budget.pay(LINE_STEPS)?;
            if let Some(index) = self.headers.look_up(name, true, budget)? {
                values.push(index, value, budget)?;
            }
            if !self.cookies.0.is_empty() && name.eq_ignore_ascii_case(b"cookie") {
                self.read_cookies(value, &mut values, budget)?;
            }
        }
        Ok(values)
    }

    fn read_cookies<'a>(&self, line: &'a [u8], values: &mut Values<'a>, budget: &mut Budget) -> Result<(), Exhausted> {
        budget.pay(line.len())?;
        let first = self.headers.0.len();
        for pair in cookie::pairs(line) {
            budget.pay(COOKIE_STEPS)?;
            let Some((name, value)) = cookie::name_and_value(pair) else {
                continue;
            };
            if let Some(index) = self.cookies.look_up(name, false, budget)? {
                values.push(first.saturating_add(index), value, budget)?;
            }
        }
        Ok(())
    }
}

impl Names {
    // There are few names, and the sort of the standard library would add 4 KB to the module.
    fn insert(&mut self, name: &str) {
        if let Err(index) = search(&self.0, name.as_bytes()) {
            self.0.insert(index, name.into());
        }
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        search(&self.0, name).ok()
    }

    /// Finds a name that a client sent.
    fn look_up(&self, name: &[u8], ignore_case: bool, budget: &mut Budget) -> Result<Option<usize>, Exhausted> {
        let Some(longest) = self.0.last().map(|name| name.len()) else {
            return Ok(None);
        };
        if name.is_empty() || name.len() > longest {
            return Ok(None);
        }
        let comparisons = usize::BITS.saturating_sub(self.0.len().leading_zeros());
        let each = COMPARISON_STEPS.saturating_add(name.len());
        budget.pay(each.saturating_mul(usize::try_from(comparisons).unwrap_or(usize::MAX)))?;
        if ignore_case && name.iter().any(u8::is_ascii_uppercase) {
            return Ok(self.find(&name.to_ascii_lowercase()));
        }
        Ok(self.find(name))
    }
}

/// The position of a name, or the position at which it would have to be inserted.
fn search(names: &[Box<str>], name: &[u8]) -> Result<usize, usize> {
    names.binary_search_by(|other| (other.len(), other.as_bytes()).cmp(&(name.len(), name)))
}

impl<'a> Values<'a> {
    fn push(&mut self, index: usize, value: &'a [u8], budget: &mut Budget) -> Result<(), Exhausted> {
        if let Some(values) = self.0.get_mut(index)
            && values.len() < MAX_VALUES
        {
            budget.pay(VALUE_STEPS)?;
            values.push(value);
        }
        Ok(())
    }

    /// The values in this slot.
    pub(super) fn of(&self, Slot(index): Slot) -> &[&'a [u8]] {
        self.0.get(index).map_or(&[], Vec::as_slice)
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

impl TryFrom<&SourceConfig> for Source {
    type Error = InvalidName;

    fn try_from(raw: &SourceConfig) -> Result<Self, InvalidName> {
        match raw {
            SourceConfig::Header(name) | SourceConfig::Cookie(name) => name::check_token(name)?,
        }
        Ok(match raw {
            SourceConfig::Header(name) => Self::Header(name.to_ascii_lowercase().into()),
            SourceConfig::Cookie(name) => Self::Cookie(name.as_str().into()),
        })
    }
}
