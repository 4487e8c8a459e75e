//! The output of earlier runs: the routes whose rules each `WasmPlugin` holds. None of it is input.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{split::split, text::Document};
use crate::{
    api::field::Field,
    id::{DEFAULT_NAMESPACE, Id},
    kind::Kind,
    location::{DocumentOffset, SourceLocation},
    rule_id::route_of_rule,
    source::{Home, Sources},
    yaml,
};

/// The kind of object that holds the rules of a gateway.
pub const WASM_PLUGIN: &str = "WasmPlugin";

/// A `WasmPlugin` that an earlier run generated.
#[derive(Debug)]
pub struct Earlier {
    /// Its namespace and name.
    pub id: Id,
    /// Where it was found.
    pub home: Home,
    /// The routes whose rules it holds, each with the location of its first rule.
    pub routes: BTreeMap<(Kind, Id), SourceLocation>,
}

impl Earlier {
    /// Every `WasmPlugin` in the texts that are not input. A text that cannot be read contributes none.
    #[must_use]
    pub fn read(sources: &Sources) -> Vec<Self> {
        let mut found = Vec::new();
        let texts = sources.earlier().filter(|(_, text, _)| text.contains(WASM_PLUGIN));
        for (file, text, home) in texts {
            for document in split(file, sources.name(file), text) {
                let object: Object = document.parse(yaml::lenient()).unwrap_or_default();
                object.collect(&document, home, &mut found);
            }
        }
        found
    }
}

/// The fields of an object that say what it holds.
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
            routes: routes(&self.spec.plugin_config.rules, document.offset),
        });
    }
}

fn routes(rules: &[Rule], offset: DocumentOffset) -> BTreeMap<(Kind, Id), SourceLocation> {
    let mut routes = BTreeMap::new();
    for rule in rules {
        if let Some(route) = route_of_rule(&rule.id.value) {
            routes.entry(route).or_insert_with(|| offset.location(&rule.id));
        }
    }
    routes
}
