//! What Mooring decides, without a host.
//!
//! Everything here is a pure function of its arguments: the clock, randomness, header bytes and keys come in, a decision
//! comes out. The filter runs it inside Envoy, the generator builds its configuration, and tests and fuzzers run it
//! natively.
//!
//! - [`config`]: the plugin configuration as it is written and read, and nothing else.
//! - [`duration`], [`name`]: the small values of the Gateway API that a configuration is made of.

pub mod config;
pub mod duration;
pub mod name;
