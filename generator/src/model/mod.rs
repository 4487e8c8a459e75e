//! Routes of all kinds in one model: what translation reads in place of `HTTPRoute`, `GRPCRoute` and `VirtualService`.
//!
//! `route` has the types. `http_route`, `grpc_route` and `virtual_service` convert the types of `crate::api` into them;
//! `delegation` merges the http routes of a `VirtualService` with those of its delegates.
//!
//! A new field of a route touches its type in `crate::api`, `route` and the conversions.

pub mod delegation;
mod grpc_route;
mod http_route;
pub mod route;
pub mod virtual_service;
