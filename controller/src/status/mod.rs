//! Reports the state of policies in their status, and what is refused in events.
//!
//! A pass compares what each policy's status should say with what it says, and writes only differences. Nothing is queued: a pass
//! that takes long ends early, and the next one starts with the newest plan. `entry` decides what the status should say, `merge`
//! how it is merged with the entries of other controllers, and `notice` which events are due.

mod entry;
mod memory;
mod merge;
mod notice;
mod options;
mod request;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::Keys;
pub use options::{CONTROLLER_NAME, Options};
pub use writer::StatusWriter;
