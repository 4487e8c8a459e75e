//! What istiod makes of the user's objects, and so must the generator: the names of virtual hosts and routes, and which of them are on
//! which gateway.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "that is how a test fails")]

#[path = "../common/mod.rs"]
mod common;
mod shop;

mod canaries;
mod delegates;
mod destination_rules;
mod export_to;
mod external_names;
mod gateways_of_matches;
mod groups;
mod hosts;
mod listener_sets;
mod ports;
mod route_names;
mod servers;
