//! Envoy's host calls, as far as they are used, in bytes.
//!
//! A call that returns a value costs several times one that does not, because Envoy enters the module again to allocate it.

use crate::abi::{self, Level, Map, Status};

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
            Some(status) => write!(f, "{} failed: {status}", self.call),
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
pub(crate) struct Headers(Map);

/// The headers of the request, while it is on its way to the backend.
pub(crate) const REQUEST: Headers = Headers(Map::Request);
/// The headers of the response.
pub(crate) const RESPONSE: Headers = Headers(Map::Response);

impl Headers {
    /// The value of the first header line called `name`.
    pub(crate) fn first(self, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        abi::header(self.0, name.as_bytes()).map_err(at("reading a header"))
    }

    /// All header lines, as the ABI writes them. It costs no more than reading one of them.
    pub(crate) fn pairs(self) -> Result<Vec<u8>, HostError> {
        let pairs = abi::header_pairs(self.0).map_err(at("reading the headers"))?;
        Ok(pairs.unwrap_or_default())
    }

    /// Puts one header line in the place of all that are called `name`.
    pub(crate) fn set(self, name: &str, value: &[u8]) -> Result<(), HostError> {
        abi::replace_header(self.0, name.as_bytes(), value).map_err(at("setting a header"))
    }

    /// Adds a header line.
    pub(crate) fn add(self, name: &str, value: &[u8]) -> Result<(), HostError> {
        abi::add_header(self.0, name.as_bytes(), value).map_err(at("adding a header"))
    }

    /// Removes all header lines called `name`.
    pub(crate) fn remove(self, name: &str) -> Result<(), HostError> {
        abi::remove_header(self.0, name.as_bytes()).map_err(at("removing a header"))
    }
}

/// A property of the stream: one of Envoy's attributes, with NUL between the parts of its path.
pub(crate) fn property(path: &str) -> Result<Option<Vec<u8>>, HostError> {
    abi::property(path.as_bytes()).map_err(at("reading a property"))
}

/// Leaves a value in the filter state of the request, under the name `wasm.<name>`. Unlike a header that is set, it does not
/// make Envoy look for the route again.
pub(crate) fn leave(name: &str, value: &[u8]) -> Result<(), HostError> {
    abi::set_property(name.as_bytes(), value).map_err(at("setting a property"))
}

/// The name that the configuration gives this plugin.
pub(crate) fn plugin_name() -> String {
    let name = abi::property(b"plugin_name").ok().flatten();
    String::from_utf8_lossy(&name.unwrap_or_default()).into_owned()
}

/// The plugin configuration as Envoy delivers it.
pub(crate) fn configuration() -> Result<Vec<u8>, HostError> {
    let bytes = abi::plugin_configuration().map_err(at("reading the plugin configuration"))?;
    Ok(bytes.unwrap_or_default())
}

/// The wall clock, in seconds since the Unix epoch.
pub(crate) fn now() -> Result<u64, HostError> {
    const NANOSECONDS: u64 = 1_000_000_000;
    Ok(abi::time().map_err(at("reading the clock"))? / NANOSECONDS)
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
        matches!(abi::shared_data(&self.0), Ok(Some(_)))
    }

    /// Sets the mark. A failure leaves it unset, which is never worse than logging once more.
    pub(crate) fn set(&self) {
        let _ = abi::set_shared_data(&self.0, b"1");
    }
}

/// Lets Envoy's log show a panic before the virtual machine ends.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let _ = abi::log(Level::Critical, &format!("mooring: {panic}"));
    }));
}

/// Writes a line to Envoy's log. There is nobody to tell if that fails.
pub(crate) fn log_error(message: &str) {
    let _ = abi::log(Level::Error, message);
}
