//! Envoy's host calls, as far as they are used, in bytes.
//!
//! A call that returns a value costs several times one that does not, because Envoy enters the module again to allocate it.

use std::time::SystemTime;

use mooring_policy::{change::Change, headers::Headers, host::Host, token::SealError};
use proxy_wasm::{
    hostcalls,
    types::{LogLevel, MapType, Status},
};

use crate::raw;

/// A host call that Envoy refused, or a value that is not what it should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostError {
    call: &'static str,
    status: Option<Status>,
}

impl HostError {
    /// A failure with no more to say of it than what failed.
    pub(crate) const fn named(call: &'static str) -> Self {
        Self { call, status: None }
    }
}

impl From<SealError> for HostError {
    fn from(_: SealError) -> Self {
        Self::named("sealing a token")
    }
}

impl std::fmt::Display for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status {
            Some(status) => write!(f, "{} failed: {status:?}", self.call),
            None => write!(f, "{} failed", self.call),
        }
    }
}

/// Names the call that failed.
fn at(call: &'static str) -> impl FnOnce(Status) -> HostError {
    move |status| HostError {
        call,
        status: Some(status),
    }
}

/// Envoy.
pub(crate) struct Envoy;

impl Host for Envoy {
    type Error = HostError;

    fn now(&self) -> Result<u64, HostError> {
        const CALL: &str = "reading the clock";
        let time = hostcalls::get_current_time().map_err(at(CALL))?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        Ok(since.map_err(|_| HostError::named(CALL))?.as_secs())
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], HostError> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).map_err(|_| HostError::named("drawing random bytes"))?;
        Ok(bytes)
    }

    fn route_name(&self) -> Result<Option<Vec<u8>>, HostError> {
        property(["xds", "route_name"])
    }

    fn virtual_host_name(&self) -> Result<Option<Vec<u8>>, HostError> {
        property(["xds", "virtual_host_name"])
    }

    fn cluster_name(&self) -> Result<Option<Vec<u8>>, HostError> {
        property(["xds", "cluster_name"])
    }

    fn code_details(&self) -> Result<Option<Vec<u8>>, HostError> {
        property(["response", "code_details"])
    }

    fn upstream_address(&self) -> Result<Option<Vec<u8>>, HostError> {
        property(["upstream", "address"])
    }

    fn response_header(&self, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name).map_err(at("reading a header"))
    }

    fn read_response<T>(&self, read: impl FnOnce(&Headers) -> T) -> Result<T, HostError> {
        let pairs = raw::header_pairs(MapType::HttpResponseHeaders).map_err(at("reading the headers"))?;
        let headers = Headers::parse(&pairs).ok_or(HostError::named("reading the headers"))?;
        Ok(read(&headers))
    }
}

fn property<const N: usize>(path: [&str; N]) -> Result<Option<Vec<u8>>, HostError> {
    hostcalls::get_property(path.into()).map_err(at("reading a property"))
}

/// All header lines of the request, for `Headers::parse` to read. They cost no more than one of them.
pub(crate) fn request_headers() -> Result<Vec<u8>, HostError> {
    raw::header_pairs(MapType::HttpRequestHeaders).map_err(at("reading the headers"))
}

/// Changes the request.
pub(crate) fn change_request(changes: &[Change]) -> Result<(), HostError> {
    changes
        .iter()
        .try_for_each(|change| apply(MapType::HttpRequestHeaders, change))
}

/// Changes the response.
pub(crate) fn change_response(changes: &[Change]) -> Result<(), HostError> {
    changes
        .iter()
        .try_for_each(|change| apply(MapType::HttpResponseHeaders, change))
}

fn apply(map: MapType, change: &Change) -> Result<(), HostError> {
    match change {
        Change::Set(name, value) => {
            hostcalls::set_map_value_bytes(map, name, Some(value)).map_err(at("setting a header"))
        }
        Change::Field(field) => {
            hostcalls::set_map_value_bytes(map, &field.name, Some(&field.value)).map_err(at("setting a header"))
        }
        Change::Add(name, value) => hostcalls::add_map_value_bytes(map, name, value).map_err(at("adding a header")),
        Change::Remove(name) => hostcalls::remove_map_value(map, name).map_err(at("removing a header")),
        Change::Property(name, value) => raw::set_property(name, value).map_err(at("setting a property")),
    }
}

/// The name that the configuration gives this plugin.
pub(crate) fn plugin_name() -> String {
    let name = property(["plugin_name"]).ok().flatten();
    String::from_utf8_lossy(&name.unwrap_or_default()).into_owned()
}

/// A mark that all virtual machines of this plugin share. It survives a new configuration and a crash.
pub(crate) struct Mark(String);

impl Mark {
    /// The mark called `name` of the plugin called `plugin`.
    pub(crate) fn new(plugin: &str, name: &str) -> Self {
        Self(format!("mooring.{plugin}.{name}"))
    }

    /// Whether the mark has been set.
    pub(crate) fn is_set(&self) -> bool {
        matches!(hostcalls::get_shared_data(&self.0), Ok((Some(_), _)))
    }

    /// Sets the mark. A failure leaves it unset, which is never worse than logging once more.
    pub(crate) fn set(&self) {
        let _ = hostcalls::set_shared_data(&self.0, Some(b"1"), None);
    }
}

/// Lets Envoy's log show a panic before the virtual machine ends.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let _ = hostcalls::log(LogLevel::Critical, &format!("mooring: {panic}"));
    }));
}

/// Writes a line to Envoy's log. Where that fails, there is nothing to tell it with.
pub(crate) fn log_error(message: &str) {
    let _ = hostcalls::log(LogLevel::Error, message);
}
