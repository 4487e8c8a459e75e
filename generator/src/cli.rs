//! The command line.
//!
//! [`args`] holds the arguments as clap parses them, [`values`] the parsers of single values, and [`checks`] what the flags of a
//! command mean together.

pub mod args;
pub mod checks;
pub mod values;
