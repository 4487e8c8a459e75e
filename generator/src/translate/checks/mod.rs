//! Checks rules and gateways after they have been built. The checks report errors and remove sessions from rules with
//! errors.

pub mod callers;
pub mod consistent_hash;
pub mod exports;
pub mod filter_config;
pub mod match_values;
pub mod name_conflicts;
pub mod partial_input;
pub mod rule_names;
pub mod session_routes;
pub mod waypoints_used;
