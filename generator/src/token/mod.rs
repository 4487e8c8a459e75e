//! Session tokens for people: which text is the token, what it shows without a key, and what is in it with one.
//!
//! This module has no clock, no files and no keys of its own: `crate::commands::token` brings them. `mooring_policy::token` has the
//! format, and `mooring_policy::timeouts` decides whether a session is live. No message contains a key or a token.

mod description;
mod find;
mod keys;
mod open;
pub mod share;
pub mod time;

pub use self::{
    description::{Description, Left, Moment},
    find::{Found, NotFound, find},
    keys::{InvalidRing, Keys},
    open::{Bound, NotOpened, Opened, open},
};

use mooring_policy::timeouts::Timeouts;

/// Describes an opened token at a time, in seconds since the Unix epoch.
#[must_use]
pub fn describe(opened: &Opened, timeouts: &Timeouts, now: u64) -> Description {
    Description::new(opened, timeouts, now)
}
