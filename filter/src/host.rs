//! Envoy's host calls, as far as they are used, in bytes.
//!
//! Header values are bytes: the string functions of the SDK panic on the first byte that is not UTF-8. A call that
//! returns a value costs several times one that does not, because Envoy enters the module again to allocate it.

use std::time::UNIX_EPOCH;

use proxy_wasm::{
    hostcalls,
    types::{BufferType, LogLevel, MapType, Status},
};

/// A host call that Envoy refused.
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

/// The headers of a request or of a response.
#[derive(Clone, Copy)]
pub(crate) struct Headers(MapType);

/// The headers of the request, while it is on its way to the backend.
pub(crate) const REQUEST: Headers = Headers(MapType::HttpRequestHeaders);
/// The headers of the response.
pub(crate) const RESPONSE: Headers = Headers(MapType::HttpResponseHeaders);

impl Headers {
    /// The value of the first header line called `name`.
    pub(crate) fn first(self, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        hostcalls::get_map_value_bytes(self.0, name).map_err(at("reading a header"))
    }

    /// All header lines, in their order. Dearer than one of them, cheaper than two.
    pub(crate) fn lines(self) -> Result<Vec<(String, Vec<u8>)>, HostError> {
        hostcalls::get_map_bytes(self.0).map_err(at("reading the headers"))
    }

    /// Puts one header line in the place of all that are called `name`.
    pub(crate) fn set(self, name: &str, value: &[u8]) -> Result<(), HostError> {
        hostcalls::set_map_value_bytes(self.0, name, Some(value)).map_err(at("setting a header"))
    }

    /// Adds a header line.
    pub(crate) fn add(self, name: &str, value: &[u8]) -> Result<(), HostError> {
        hostcalls::add_map_value_bytes(self.0, name, value).map_err(at("adding a header"))
    }

    /// Removes all header lines called `name`.
    pub(crate) fn remove(self, name: &str) -> Result<(), HostError> {
        hostcalls::remove_map_value(self.0, name).map_err(at("removing a header"))
    }
}

/// A property of the stream (Envoy's attributes).
pub(crate) fn property(path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    hostcalls::get_property(path.to_vec()).map_err(at("reading a property"))
}

/// The name that the configuration gives this plugin.
pub(crate) fn plugin_name() -> String {
    let name = hostcalls::get_property(vec!["plugin_name"]).ok().flatten();
    String::from_utf8_lossy(&name.unwrap_or_default()).into_owned()
}

/// The plugin configuration as Envoy delivers it.
pub(crate) fn configuration() -> Result<Vec<u8>, HostError> {
    let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX);
    Ok(bytes
        .map_err(at("reading the plugin configuration"))?
        .unwrap_or_default())
}

/// The wall clock, in seconds since the Unix epoch.
pub(crate) fn now() -> Result<u64, HostError> {
    let now = hostcalls::get_current_time().map_err(at("reading the clock"))?;
    Ok(now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Fills an array with random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], HostError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| HostError::named("drawing random bytes"))?;
    Ok(bytes)
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

/// Writes a line to Envoy's log. There is nobody to tell if that fails.
pub(crate) fn log_critical(message: &str) {
    let _ = hostcalls::log(LogLevel::Critical, message);
}

/// Writes a line to Envoy's log. There is nobody to tell if that fails.
pub(crate) fn log_error(message: &str) {
    let _ = hostcalls::log(LogLevel::Error, message);
}
