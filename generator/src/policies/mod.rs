//! The policies that keep sessions: those that target Services, and the `sessionPersistence` of a rule itself.
//!
//! Each kind of policy has its own API type; all become a [`Policy`] with a [`crate::session::Session`]. `crate::attachment`
//! decides which rules a policy applies to.

mod inline;
mod policy;
mod target;

pub use inline::inline;
pub use policy::{Policy, policies, policy};
