//! Session keys: which pods lack them, Secrets where they are missing, and rotations that a user asks for.
//!
//! | step | module |
//! |---|---|
//! | which pods lack keys | `missing`, from [`crate::pods`] |
//! | what comes next in a rotation: pure | `rotation`, with `lifetime` |
//! | what a Secret says, and its changes | `secret` |
//! | the loop | `keeper` |

mod keeper;
mod lifetime;
mod missing;
mod options;
mod rotation;
mod secret;

pub use keeper::Keeper;
pub use missing::LiveKeys;
pub use options::Options;
