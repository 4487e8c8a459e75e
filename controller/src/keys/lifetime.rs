//! How long tokens live, from the plugins that the gateways of a namespace run.

use mooring_generator::{cluster::PLUGINS, mesh::ROOT_NAMESPACE};
use mooring_policy::config::Config;
use serde_json::Value;

use crate::{key::Key, live::Objects};

/// After how many seconds each token of the proxies in a namespace has expired or been renewed. None: never, or it is unknown because no
/// plugin is there: its policies may be gone for a moment.
#[must_use]
pub fn longest_lifetime(namespace: &str, live: &Objects) -> Option<u64> {
    let reaches = |key: &Key| {
        key.namespace()
            .is_some_and(|of| of == namespace || of == ROOT_NAMESPACE)
    };
    let generated = live.generated.iter();
    let plugins = generated.filter(|(key, _)| key.kind.name == PLUGINS.name && reaches(key));
    let mut longest = None;
    for (_, plugin) in plugins {
        longest = longest.max(Some(of_config(plugin.data.pointer("/spec/pluginConfig")?)?));
    }
    longest
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
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::*;
    use crate::key::KindName;

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

    #[test]
    fn the_plugins_of_the_namespace_and_of_the_root_namespace_count() {
        let plugin = |namespace: &str, timeout: &str| {
            let kind = KindName::find(PLUGINS.group, PLUGINS.name).unwrap();
            let rule = json!({ "id": "HTTPRoute/shop/web#0", "route": "shop.web.0", "virtualHosts": ["*:80"],
                "backends": [{ "key": "web.shop:80" }], "session": { "name": "s", "absoluteTimeout": timeout } });
            let config = json!({ "version": mooring_policy::config::VERSION, "rules": [rule] });
            let object = DynamicObject {
                types: None,
                metadata: ObjectMeta::default(),
                data: json!({ "spec": { "pluginConfig": config } }),
            };
            (Key::new(kind, Some(namespace), "mooring-web"), Arc::new(object))
        };
        let lifetime = |plugins: &[(&str, &str)]| {
            let live = Objects {
                generated: plugins
                    .iter()
                    .map(|(namespace, timeout)| plugin(namespace, timeout))
                    .collect(),
                ..Objects::default()
            };
            longest_lifetime("shop", &live)
        };
        assert_eq!(lifetime(&[("shop", "1h"), ("other", "5h")]), Some(3_600));
        assert_eq!(lifetime(&[("shop", "1h"), ("istio-system", "2h")]), Some(7_200));
        assert_eq!(lifetime(&[("istio-system", "2h")]), Some(7_200));
        assert_eq!(
            lifetime(&[("other", "5h")]),
            None,
            "its plugin may be gone for a moment"
        );
    }
}
