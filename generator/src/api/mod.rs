//! The serde types of the Kubernetes objects that Mooring reads, one module for each API, and nothing else.
//!
//! They are our own, in place of those of `gateway-api` and `k8s-openapi`, for two reasons. A [`field::Field`] keeps the line
//! and column of its value, which every finding shows. And below `spec` an unknown field is an error, because a field with a
//! typing error would be ignored silently: a type lists every field that its API has had there (Gateway API from 1.1 on), also
//! those that only Envoy or Istio read. `crate::model` and its users give the values a meaning.

/// Declares types of which only the names of the fields count. Istio or Envoy apply their values.
macro_rules! known_fields {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[expect(dead_code, reason = "known, never read")]
        pub struct $name { $($field: Option<$type>),* }
    )*};
}

pub mod canary;
pub mod field;
pub mod filter;
pub mod gateway;
pub mod grant;
pub mod grpc;
mod http_route_fields;
pub mod ingress;
pub mod istio;
pub mod object;
pub mod policy;
pub mod policy_status;
pub mod route;
pub mod service;
pub mod virtual_service;
