//! One configuration of the module, from when Envoy delivers it.
//!
//! Envoy makes a new root context for each configuration and drops the old one after its last request.

use std::{cell::Cell, rc::Rc};

use mooring_policy::{
    gateway::Gateway,
    host::Host as _,
    keys::{InvalidKeys, KeyRing, Reading},
    rule::RouteTable,
};
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};

use crate::{
    host::{self, Envoy, HostError, Mark},
    metrics::{self, BackendMetrics},
    stream::Stream,
};

/// The environment variable with the key ring.
const KEYS_VARIABLE: &str = "MOORING_KEYS";

/// Of how many wrong keys the log tells.
const LOGGED_KEYS: usize = 8;

/// At most one line about failed requests goes to the log in this many seconds.
const LOG_INTERVAL: u64 = 10;

/// The context of one configuration.
#[derive(Default)]
pub(crate) struct Root {
    plugin: Rc<Plugin>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, _configuration_size: usize) -> bool {
        metrics::define();
        true
    }

    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let Some(plugin) = Plugin::configure(&configuration) else {
            return false;
        };
        self.plugin = Rc::new(plugin);
        true
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(Rc::clone(&self.plugin))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// A configuration: what requests need of it. By default: nothing to do.
#[derive(Default)]
pub(crate) struct Plugin {
    pub(crate) gateway: Gateway,
    pub(crate) backend_metrics: BackendMetrics,
    last_logged: Cell<u64>,
}

impl Plugin {
    /// Takes the configuration. Envoy exits, or never opens the listener, when a module refuses its first one: then the
    /// module lets everything pass. A later one that is no good is refused, and Envoy goes on with what it has.
    fn configure(json: &[u8]) -> Option<Self> {
        let plugin = host::plugin_name();
        let configured = Mark::new(&plugin, "configured");
        let routes = match RouteTable::parse(json) {
            Ok(routes) => routes,
            Err(error) if configured.is_set() => {
                host::log_error(&format!(
                    "mooring: a new configuration is refused, the earlier one stays: {error}"
                ));
                return None;
            }
            Err(error) => {
                log_once(
                    &plugin,
                    "config",
                    &format!("mooring: off, all requests pass untouched: {error}"),
                );
                metrics::gauges(true, true, 0);
                return Some(Self::default());
            }
        };
        configured.set();
        let (keys, rejected) = read_keys(&plugin);
        metrics::gauges(keys.is_none(), false, rejected);
        Some(Self {
            backend_metrics: BackendMetrics::new(routes.len()),
            gateway: Gateway {
                routes,
                keys,
                ..Gateway::default()
            },
            last_logged: Cell::default(),
        })
    }

    /// Counts a request that passed without its session because something went wrong, and logs it if there was no such line
    /// lately.
    pub(crate) fn report(&self, error: HostError) {
        metrics::count_error();
        let now = Envoy.now().unwrap_or_default();
        if now.saturating_sub(self.last_logged.get()) >= LOG_INTERVAL {
            self.last_logged.set(now);
            host::log_error(&format!("mooring: a request passed without its session: {error}"));
        }
    }
}

/// The ring of the environment, as far as its entries are sound, and how many of them are not.
fn read_keys(plugin: &str) -> (Option<KeyRing>, usize) {
    let text = match std::env::var(KEYS_VARIABLE) {
        Ok(text) => text,
        Err(std::env::VarError::NotPresent) => String::new(),
        Err(std::env::VarError::NotUnicode(bytes)) => bytes.to_string_lossy().into_owned(),
    };
    let Reading { ring, rejected } = KeyRing::read(&text);
    let mut reasons: Vec<String> = rejected.iter().take(LOGGED_KEYS).map(ToString::to_string).collect();
    let what = match &ring {
        Some(_) if rejected.is_empty() => return (ring, 0),
        Some(_) => "some keys do not count, the others do",
        None => "sessions are off",
    };
    if rejected.is_empty() {
        reasons.push(InvalidKeys::Empty.to_string());
    }
    let reasons = reasons.join("; ");
    log_once(
        plugin,
        "keys",
        &format!("mooring: {what}: environment variable {KEYS_VARIABLE}: {reasons}"),
    );
    (ring, rejected.len())
}

/// Logs a line in one of the plugin's virtual machines: each worker thread has its own, and all of them say the same.
fn log_once(plugin: &str, topic: &str, message: &str) {
    let mark = Mark::new(plugin, topic);
    if !mark.is_set() {
        mark.set();
        host::log_error(message);
    }
}
