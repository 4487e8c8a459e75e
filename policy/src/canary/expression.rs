//! Regular expressions, with their cost in time, which a request pays for, and in memory.

use regex_lite::{Regex, RegexBuilder};

use super::budget::{Budget, Exhausted};

/// The maximum size of a compiled expression, in bytes on a 64-bit platform. In the module it takes less.
pub const MAX_SIZE: usize = 16 << 10;

/// The maximum length of a value that an expression is compared with. A longer value does not match.
pub const MAX_INPUT: usize = 1 << 10;

/// The precision of [`size`], in bytes.
const SIZE_PRECISION: usize = 64;

/// The memory of an expression besides its program, its pattern and its state, in bytes.
const MEMORY_OVERHEAD: usize = 512;

/// The smallest state of a program, in bytes on a 64-bit platform.
const STATE_SIZE: usize = 32;

/// In the worst case, each state of the program is visited at each character. Measured in Envoy, with many kinds of repetitions
/// and alternatives: up to 22 ns for a state of 32 bytes, on a busy machine.
const BYTES_PER_STEP: usize = 2;

/// The fixed cost of a comparison, in steps.
const START_STEPS: usize = 300;

/// An expression that must match the whole value, like Envoy's `safe_regex`.
#[derive(Debug)]
pub(super) struct Expression {
    regex: Regex,
    size: usize,
    memory: usize,
}

/// The size of a compiled expression, in bytes on a 64-bit platform. A binary search for the size limit finds it, which takes a
/// dozen compilations. Therefore the configuration contains the result, and the module does not compute it.
pub fn size(pattern: &str) -> Result<usize, regex_lite::Error> {
    compile(pattern, MAX_SIZE)?;
    let (mut too_small, mut enough) = (0_usize, MAX_SIZE);
    loop {
        let middle = too_small.midpoint(enough).next_multiple_of(SIZE_PRECISION);
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
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(limit).build()
}

impl Expression {
    /// Compiles an expression of this size, by default [`MAX_SIZE`].
    pub(super) fn new(pattern: &str, size: Option<usize>) -> Result<Self, regex_lite::Error> {
        // The pattern must be valid without the group around it: `a)(b` would be valid inside it.
        RegexBuilder::new(pattern).size_limit(MAX_SIZE).build()?;
        let size = size.unwrap_or(MAX_SIZE).clamp(STATE_SIZE, MAX_SIZE);
        let regex = compile(pattern, size)?;
        // While it matches, regex-lite keeps two sets of states and, for each state of a set, two 32-bit positions per group. It
        // never frees that memory.
        let groups = regex.captures_len();
        let states = size.div_ceil(STATE_SIZE);
        let per_state = groups.saturating_mul(16).saturating_add(16);
        let memory = size
            .saturating_add(states.saturating_add(1).saturating_mul(per_state))
            .saturating_add(pattern.len())
            .saturating_add(MEMORY_OVERHEAD);
        Ok(Self { regex, size, memory })
    }

    /// An upper bound on its memory in a VM, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Whether it matches the value. A value that is not UTF-8 never matches.
    pub(super) fn is_match(&self, value: &[u8], budget: &mut Budget) -> Result<bool, Exhausted> {
        if value.len() > MAX_INPUT {
            return Ok(false);
        }
        budget.pay(value.len())?;
        let Ok(text) = str::from_utf8(value) else {
            return Ok(false);
        };
        let visits = self.size.saturating_mul(value.len().saturating_add(1));
        budget.pay(visits.div_ceil(BYTES_PER_STEP).saturating_add(START_STEPS))?;
        Ok(self.regex.is_match(text))
    }
}
