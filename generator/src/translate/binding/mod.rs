//! Finds the gateways and virtual hosts that a route is on.

pub mod gateway_api;
pub mod istio;
pub mod listener_sets;
pub mod match_attachment;
pub mod match_scopes;
pub mod namespace_selectors;
