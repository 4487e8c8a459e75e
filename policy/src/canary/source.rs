//! The headers and cookies that a canary asks for, and their values in a request: found in one pass over its lines.

use super::budget::{Budget, Exhausted};
use crate::{
    config, cookie,
    headers::Headers,
    name::{self, InvalidName},
};

/// How many values of one header or cookie are looked at.
pub const MAX_VALUES: usize = 16;

/// What it takes to come to a header line or to a cookie, to compare its name with one other, and to note a value.
const LINE: usize = 30;
const PAIR: usize = 20;
const PROBE: usize = 10;
const NOTE: usize = 60;

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A header, by its name in lower case.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

/// All parts of requests that a canary asks for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    headers: Names,
    cookies: Names,
}

/// Names, each once, the shorter ones first.
#[derive(Debug, Default)]
struct Names(Box<[Box<str>]>);

/// Where the values of a source are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// The values of all sources.
#[derive(Debug)]
pub(super) struct Values<'a>(Vec<Vec<&'a [u8]>>);

impl Sources {
    /// Those in a list, in which a source may be several times.
    pub(super) fn new<'s>(all: impl Iterator<Item = &'s Source> + Clone) -> Self {
        let header = |source: &'s Source| match source {
            Source::Header(name) => Some(name),
            Source::Cookie(_) => None,
        };
        let cookie = |source: &'s Source| match source {
            Source::Cookie(name) => Some(name),
            Source::Header(_) => None,
        };
        Self {
            headers: Names::new(all.clone().filter_map(header)),
            cookies: Names::new(all.filter_map(cookie)),
        }
    }

    /// Where the values of a source will be. None: it is not one of these.
    pub(super) fn slot(&self, source: &Source) -> Option<Slot> {
        let place = match source {
            Source::Header(name) => self.headers.find(name.as_bytes())?,
            Source::Cookie(name) => {
                let cookies = self.headers.0.len();
                self.cookies.find(name.as_bytes())?.checked_add(cookies)?
            }
        };
        Some(Slot(place))
    }

    fn len(&self) -> usize {
        self.headers.0.len().saturating_add(self.cookies.0.len())
    }

    /// Finds their values in the header lines of a request, in their order.
    pub(super) fn values<'a>(&self, headers: &Headers<'a>, budget: &mut Budget) -> Result<Values<'a>, Exhausted> {
        budget.pay(self.len().saturating_mul(2))?;
        let mut values = Values(vec![Vec::new(); self.len()]);
        for (name, value) in headers.lines() {
            budget.pay(LINE)?;
            if let Some(place) = self.headers.look_up(name, true, budget)? {
                values.note(place, value, budget)?;
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
            budget.pay(PAIR)?;
            let Some((name, value)) = cookie::name_and_value(pair) else {
                continue;
            };
            if let Some(place) = self.cookies.look_up(name, false, budget)? {
                values.note(first.saturating_add(place), value, budget)?;
            }
        }
        Ok(())
    }
}

impl Names {
    fn new<'s>(names: impl Iterator<Item = &'s Box<str>>) -> Self {
        // There are few of them: a sorting algorithm would be 4 KB of the module.
        let mut sorted: Vec<Box<str>> = Vec::new();
        for name in names {
            if let Err(place) = place_of(&sorted, name.as_bytes()) {
                sorted.insert(place, name.clone());
            }
        }
        Self(sorted.into())
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        place_of(&self.0, name).ok()
    }

    /// Looks for a name that a client wrote.
    fn look_up(&self, name: &[u8], in_any_case: bool, budget: &mut Budget) -> Result<Option<usize>, Exhausted> {
        let Some(longest) = self.0.last().map(|name| name.len()) else {
            return Ok(None);
        };
        if name.is_empty() || name.len() > longest {
            return Ok(None);
        }
        let probes = usize::BITS.saturating_sub(self.0.len().leading_zeros());
        let each = PROBE.saturating_add(name.len());
        budget.pay(each.saturating_mul(usize::try_from(probes).unwrap_or(usize::MAX)))?;
        if in_any_case && name.iter().any(u8::is_ascii_uppercase) {
            return Ok(self.find(&name.to_ascii_lowercase()));
        }
        Ok(self.find(name))
    }
}

/// Where a name is, or would be.
fn place_of(names: &[Box<str>], name: &[u8]) -> Result<usize, usize> {
    names.binary_search_by(|other| (other.len(), other.as_bytes()).cmp(&(name.len(), name)))
}

impl<'a> Values<'a> {
    fn note(&mut self, place: usize, value: &'a [u8], budget: &mut Budget) -> Result<(), Exhausted> {
        if let Some(values) = self.0.get_mut(place)
            && values.len() < MAX_VALUES
        {
            budget.pay(NOTE)?;
            values.push(value);
        }
        Ok(())
    }

    /// The values in this slot.
    pub(super) fn of(&self, Slot(place): Slot) -> &[&'a [u8]] {
        self.0.get(place).map_or(&[], Vec::as_slice)
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
            config::Source::Header(name) => Self::Header(name.to_ascii_lowercase().into()),
            config::Source::Cookie(name) => Self::Cookie(name.into()),
        })
    }
}
