//! The interface to Envoy that decisions use.
//!
//! Each method is a host call in Envoy, so decisions call only those that they need. The filter implements the trait for Envoy;
//! tests use [`MemoryHost`](crate::memory_host::MemoryHost).

use crate::{headers::Headers, token::SealError};

/// Envoy during one stream. Values that Envoy does not have are None.
pub trait Host {
    /// Why a host call failed.
    type Error: From<SealError>;

    /// The wall clock, in seconds since the Unix epoch.
    fn now(&self) -> Result<u64, Self::Error>;

    /// Bytes from a cryptographic random generator.
    fn random<const N: usize>(&self) -> Result<[u8; N], Self::Error>;

    /// The name of the route that Envoy selected (`xds.route_name`). None also if the route has no name.
    fn route_name(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The name of the virtual host of the route (`xds.virtual_host_name`).
    fn virtual_host_name(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The path of the object from which istiod made the route, such as
    /// `/apis/networking.istio.io/v1/namespaces/shop/virtual-service/web` (`filter_metadata.istio.config` of `xds.route_metadata`).
    fn route_object(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The name of the cluster of the route (`xds.cluster_name`).
    fn cluster_name(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The details of the response code (`response.code_details`).
    fn code_details(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The address of the host that responded (`upstream.address`): `ip:port`, or in a waypoint, for a pod behind HBONE,
    /// `envoy://connect_originate/ip:port`.
    fn upstream_address(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The value of the first response header of this name.
    fn response_header(&self, name: &str) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The result of `read` for all response headers. Reading all costs the same as reading one.
    fn read_response<T>(&self, read: impl FnOnce(&Headers) -> T) -> Result<T, Self::Error>;
}
