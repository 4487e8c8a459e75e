//! What the decisions may ask of Envoy.
//!
//! Each answer costs a host call, so a decision asks only for what it needs. The filter has the implementation for Envoy; tests
//! use one that answers from memory.

use crate::{headers::Headers, token::SealError};

mod memory;

pub use self::memory::Memory;

/// Envoy, as the decisions about one stream see it. A value that Envoy does not have is None.
pub trait Host {
    /// Why Envoy does not answer.
    type Error: From<SealError>;

    /// The wall clock, in seconds since the Unix epoch.
    fn now(&self) -> Result<u64, Self::Error>;

    /// Bytes from a cryptographic random generator.
    fn random<const N: usize>(&self) -> Result<[u8; N], Self::Error>;

    /// The name of the route that Envoy has chosen (`xds.route_name`).
    fn route_name(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The name of the virtual host that the route is in (`xds.virtual_host_name`).
    fn virtual_host_name(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The name of the cluster that the route leads to (`xds.cluster_name`).
    fn cluster_name(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Where the response comes from (`response.code_details`).
    fn code_details(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The address of the host that answered, `ip:port` (`upstream.address`).
    fn upstream_address(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The value of the first response header of this name.
    fn response_header(&self, name: &str) -> Result<Option<Vec<u8>>, Self::Error>;

    /// What `read` makes of all response headers. They cost no more than one of them.
    fn read_response<T>(&self, read: impl FnOnce(&Headers) -> T) -> Result<T, Self::Error>;
}
