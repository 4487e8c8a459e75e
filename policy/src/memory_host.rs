//! A [`Host`] with values in memory, for tests, fuzzing and benchmarks.

use crate::{headers::Headers, host::Host, token::SealError};

/// The value of each property. By default all are absent, the clock shows the Unix epoch, and random bytes are zero.
#[derive(Clone, Debug, Default)]
pub struct MemoryHost {
    /// The wall clock, in seconds since the Unix epoch.
    pub now: u64,
    /// The random bytes, which repeat.
    pub random: Vec<u8>,
    /// The name of the route.
    pub route_name: Option<Vec<u8>>,
    /// The name of the virtual host.
    pub virtual_host_name: Option<Vec<u8>>,
    /// The path of the object of the route.
    pub route_object: Option<Vec<u8>>,
    /// The name of the cluster.
    pub cluster_name: Option<Vec<u8>>,
    /// The details of the response code.
    pub code_details: Option<Vec<u8>>,
    /// The address of the host that responded.
    pub upstream_address: Option<Vec<u8>>,
    /// The headers of the response.
    pub response: Vec<(String, Vec<u8>)>,
}

impl Host for MemoryHost {
    type Error = SealError;

    fn now(&self) -> Result<u64, SealError> {
        Ok(self.now)
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], SealError> {
        let mut bytes = self.random.iter().copied().cycle();
        Ok([0; N].map(|zero: u8| bytes.next().unwrap_or(zero)))
    }

    fn route_name(&self) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.route_name.clone())
    }

    fn virtual_host_name(&self) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.virtual_host_name.clone())
    }

    fn route_object(&self) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.route_object.clone())
    }

    fn cluster_name(&self) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.cluster_name.clone())
    }

    fn code_details(&self) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.code_details.clone())
    }

    fn upstream_address(&self) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.upstream_address.clone())
    }

    fn response_header(&self, name: &str) -> Result<Option<Vec<u8>>, SealError> {
        Ok(Headers::from(self.response.as_slice()).first(name).map(Into::into))
    }

    fn read_response<T>(&self, read: impl FnOnce(&Headers) -> T) -> Result<T, SealError> {
        Ok(read(&self.response.as_slice().into()))
    }
}
