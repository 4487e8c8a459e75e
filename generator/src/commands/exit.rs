//! The exit statuses besides 0. A comparison uses those of `diff`: 1 for a difference, 2 for trouble.

/// Nothing was done: something cannot be read or written, or `--strict` refuses an error in the input.
pub const FAILURE: u8 = 1;

/// The directory differs from what would be generated.
pub const DIFFERENT: u8 = 1;

/// Nothing could be compared. clap uses the same status for flags that are wrong.
pub const TROUBLE: u8 = 2;

/// Everything was done, except for the parts of the input that have errors.
pub const INCOMPLETE: u8 = 3;
