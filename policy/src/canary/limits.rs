//! How large a canary may be.

/// The maximum number of match rules of a canary.
pub const MAX_RULES: usize = 32;

/// The maximum number of conditions of a match rule.
pub const MAX_MATCHES: usize = 16;

/// The maximum length of the value of a condition, in bytes. A regular expression may be as long.
pub const MAX_VALUE_LENGTH: usize = 1 << 10;

/// The maximum length of a seed, in characters.
pub const MAX_SEED_LENGTH: usize = 64;

/// The maximum memory for all regular expressions of a canary, in bytes of a VM.
pub const MAX_MEMORY: usize = 1 << 20;

/// The maximum memory for all regular expressions of a gateway. While a new configuration is loaded, the VM holds the old one as
/// well.
pub const MAX_MEMORY_OF_GATEWAY: usize = 4 << 20;

/// How many values of one header or cookie are compared.
pub const MAX_VALUES: usize = 16;
