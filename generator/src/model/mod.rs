//! Objects of Gateway API and of Istio in one model, which translation reads instead of the types of `crate::api`.
//!
//! - `route`: the routes. `http_route`, `grpc_route` and `virtual_service` convert them, and `delegation` merges the http routes of a
//!   `VirtualService` with those of its delegates.
//! - `gateway`: the gateways of both APIs.
//! - `service`: Services, and hosts of `ServiceEntry` objects.
//!
//! A new field of a route touches its type in `crate::api`, `route` and the conversions.

pub mod delegation;
pub mod gateway;
mod grpc_route;
mod http_route;
pub mod path;
pub mod route;
pub mod service;
pub mod virtual_service;
