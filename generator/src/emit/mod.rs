//! The targets. Each translates the intermediate representation into the objects of its own API. A new target is a new
//! module here.

pub mod envoy;
mod fail_strategy;
mod generated;
mod http_filters;
mod http_route;
pub mod istio;
mod json;
mod provenance;
pub mod target;

pub use fail_strategy::FailStrategy;
pub use generated::Output;
