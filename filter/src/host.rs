//! The host calls of Envoy that the module uses, with values as bytes.
//!
//! A call that returns a value costs several times as much as one that does not, because Envoy calls the module back to allocate
//! memory for it.

use std::time::SystemTime;

use mooring_policy::{change::Change, headers::Headers, host::Host, token::SealError};
use proxy_wasm::{
    hostcalls,
    types::{LogLevel, MapType, Status},
};

use crate::raw;

/// A host call failed or returned an unexpected value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostError {
    call: &'static str,
    status: Option<Status>,
}

impl HostError {
    /// An error without a status.
    pub(crate) const fn without_status(call: &'static str) -> Self {
        Self { call, status: None }
    }
}

impl From<SealError> for HostError {
    fn from(_: SealError) -> Self {
        Self::without_status("sealing a token")
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

/// Adds the name of the failed call to a status.
pub(crate) fn in_call(call: &'static str) -> impl FnOnce(Status) -> HostError {
    move |status| HostError {
        call,
        status: Some(status),
    }
}

/// The [`Host`] that calls Envoy.
pub(crate) struct Envoy;

impl Host for Envoy {
    type Error = HostError;

    fn now(&self) -> Result<u64, HostError> {
        const CALL: &str = "reading the clock";
        let time = hostcalls::get_current_time().map_err(in_call(CALL))?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        Ok(since.map_err(|_| HostError::without_status(CALL))?.as_secs())
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], HostError> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).map_err(|_| HostError::without_status("drawing random bytes"))?;
        Ok(bytes)
    }

    fn route_name(&self) -> Result<Option<Vec<u8>>, HostError> {
        property(["xds", "route_name"])
    }

    fn virtual_host_name(&self) -> Result<Option<Vec<u8>>, HostError> {
        property(["xds", "virtual_host_name"])
    }

    fn route_object(&self) -> Result<Option<Vec<u8>>, HostError> {
        property(["xds", "route_metadata", "filter_metadata", "istio", "config"])
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
        hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name).map_err(in_call("reading a header"))
    }

    fn read_response<T>(&self, read: impl FnOnce(&Headers) -> T) -> Result<T, HostError> {
        let pairs = raw::header_pairs(MapType::HttpResponseHeaders).map_err(in_call("reading the headers"))?;
        let headers = Headers::parse(&pairs).ok_or(HostError::without_status("reading the headers"))?;
        Ok(read(&headers))
    }
}

fn property<const N: usize>(path: [&str; N]) -> Result<Option<Vec<u8>>, HostError> {
    hostcalls::get_property(path.into()).map_err(in_call("reading a property"))
}

/// All headers of the request, in the format of `Headers::parse`. Reading all costs the same as reading one.
pub(crate) fn request_headers() -> Result<Vec<u8>, HostError> {
    raw::header_pairs(MapType::HttpRequestHeaders).map_err(in_call("reading the headers"))
}

/// Applies changes to the request.
pub(crate) fn change_request(changes: &[Change]) -> Result<(), HostError> {
    changes
        .iter()
        .try_for_each(|change| apply(MapType::HttpRequestHeaders, change))
}

/// Applies changes to the response.
pub(crate) fn change_response(changes: &[Change]) -> Result<(), HostError> {
    changes
        .iter()
        .try_for_each(|change| apply(MapType::HttpResponseHeaders, change))
}

fn apply(map: MapType, change: &Change) -> Result<(), HostError> {
    match change {
        Change::Set(name, value) => {
            hostcalls::set_map_value_bytes(map, name, Some(value)).map_err(in_call("setting a header"))
        }
        Change::SetField(field) => {
            hostcalls::set_map_value_bytes(map, &field.name, Some(&field.value)).map_err(in_call("setting a header"))
        }
        Change::Add(name, value) => {
            hostcalls::add_map_value_bytes(map, name, value).map_err(in_call("adding a header"))
        }
        Change::Remove(name) => hostcalls::remove_map_value(map, name).map_err(in_call("removing a header")),
        Change::SetFilterState(name, value) => raw::set_property(name, value).map_err(in_call("setting a property")),
    }
}

/// Declares that a property is a text. Envoy takes an undeclared one for bytes, on which CEL has no functions, so that no filter of
/// an access log could search it. A failure is ignored, because the property works without.
pub(crate) fn declare_text(name: &str) {
    // Envoy's `DeclarePropertyArguments`: the field `name`, and the type `String`.
    let Ok(length) = u8::try_from(name.len()) else {
        return;
    };
    let arguments = [&[0x0a, length], name.as_bytes(), &[0x18, 1]].concat();
    let _ = hostcalls::call_foreign_function("declare_property", Some(&arguments));
}

/// The name of this plugin in Envoy's configuration.
pub(crate) fn plugin_name() -> String {
    let name = property(["plugin_name"]).ok().flatten();
    String::from_utf8_lossy(&name.unwrap_or_default()).into_owned()
}

/// A flag that all VMs of this plugin share. It survives a new configuration and a crash.
pub(crate) struct SharedFlag(String);

impl SharedFlag {
    /// The flag called `name` of the plugin called `plugin`.
    pub(crate) fn new(plugin: &str, name: &str) -> Self {
        Self(format!("mooring.{plugin}.{name}"))
    }

    /// Whether the flag is set.
    pub(crate) fn is_set(&self) -> bool {
        matches!(hostcalls::get_shared_data(&self.0), Ok((Some(_), _)))
    }

    /// Sets the flag. After a failure it stays unset, so at worst a line is logged again.
    pub(crate) fn set(&self) {
        let _ = hostcalls::set_shared_data(&self.0, Some(b"1"), None);
    }
}

/// Writes panics to Envoy's log before the VM aborts.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let _ = hostcalls::log(LogLevel::Critical, &format!("mooring: {panic}"));
    }));
}

/// Writes a line to Envoy's log. A failure is ignored, because it cannot be logged.
pub(crate) fn log_error(message: &str) {
    let _ = hostcalls::log(LogLevel::Error, message);
}
