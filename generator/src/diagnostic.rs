//! Findings about the input: a stable code, a severity, a message and positions in the sources.
//!
//! This module holds findings as data; `render`, `workflow_command` and `sarif` print them.

pub mod code;
pub mod finding;
mod render;
mod report;
pub mod reported;
pub mod sarif;
pub mod workflow_command;

pub use code::{Code, UnknownCode};
pub use finding::{Diagnostic, Severity};
pub use report::Report;
pub use reported::Reported;
