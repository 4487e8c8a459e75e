//! What earlier runs have generated: the routes whose rules each `WasmPlugin` holds. Nothing of it is input.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Document, Origin, split::split};
use crate::{
    inventory::{DEFAULT_NAMESPACE, Id},
    kind::Kind,
    plan::route_of,
    source::{Home, Place, Sources},
    wire::Field,
    yaml,
};

/// The kind of object that holds the rules of a gateway.
pub const WASM_PLUGIN: &str = "WasmPlugin";

/// A `WasmPlugin` that an earlier run has generated.
#[derive(Debug)]
pub struct Earlier {
    /// Who it is.
    pub id: Id,
    /// Where it is.
    pub home: Home,
    /// The routes whose rules it holds, each with the place of the first of these rules.
    pub routes: BTreeMap<(Kind, Id), Place>,
}

impl Earlier {
    /// Every `WasmPlugin` of the texts that are no input. A text that cannot be read has none.
    #[must_use]
    pub fn read(sources: &Sources) -> Vec<Self> {
        let texts = sources.earlier().filter(|(_, text, _)| text.contains(WASM_PLUGIN));
        let mut found = Vec::new();
        for (file, text, home) in texts {
            for document in split(file, sources.name(file), text) {
                let object: Object = document.parse(yaml::lenient()).unwrap_or_default();
                object.collect(&document, home, &mut found);
            }
        }
        found
    }
}

/// An object, as far as it tells what it holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    kind: String,
    metadata: Metadata,
    spec: Spec,
    items: Vec<Object>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    plugin_config: PluginConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PluginConfig {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    id: Field<String>,
}

impl Object {
    fn collect(self, document: &Document, home: Home, found: &mut Vec<Earlier>) {
        for item in self.items {
            item.collect(document, home, found);
        }
        if self.kind != WASM_PLUGIN {
            return;
        }
        let namespace = self.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        found.push(Earlier {
            id: Id::new(namespace, &self.metadata.name),
            home,
            routes: routes(&self.spec.plugin_config.rules, document.origin),
        });
    }
}

fn routes(rules: &[Rule], origin: Origin) -> BTreeMap<(Kind, Id), Place> {
    let mut routes = BTreeMap::new();
    for rule in rules {
        if let Some(route) = route_of(&rule.id.value) {
            routes.entry(route).or_insert_with(|| origin.place(&rule.id));
        }
    }
    routes
}
