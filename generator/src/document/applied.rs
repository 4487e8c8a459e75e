//! What proxies run: the configuration of the module in the `WasmPlugin`s of the input, and the virtual hosts in which
//! the `EnvoyFilter`s enable it. Other commands skip these objects.

use std::collections::BTreeSet;

use mooring_policy::config::{self, Config};
use serde::Deserialize;
use serde_json::Value;

use super::{earlier::WASM_PLUGIN, split::split, text::Document};
use crate::{
    api::object::Metadata,
    emit::VERSION_ANNOTATION,
    id::Id,
    location::SourceLocation,
    source::{Home, Sources},
    yaml,
};

/// The kind of object that enables the module in virtual hosts.
pub const ENVOY_FILTER: &str = "EnvoyFilter";

/// The objects of the input that proxies run.
#[derive(Debug, Default)]
pub struct Applied {
    /// The configurations of the module.
    pub plugins: Vec<AppliedPlugin>,
    /// The `EnvoyFilter`s of Mooring.
    pub filters: Vec<AppliedFilter>,
}

/// A `WasmPlugin` with a configuration of the module.
#[derive(Debug)]
pub struct AppliedPlugin {
    /// Its namespace and name.
    pub id: Id,
    /// The position of its name.
    pub location: SourceLocation,
    /// The release of Mooring that generated it, if it says so.
    pub release: Option<String>,
    /// The configuration.
    pub config: Result<Config, UnreadableConfig>,
}

/// Why this release cannot read a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableConfig {
    /// It has another version.
    #[error(
        "its configuration has version {found}, and this release of Mooring reads version {}",
        config::VERSION
    )]
    Version {
        /// The version.
        found: u64,
    },
    /// It is not a configuration.
    #[error("its configuration cannot be read: {0}")]
    Invalid(String),
}

/// An `EnvoyFilter` of Mooring.
#[derive(Debug)]
pub struct AppliedFilter {
    /// Its namespace and name.
    pub id: Id,
    /// The names of the virtual hosts in which it enables filters.
    pub virtual_hosts: BTreeSet<String>,
}

impl Applied {
    /// The objects in the input and, if a cluster was read, in the cluster. A text that cannot be read contributes none.
    #[must_use]
    pub fn read(sources: &Sources) -> Self {
        let mut applied = Self::default();
        let in_cluster = sources.earlier().filter(|(_, _, home)| *home == Home::Cluster);
        let texts = sources.texts().chain(in_cluster.map(|(file, text, _)| (file, text)));
        for (file, text) in texts.filter(|(_, text)| text.contains(WASM_PLUGIN) || text.contains(ENVOY_FILTER)) {
            for document in split(file, sources.name(file), text) {
                let object: Object = document.parse(yaml::lenient()).unwrap_or_default();
                applied.collect(object, &document);
            }
        }
        applied
    }

    fn collect(&mut self, object: Object, document: &Document) {
        for item in object.items.into_iter().flatten() {
            self.collect(item, document);
        }
        let (Some(metadata), Some(spec)) = (object.metadata, object.spec) else {
            return;
        };
        match object.kind.as_str() {
            WASM_PLUGIN => self.plugins.extend(plugin(&metadata, spec, document)),
            ENVOY_FILTER if metadata.is_generated() => self.filters.push(AppliedFilter {
                id: metadata.id(),
                virtual_hosts: spec
                    .config_patches
                    .into_iter()
                    .flatten()
                    .filter_map(|patch| virtual_host(&patch))
                    .collect(),
            }),
            _ => {}
        }
    }
}

/// The plugin, if its configuration looks like one of the module.
fn plugin(metadata: &Metadata, spec: Spec, document: &Document) -> Option<AppliedPlugin> {
    let raw = spec.plugin_config?;
    let looks_like_ours = ["version", "rules"].iter().all(|field| raw.get(field).is_some());
    if !metadata.is_generated() && !looks_like_ours {
        return None;
    }
    let release = metadata.annotations.get(VERSION_ANNOTATION);
    Some(AppliedPlugin {
        id: metadata.id(),
        location: document.offset.location(&metadata.name),
        release: release.map(str::to_owned),
        config: read_config(raw),
    })
}

fn read_config(raw: Value) -> Result<Config, UnreadableConfig> {
    // Another version may have other fields, so its number comes first.
    match raw.get("version").and_then(Value::as_u64) {
        Some(found) if found != u64::from(config::VERSION) => Err(UnreadableConfig::Version { found }),
        _ => serde_json::from_value(raw).map_err(|error| UnreadableConfig::Invalid(error.to_string())),
    }
}

/// The virtual host of a patch.
fn virtual_host(patch: &Value) -> Option<String> {
    let of_host = patch.get("applyTo").and_then(Value::as_str) == Some("VIRTUAL_HOST");
    let name = patch
        .pointer("/match/routeConfiguration/vhost/name")
        .filter(|_| of_host)?;
    name.as_str().map(str::to_owned)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    kind: String,
    metadata: Option<Metadata>,
    spec: Option<Spec>,
    items: Option<Vec<Object>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    plugin_config: Option<Value>,
    config_patches: Option<Vec<Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  annotations: {mooring.dev/version: 0.0.9}
  labels: {app.kubernetes.io/managed-by: mooring}
  name: mooring-web
  namespace: shop
spec:
  pluginConfig:
    version: 3
    rules:
    - {id: HTTPRoute/shop/web#0, route: shop.web.0, virtualHosts: ['*:80'], backends: [{key: 'web.shop:80'}]}
";

    fn read(text: &str) -> Applied {
        let mut sources = Sources::default();
        sources.add("applied.yaml", text.to_owned());
        Applied::read(&sources)
    }

    #[test]
    fn a_plugin_is_read_with_its_location_and_release() {
        let applied = read(&format!("# first\n---\n{PLUGIN}"));
        let [plugin] = applied.plugins.as_slice() else {
            panic!("{applied:?}")
        };
        assert_eq!(
            (plugin.id.to_string(), plugin.location.line),
            ("shop/mooring-web".to_owned(), 8)
        );
        assert_eq!(plugin.release.as_deref(), Some("0.0.9"));
        assert_eq!(plugin.config.as_ref().unwrap().rules.len(), 1);
        let listed = read(&format!(
            "kind: List\nitems:\n- {}",
            PLUGIN.trim_end().replace('\n', "\n  ")
        ));
        assert_eq!(listed.plugins.len(), 1);
    }

    #[test]
    fn another_version_and_an_unknown_field_are_told_apart() {
        let reason = |text: &str| read(text).plugins.remove(0).config.unwrap_err().to_string();
        let newer = reason(&PLUGIN.replace("version: 3", "version: 4").replace("route:", "routes:"));
        assert_eq!(
            newer,
            "its configuration has version 4, and this release of Mooring reads version 3"
        );
        let unknown = reason(&PLUGIN.replace("route:", "routes:"));
        assert!(unknown.contains("unknown field `routes`"), "{unknown}");
    }

    #[test]
    fn plugins_of_others_are_not_read() {
        let other = "kind: WasmPlugin\nmetadata: {name: auth}\nspec: {pluginConfig: {version: 1}}\n";
        assert!(read(other).plugins.is_empty());
        assert!(read("kind: WasmPlugin\nspec: {}\n").plugins.is_empty());
    }

    #[test]
    fn filters_name_the_virtual_hosts_that_they_enable() {
        let filter = "\
kind: EnvoyFilter
metadata: {name: mooring-web-http, labels: {app.kubernetes.io/managed-by: mooring}}
spec:
  configPatches:
  - {applyTo: HTTP_FILTER, match: {context: GATEWAY}}
  - {applyTo: VIRTUAL_HOST, match: {routeConfiguration: {vhost: {name: '*:80'}}}, patch: {operation: MERGE}}
";
        let applied = read(filter);
        let [filter] = applied.filters.as_slice() else {
            panic!("{applied:?}")
        };
        assert_eq!(filter.virtual_hosts.iter().collect::<Vec<_>>(), ["*:80"]);
    }
}
