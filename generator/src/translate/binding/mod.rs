//! On which gateways and in which virtual hosts a route is.

pub mod gateway_api;
pub mod istio;
pub mod listener_sets;
pub mod match_attachment;
pub mod match_scopes;
pub mod namespace_selectors;
