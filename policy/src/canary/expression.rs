//! Regular expressions, and what they cost: in time, so that a request can pay for it, and in memory.

use regex_lite::{Regex, RegexBuilder};

use super::budget::{Budget, Exhausted};

/// The largest compiled expression, in bytes on a platform of 64 bits. In the module it takes less.
pub const MAX_SIZE: usize = 16 << 10;

/// The longest value that an expression is tried on.
pub const MAX_VALUE: usize = 1 << 10;

/// Sizes are found to so many bytes.
const GRAIN: usize = 64;

/// What an expression takes besides its program, the text of its pattern and what it remembers while it matches.
const OVERHEAD: usize = 512;

/// The smallest state of a program, on a platform of 64 bits.
const STATE: usize = 32;

/// In the worst case, each state of the program is visited at each character. Measured in Envoy with repetitions and alternatives of
/// many kinds: up to 22 ns for a state of 32 bytes, on a busy machine.
const BYTES_A_STEP: usize = 2;

/// What it takes to begin.
const BEGIN: usize = 300;

/// An expression that must match the whole value, as Envoy's `safe_regex` does.
#[derive(Debug)]
pub(super) struct Expression {
    regex: Regex,
    size: usize,
    memory: usize,
}

/// The size of an expression when it is compiled, in bytes on a platform of 64 bits. It is found by trying limits, which takes a
/// dozen compilations: the configuration carries it, so that the module need not do so.
pub fn size(pattern: &str) -> Result<usize, regex_lite::Error> {
    compile(pattern, MAX_SIZE)?;
    let (mut too_small, mut enough) = (0_usize, MAX_SIZE);
    loop {
        let middle = too_small.midpoint(enough).next_multiple_of(GRAIN);
        if middle >= enough {
            return Ok(enough);
        }
        if compile(pattern, middle).is_ok() {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
}

fn compile(pattern: &str, limit: usize) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(&whole(pattern)).size_limit(limit).build()
}

fn whole(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

impl Expression {
    /// Compiles an expression of this size; without one, it is taken for as large as can be.
    pub(super) fn new(pattern: &str, size: Option<usize>) -> Result<Self, regex_lite::Error> {
        // First by itself: a pattern such as `a)(b` must not become valid by what is put around it.
        RegexBuilder::new(pattern).size_limit(MAX_SIZE).build()?;
        let size = size.unwrap_or(MAX_SIZE).clamp(STATE, MAX_SIZE);
        let regex = compile(pattern, size)?;
        // While it matches, it keeps two sets of states and for each state of a set two positions for each group, which are
        // numbers of 32 bits. regex-lite never frees that.
        let groups = regex.captures_len();
        let states = size.div_ceil(STATE);
        let for_each_state = groups.saturating_mul(16).saturating_add(16);
        let memory = size
            .saturating_add(states.saturating_add(1).saturating_mul(for_each_state))
            .saturating_add(pattern.len())
            .saturating_add(OVERHEAD);
        Ok(Self { regex, size, memory })
    }

    /// What it takes of a VM's memory, at most.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Whether it matches the value. An expression is about text; a value that is none does not match.
    pub(super) fn holds(&self, value: &[u8], budget: &mut Budget) -> Result<bool, Exhausted> {
        if value.len() > MAX_VALUE {
            return Ok(false);
        }
        budget.pay(value.len())?;
        let Ok(text) = str::from_utf8(value) else {
            return Ok(false);
        };
        let visits = self.size.saturating_mul(value.len().saturating_add(1));
        budget.pay(visits.div_ceil(BYTES_A_STEP).saturating_add(BEGIN))?;
        Ok(self.regex.is_match(text))
    }
}
