//! Writes what is planned, and removes what no plan wants any more.
//!
//! | step | module |
//! |---|---|
//! | an object with its owner and its hash | `wanted` |
//! | who wrote an object in the cluster | `ownership` |
//! | what to do about an object: pure | `decide`, from `memory` and `failure` |
//! | the requests of a pass and their order | `agenda`, `order` |
//! | send them, a bounded number at a time | `writer`, `job`, `server` |
//! | what became of each object | `state`, `ledger` |
//!
//! Whether an object is written depends on the hash of what is planned, and on who owns its fields, never on a comparison of its
//! fields with the planned ones: a server that adds a default would make that differ for ever.

mod agenda;
mod decide;
mod failure;
mod job;
mod ledger;
mod marks;
mod memory;
mod options;
mod order;
mod ownership;
mod preview;
mod server;
mod state;
mod wanted;
mod writer;

pub use marks::{APPLIED_ANNOTATION, MANAGER};
pub use options::Options;
pub use server::{KubeServer, Server, Target};
pub use state::{Applied, State};
pub use writer::Writer;
