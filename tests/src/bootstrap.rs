//! An Envoy bootstrap: what a test changes in it, and how it is split into files that Envoy watches.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Map, Value, json};

use crate::{pod::HEALTH, scratch};

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const EXTENSION: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
const ASSIGNMENT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";

/// A complete Envoy configuration, as `mooring generate --target envoy -o json` prints it.
#[derive(Clone, Debug)]
pub struct Bootstrap(Value);

impl Bootstrap {
    /// Reads one.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).map(Self)
    }

    /// The whole of it.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The whole of it, to change.
    pub fn json_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// The one wasm filter's plugin. None or several are a failure.
    pub fn module(&mut self) -> Module<'_> {
        let mut found = Vec::new();
        collect(&mut self.0, WASM, &mut found);
        // Routes that turn the filter on name it, too.
        found.retain(|filter| filter.contains_key("config"));
        assert!(found.len() <= 1, "{} wasm filters where one is wanted", found.len());
        let plugin = found.pop().and_then(|filter| filter.get_mut("config"));
        Module(
            plugin
                .and_then(Value::as_object_mut)
                .expect("a wasm filter with a plugin"),
        )
    }

    /// The one cluster whose name contains `part`. None or several are a failure.
    pub fn cluster(&mut self, part: &str) -> &mut Map<String, Value> {
        let named = |cluster: &&mut Map<String, Value>| name_of(cluster).contains(part);
        let mut found: Vec<_> = self.clusters().into_iter().filter(named).collect();
        assert!(found.len() <= 1, "{} clusters match {part}", found.len());
        found.pop().unwrap_or_else(|| panic!("no cluster matches {part}"))
    }

    /// All clusters.
    pub fn clusters(&mut self) -> Vec<&mut Map<String, Value>> {
        let clusters = self.0.pointer_mut("/static_resources/clusters");
        let clusters = clusters.and_then(Value::as_array_mut).into_iter().flatten();
        clusters.filter_map(Value::as_object_mut).collect()
    }

    /// Lets Envoy ask every pod every 0.1 s how it is; one answer is enough to change its mind, and every worker learns
    /// of it at once.
    pub fn check_health(&mut self) {
        for cluster in self.clusters() {
            let common = cluster.entry("common_lb_config").or_insert_with(|| json!({}));
            if let Some(common) = common.as_object_mut() {
                // Otherwise workers may balance for a second by what they knew before.
                common.insert("update_merge_window".to_owned(), json!("0s"));
            }
            cluster.insert(
                "health_checks".to_owned(),
                json!([{
                    "timeout": "2s",
                    "interval": "0.1s",
                    // Without these, Envoy asks a cluster that has seen no request yet once a minute.
                    "no_traffic_interval": "0.1s",
                    "no_traffic_healthy_interval": "0.1s",
                    "unhealthy_threshold": 1,
                    "healthy_threshold": 1,
                    "http_health_check": {"path": HEALTH},
                }]),
            );
        }
    }

    /// Moves listeners, clusters and endpoints out into files in `directory` that Envoy watches.
    pub(crate) fn split(mut self, directory: &Path) -> (Self, Resources) {
        let mut files = BTreeMap::new();
        let mut clusters = self.take("clusters");
        for cluster in &mut clusters {
            if let Some((name, assignment)) = take_endpoints(cluster, directory) {
                files.insert(File::Endpoints(name), discovery(ASSIGNMENT, vec![assignment]));
            }
        }
        if let Some((name, module)) = take_module(&mut self.0, directory) {
            let resource = json!({"name": name, "typed_config": module});
            files.insert(File::Module(name), discovery(EXTENSION, vec![resource]));
        }
        let listeners = self.take("listeners");
        files.insert(File::Clusters, discovery(CLUSTER, clusters));
        files.insert(File::Listeners, discovery(LISTENER, listeners));
        let root = self.0.as_object_mut().expect("a bootstrap is an object");
        root.insert(
            "dynamic_resources".to_owned(),
            json!({
                "lds_config": source(directory, &File::Listeners),
                "cds_config": source(directory, &File::Clusters),
            }),
        );
        if !root.contains_key("node") {
            root.insert("node".to_owned(), json!({"id": "test", "cluster": "test"}));
        }
        (self, Resources(files))
    }

    fn take(&mut self, kind: &str) -> Vec<Value> {
        let list = self.0.pointer_mut(&format!("/static_resources/{kind}"));
        match list.map(Value::take) {
            Some(Value::Array(resources)) => resources,
            _ => Vec::new(),
        }
    }
}

/// The plugin of the wasm filter.
pub struct Module<'a>(&'a mut Map<String, Value>);

impl Module<'_> {
    /// What happens after a trap, such as `FAIL_CLOSED`: every later request is answered by 503, so that no trap stays
    /// unseen.
    pub fn failure_policy(self, policy: &str) -> Self {
        self.0.remove("reload_config");
        self.0.insert("failure_policy".to_owned(), json!(policy));
        self
    }

    /// The plugin configuration, as JSON.
    pub fn read_configuration(&self) -> String {
        let configuration = self.0.get("configuration").and_then(|any| any.get("value"));
        match configuration.expect("a plugin configuration") {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The file that the module is read from.
    pub fn file(self, path: &Path) -> Self {
        let code = json!({"local": {"filename": path}});
        if let Some(machine) = self.0.get_mut("vm_config").and_then(Value::as_object_mut) {
            machine.insert("code".to_owned(), code);
        }
        self
    }

    /// Replaces the plugin configuration by any text.
    pub fn configuration(self, text: &str) -> Self {
        let any = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text});
        self.0.insert("configuration".to_owned(), any);
        self
    }
}

/// The resources of a split bootstrap, by file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources(BTreeMap<File, Value>);

/// A watched file. The order is that in which Envoy wants updates: what is named comes before what names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum File {
    /// The endpoints of one cluster.
    Endpoints(String),
    /// All clusters.
    Clusters,
    /// The module and its configuration, by the name of the filter.
    Module(String),
    /// All listeners.
    Listeners,
}

impl File {
    /// What Envoy calls the subscription in its stats.
    pub(crate) fn stats_prefix(&self) -> String {
        match self {
            // Envoy writes the colons of a cluster's name as underscores there.
            Self::Endpoints(cluster) => format!("cluster.{}", cluster.replace(':', "_")),
            Self::Clusters => "cluster_manager.cds".to_owned(),
            Self::Module(filter) => format!("extension_config_discovery.http_filter.{filter}"),
            Self::Listeners => "listener_manager.lds".to_owned(),
        }
    }

    fn name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        match self {
            Self::Endpoints(cluster) => format!("endpoints-{}.json", cluster.chars().map(plain).collect::<String>()),
            Self::Clusters => "clusters.json".to_owned(),
            Self::Module(_) => "module.json".to_owned(),
            Self::Listeners => "listeners.json".to_owned(),
        }
    }
}

impl Resources {
    /// Writes all files.
    pub(crate) fn write(&self, directory: &Path) {
        for file in self.0.keys() {
            self.write_one(file, directory);
        }
    }

    /// Writes one of the files, in one step.
    pub(crate) fn write_one(&self, file: &File, directory: &Path) {
        if let Some(response) = self.0.get(file) {
            scratch::replace(&directory.join(file.name()), &response.to_string());
        }
    }

    /// Takes one file over from `next`.
    pub(crate) fn take_over(&mut self, file: &File, next: &Self) {
        if let Some(response) = next.0.get(file) {
            self.0.insert(file.clone(), response.clone());
        }
    }

    /// The files that are new or differ from `old`, and which of them existed there.
    pub(crate) fn changed_from(&self, old: &Self) -> BTreeSet<(File, bool)> {
        let changed = self
            .0
            .iter()
            .filter(|(file, response)| old.0.get(file) != Some(response));
        changed
            .map(|(file, _)| (file.clone(), old.0.contains_key(file)))
            .collect()
    }
}

/// Replaces the endpoints inside a cluster by a subscription to a file; what the file holds comes back.
fn take_endpoints(cluster: &mut Value, directory: &Path) -> Option<(String, Value)> {
    let cluster = cluster.as_object_mut()?;
    let name = name_of(cluster).to_owned();
    let mut assignment = cluster.remove("load_assignment")?;
    assignment
        .as_object_mut()?
        .insert("cluster_name".to_owned(), json!(name));
    let file = File::Endpoints(name.clone());
    cluster.insert("type".to_owned(), json!("EDS"));
    cluster.insert(
        "eds_cluster_config".to_owned(),
        json!({"eds_config": source(directory, &file)}),
    );
    Some((name, assignment))
}

/// Replaces the wasm filter by a subscription to a file, as a `WasmPlugin` does; the filter's name and what the file holds
/// come back.
fn take_module(bootstrap: &mut Value, directory: &Path) -> Option<(String, Value)> {
    let listeners = bootstrap.pointer_mut("/static_resources/listeners")?.as_array_mut()?;
    let filters = listeners
        .iter_mut()
        .filter_map(|listener| listener.pointer_mut("/filter_chains/0/filters/0/typed_config/http_filters"));
    let mut filters = filters.filter_map(Value::as_array_mut).flatten();
    let filter = filters.find(|filter| filter.pointer("/typed_config/@type").is_some_and(|kind| kind == WASM))?;
    let filter = filter.as_object_mut()?;
    let name = filter.get("name")?.as_str()?.to_owned();
    let module = filter.remove("typed_config")?;
    let file = File::Module(name.clone());
    filter.insert(
        "config_discovery".to_owned(),
        json!({"config_source": source(directory, &file), "type_urls": [WASM]}),
    );
    Some((name, module))
}

fn source(directory: &Path, file: &File) -> Value {
    json!({
        "path_config_source": {
            "path": directory.join(file.name()),
            "watched_directory": {"path": directory},
        },
        "resource_api_version": "V3",
    })
}

fn discovery(kind: &str, resources: Vec<Value>) -> Value {
    let typed = resources.into_iter().map(|mut resource| {
        if let Some(resource) = resource.as_object_mut() {
            resource.insert("@type".to_owned(), json!(kind));
        }
        resource
    });
    json!({"resources": typed.collect::<Vec<_>>()})
}

fn name_of(cluster: &Map<String, Value>) -> &str {
    cluster.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// All objects of a type, wherever they are.
fn collect<'a>(value: &'a mut Value, kind: &str, found: &mut Vec<&'a mut Map<String, Value>>) {
    match value {
        Value::Object(object) => {
            if object.get("@type").is_some_and(|found| found == kind) {
                found.push(object);
            } else {
                object.values_mut().for_each(|inner| collect(inner, kind, found));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| collect(inner, kind, found)),
        _ => {}
    }
}
