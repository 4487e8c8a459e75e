//! The targets. Each translates the intermediate representation into the objects of its own API. A new target is a new
//! module here.

mod command;
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
pub use http_route::regex::Regex;
pub use provenance::{VERSION, VERSION_ANNOTATION, on_one_line};
