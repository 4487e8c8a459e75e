//! The root context: loads a configuration when Envoy delivers it.
//!
//! Envoy creates a new root context for each configuration and drops the old one after its last request.

use std::rc::Rc;

use mooring_policy::{
    gateway::Gateway,
    internal_headers::ACCESS_LOG_FILTER_STATE,
    keys::{InvalidKeys, KeyRing, ParsedRing},
    routes::RouteTable,
};
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};

use crate::{
    host::{self, SharedFlag},
    metrics,
    plugin::Plugin,
    stream::Stream,
};

/// The environment variable with the key ring.
const KEYS_VARIABLE: &str = mooring_policy::keys::ENVIRONMENT_VARIABLE;

/// The maximum number of invalid keys that the log describes.
const MAX_LOGGED_KEYS: usize = 8;

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
        let Some(plugin) = load(&configuration) else {
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

/// Loads a configuration. If the module refused its first configuration, Envoy would exit or never open the listener; therefore
/// the module loads an empty one instead. An invalid later configuration is refused, and Envoy keeps the previous one.
fn load(json: &[u8]) -> Option<Plugin> {
    let plugin = host::plugin_name();
    let configured = SharedFlag::new(&plugin, "configured");
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
            metrics::set_gauges(true, true, 0);
            return Some(Plugin::default());
        }
    };
    configured.set();
    if routes.has_access_log() {
        host::declare_text(ACCESS_LOG_FILTER_STATE);
    }
    let (keys, rejected) = read_keys(&plugin);
    metrics::set_gauges(keys.is_none(), false, rejected);
    metrics::set_weights(&plugin, &routes);
    Some(Plugin::new(Gateway {
        routes,
        keys,
        ..Gateway::default()
    }))
}

/// The valid keys of the environment, and the number of invalid ones.
fn read_keys(plugin: &str) -> (Option<KeyRing>, usize) {
    let text = match std::env::var(KEYS_VARIABLE) {
        Ok(text) => text,
        Err(std::env::VarError::NotPresent) => String::new(),
        Err(std::env::VarError::NotUnicode(bytes)) => bytes.to_string_lossy().into_owned(),
    };
    let ParsedRing { ring, rejected } = KeyRing::parse_lossy(&text);
    let mut reasons: Vec<String> = rejected.iter().take(MAX_LOGGED_KEYS).map(ToString::to_string).collect();
    let effect = match &ring {
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
        &format!("mooring: {effect}: environment variable {KEYS_VARIABLE}: {reasons}"),
    );
    (ring, rejected.len())
}

/// Logs a line in only one VM of the plugin. Each worker thread has a VM, and all of them would log the same line.
fn log_once(plugin: &str, topic: &str, message: &str) {
    let logged = SharedFlag::new(plugin, topic);
    if !logged.is_set() {
        logged.set();
        host::log_error(message);
    }
}
