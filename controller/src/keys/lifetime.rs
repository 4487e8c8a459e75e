//! How long tokens live, from the plugins that the gateways of a namespace run.

use mooring_policy::config::Config;
use serde_json::Value;

use crate::live::Objects;

/// After how many seconds each token of the gateways in a namespace has expired or been renewed. None: never.
#[must_use]
pub fn longest_lifetime(namespace: &str, live: &Objects) -> Option<u64> {
    let generated = live.generated.iter();
    let plugins = generated.filter(|(key, _)| key.kind.name == "WasmPlugin" && key.namespace() == Some(namespace));
    let mut longest = 0;
    for (_, plugin) in plugins {
        longest = longest.max(of_config(plugin.data.pointer("/spec/pluginConfig")?)?);
    }
    Some(longest)
}

/// Responses renew the tokens of sessions with an idle timeout. Others keep their first token.
fn of_config(config: &Value) -> Option<u64> {
    let config: Config = serde_json::from_value(config.clone()).ok()?;
    let mut longest = 0;
    for session in config.rules.iter().filter_map(|rule| rule.session.as_ref()) {
        let timeout = session.idle_timeout.or(session.absolute_timeout)?;
        longest = longest.max(timeout.whole_seconds().ok()?);
    }
    Some(longest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_lifetime_counts() {
        let config =
            |sessions: &[Value]| {
                let rules = sessions.iter().map(|session| {
                let mut rule = json!({ "id": "HTTPRoute/shop/web#0", "route": "shop.web.0", "virtualHosts": ["*:80"],
                    "backends": [{ "key": "web.shop:80" }], "session": { "name": "s" } });
                rule["session"].as_object_mut().unwrap().extend(session.as_object().unwrap().clone());
                rule
            });
                of_config(&json!({ "version": mooring_policy::config::VERSION, "rules": rules.collect::<Vec<_>>() }))
            };
        let absolute = json!({ "absoluteTimeout": "1h" });
        let idle = json!({ "absoluteTimeout": "24h", "idleTimeout": "10m" });
        assert_eq!(config(&[absolute.clone(), idle.clone()]), Some(3_600));
        assert_eq!(config(&[idle]), Some(600));
        assert_eq!(config(&[absolute, json!({})]), None);
        assert_eq!(config(&[]), Some(0));
    }
}
