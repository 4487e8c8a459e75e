//! What holds for whatever the generator reads: it says what is wrong, and what it emits, the filter accepts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
};

use mooring_generator::{
    diagnostic::{Diagnostic, Report, sarif::sarif},
    emit::{FailStrategy, Output, envoy, istio, target::Target},
    generate::{TargetOptions, generate},
    mesh::Mesh,
    omissions::Omitted,
    output::{self, format::Format},
    source::Sources,
    validate,
};
use mooring_policy::{
    config::{CanaryConfig, Config, RuleConfig},
    routes::RouteTable,
};
use serde_json::Value;

use crate::{reference, simulate};

/// Checks a text as the input of the command.
pub fn check(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let mut whole = Sources::default();
    whole.add("input.yaml", text.to_owned());

    let istio = run(&whole, &istio_newest());
    let envoy = run(&whole, &local_envoy());
    let validation = validate(&whole, Target::Istio, &istio);
    validate(&whole, Target::Envoy, &envoy);
    if let Some(outputs) = &envoy.outputs {
        let [bootstrap] = outputs.as_slice() else {
            panic!("there is more than one bootstrap")
        };
        check_envoy(&bootstrap.value, &envoy, &istio);
    }
    if let Some(outputs) = &istio.outputs {
        check_istio(outputs, text);
        check_promises(&validation, outputs, &istio.report);
        simulate::check(&whole);
        // The order of the documents, and in which files they are, means nothing, but that the first of one object holds.
        let duplicate = |found: &&Diagnostic| found.message().ends_with("is defined in two documents");
        if let Some(reversed) = reversed(text).filter(|_| !istio.report.sorted().iter().any(duplicate)) {
            let other = run(&reversed, &istio_newest()).outputs;
            assert!(other.as_ref() == Some(outputs), "another order, other objects");
        }
    }
}

/// What a run of the command comes to.
struct Run {
    /// What it writes. None: nothing.
    outputs: Option<Vec<Output>>,
    report: Report,
}

fn istio_newest() -> TargetOptions {
    TargetOptions::Istio(istio::Options {
        url: "oci://registry.example/mooring:1".to_owned(),
        // A module without a checksum is a finding that only a generation can have.
        sha256: Some("0".repeat(64)),
        fail_strategy: FailStrategy::Open,
        version: istio::IstioVersion::default(),
        prunes: false,
        plugin: istio::Plugin::default(),
        metadata: istio::Metadata::default(),
    })
}

fn local_envoy() -> TargetOptions {
    TargetOptions::Envoy(envoy::Options {
        wasm: "mooring.wasm".to_owned(),
        fail_strategy: FailStrategy::Reload,
        access_log: false,
        weight_metric: false,
        admin: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9901),
        listen: BTreeMap::new(),
    })
}

/// What `mooring validate` tells. It finds what the generation has found.
fn validate(sources: &Sources, target: Target, run: &Run) -> Value {
    let mut report = Report::default();
    let version = istio::IstioVersion::default();
    let validation = validate::validate(sources, target, version, &Mesh::default(), &mut report);
    assert_eq!(report.sorted(), run.report.sorted(), "validate and generate differ");
    let validations = [validation];
    assert!(!validate::text(&validations, &report, sources, true).is_empty());
    let json = validate::json(&validations, &report, sources);
    let validation: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(validation["valid"], !report.has_errors());
    let log: Value = serde_json::from_str(&sarif(&report, sources)).expect("it is JSON");
    assert_eq!(log["version"], "2.1.0");
    validation
}

/// What is generated. What is wrong is left out of it.
fn run(sources: &Sources, target: &TargetOptions) -> Run {
    let mut report = Report::default();
    let outputs = generate(sources, target, &Mesh::default(), &mut report);
    say(&report, sources);
    assert!(
        report.has_errors() || (report.omissions().is_empty() && !report.is_fatal()),
        "left out without a word: {}",
        report.omissions()
    );
    let outputs = (!report.is_fatal()).then_some(outputs);
    outputs.iter().for_each(|outputs| check_outputs(outputs));
    Run { outputs, report }
}

fn say(report: &Report, sources: &Sources) {
    for diagnostic in report.sorted() {
        let said = diagnostic.render(sources);
        // That is the last resort: what is wrong should have been found before, with its place.
        assert!(!said.contains("the filter would refuse"), "{said}");
    }
}

/// The texts are what was meant, and each object gets a file of its own.
fn check_outputs(outputs: &[Output]) {
    let mut stems = BTreeSet::new();
    for output in outputs {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        assert!(
            output.file_stem.bytes().all(plain) && stems.insert(&output.file_stem),
            "{}",
            output.file_stem
        );
        for format in [Format::Yaml, Format::Json] {
            let text = output::text(output, format).expect("it can be written");
            let read: Value = serde_saphyr::from_str(&text).expect("it is YAML");
            assert_eq!(read, output.value, "{text}");
        }
    }
}

/// Each gateway's filters first, then session routes, then each gateway's module.
fn check_istio(outputs: &[Output], text: &str) {
    let order = |output: &Output| match output.value["kind"].as_str() {
        Some("EnvoyFilter") => 0,
        Some("HTTPRoute" | "GRPCRoute") => 1,
        Some("WasmPlugin") => 2,
        kind => panic!("an object of the kind {kind:?}"),
    };
    assert!(outputs.is_sorted_by_key(order));
    let of_kind = |kind: usize| outputs.iter().filter(move |output| order(output) == kind);
    let objects = objects(text);
    let mut keys = Keys::default();
    for route in of_kind(1) {
        keys.add_route(&route.value, objects.as_deref());
    }
    let mut filters: Vec<&Value> = of_kind(0).map(|filter| &filter.value).collect();
    for plugin in of_kind(2) {
        let config = plugin_config(plugin);
        let (own, others) = filters
            .into_iter()
            .partition(|filter| is_filter_of(filter, &plugin.value));
        filters = others;
        let patches = Patches::new(&own);
        let hosts = config.rules.iter().flat_map(|rule| &rule.virtual_hosts);
        assert_eq!(patches.hosts, hosts.map(String::as_str).collect());
        let mut keys_of_patches = BTreeSet::new();
        for rule in &config.rules {
            check_weights(rule, &config.canaries);
            if rule.id.starts_with("VirtualService/") {
                let named = config.rules.iter().filter(|other| other.id == rule.id);
                let names: Vec<&str> = named.map(|other| other.route.as_str()).collect();
                keys_of_patches.extend(patches.check_rule(rule, &names));
            } else {
                keys.check_rule(rule);
            }
            if let Some(objects) = &objects {
                check_namespaces(rule, objects);
            }
        }
        let of_patches: BTreeSet<String> = patches.routes.iter().map(|route| route.key.to_owned()).collect();
        assert_eq!(of_patches, keys_of_patches);
        assert!(keys_of_patches.iter().all(|key| !keys.routes.contains_key(key)));
    }
    assert!(filters.is_empty(), "there is an EnvoyFilter without a WasmPlugin");
    keys.check_all_used();
}

/// Whether an `EnvoyFilter` is of the gateway of a `WasmPlugin`.
fn is_filter_of(filter: &Value, plugin: &Value) -> bool {
    let (filter, plugin) = (&filter["metadata"], &plugin["metadata"]);
    let number = filter["name"]
        .as_str()
        .zip(plugin["name"].as_str())
        .and_then(|(name, plugin)| name.strip_prefix(plugin)?.strip_prefix("-http"));
    let is_number = |text: &str| {
        let digits = text.strip_prefix('-');
        text.is_empty() || digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    filter["namespace"] == plugin["namespace"] && number.is_some_and(is_number)
}

/// Weights are those of the user's route, except for clients that the module itself places.
fn check_weights(rule: &RuleConfig, canaries: &[CanaryConfig]) {
    let places = rule.canary.as_ref().is_some_and(|of_rule| {
        let canary = &canaries[of_rule.position];
        let mut match_rules = canary.rules.iter().zip(&of_rule.backends);
        canary.hash_on.is_some() || match_rules.any(|(rule, backend)| rule.opt_in.is_some() && backend.is_some())
    });
    let mut weights = rule.backends.iter().map(|backend| backend.weight);
    assert!(weights.all(|weight| weight.is_some() == places), "{}", rule.id);
}

/// The keys of the backends of a rule, if it has session routes.
fn keys_of(rule: &RuleConfig) -> Vec<String> {
    let backends = rule.backends.iter().filter(|_| rule.backends.len() > 1);
    backends.map(|backend| format!("{}/{}", rule.id, backend.key)).collect()
}

/// The session routes that are objects, by their keys.
#[derive(Default)]
struct Keys {
    /// The rule that each belongs to, its backend, and whether a plugin asks for it.
    routes: BTreeMap<String, (String, Value, bool)>,
}

impl Keys {
    /// Adds those of an object, which is of the same kind, namespace and host names as the user's route.
    fn add_route(&mut self, route: &Value, objects: Option<&[Value]>) {
        let metadata = &route["metadata"];
        let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "mooring");
        let id = text(&metadata["annotations"]["mooring.dev/rule"]);
        let (kind, namespace) = (text(&route["kind"]), text(&metadata["namespace"]));
        let rest = id.strip_prefix(&format!("{kind}/{namespace}/"));
        let rest = rest.unwrap_or_else(|| panic!("{id} is a rule of another namespace than {namespace}"));
        assert!(text(&metadata["name"]).starts_with("mooring-"));
        let is_copy_of = |object: &Value| {
            let metadata = &object["metadata"];
            object["apiVersion"] == route["apiVersion"]
                && object["kind"] == kind.as_str()
                && metadata["name"].as_str() == rest.split(['#', '/']).next()
                && metadata["namespace"].as_str().unwrap_or("default") == namespace
                && object["spec"]["hostnames"] == route["spec"]["hostnames"]
        };
        assert!(
            objects.is_none_or(|objects| objects.iter().any(is_copy_of)),
            "{id} has no such route"
        );
        let rules = route["spec"]["rules"].as_array().expect("it has rules");
        let matches = rules.iter().map(|rule| rule["matches"].as_array().map_or(0, Vec::len));
        assert!((1..=16).contains(&rules.len()) && matches.sum::<usize>() <= 128);
        for rule in rules {
            self.add_rule(&id, rule);
        }
    }

    fn add_rule(&mut self, id: &str, rule: &Value) {
        let backends = rule["backendRefs"].as_array().expect("it has backends");
        let [backend] = backends.as_slice() else {
            panic!("a session route to {} backends", backends.len())
        };
        let matches = rule["matches"].as_array().expect("it has matches");
        let keys: BTreeSet<&str> = matches.iter().map(key_of).collect();
        let [key] = Vec::from_iter(keys)[..] else {
            panic!("a session route without one key: {rule}")
        };
        let new = (id.to_owned(), backend.clone(), false);
        assert!(
            self.routes.insert(key.to_owned(), new).is_none(),
            "{key} is there twice"
        );
    }

    /// Each backend of a rule with several has its own session route.
    fn check_rule(&mut self, rule: &RuleConfig) {
        let keys = keys_of(rule);
        for (key, backend) in keys.iter().zip(&rule.backends) {
            let (id, reference, used) = self.routes.get_mut(key).expect("it has a session route");
            assert_eq!(*id, rule.id);
            let namespace = rule.id.split('/').nth(1);
            let namespace = reference["namespace"].as_str().or(namespace);
            let service = format!(
                "{}.{}:{}",
                reference["name"].as_str().unwrap_or_default(),
                namespace.unwrap_or_default(),
                reference["port"]
            );
            assert_eq!(service, backend.key);
            *used = true;
        }
    }

    fn check_all_used(&self) {
        for (key, (_, _, used)) in &self.routes {
            assert!(used, "no plugin asks for {key}");
        }
    }
}

/// The key in a match of Gateway API.
fn key_of(one: &Value) -> &str {
    let headers = one["headers"].as_array().expect("it has headers");
    let keys: Vec<&Value> = headers
        .iter()
        .filter(|header| header["name"] == "x-mooring-backend")
        .collect();
    let [key] = keys.as_slice() else {
        panic!("a match with {} keys", keys.len())
    };
    assert!(key["type"].is_null() || key["type"] == "Exact");
    key["value"].as_str().expect("it is a text")
}

/// What the patches of a gateway say.
struct Patches<'a> {
    /// The virtual hosts where the module is on.
    hosts: BTreeSet<&'a str>,
    /// The session routes of `VirtualService`s.
    routes: Vec<RawRoute<'a>>,
}

struct RawRoute<'a> {
    host: &'a str,
    before: &'a str,
    key: &'a str,
    cluster: &'a str,
}

impl<'a> Patches<'a> {
    fn new(filters: &[&'a Value]) -> Self {
        let mut found = Self {
            hosts: BTreeSet::new(),
            routes: Vec::new(),
        };
        assert!(!filters.is_empty(), "there is a WasmPlugin without an EnvoyFilter");
        for filter in filters {
            for patch in filter["spec"]["configPatches"].as_array().into_iter().flatten() {
                found.add(patch);
            }
        }
        found
    }

    fn add(&mut self, patch: &'a Value) {
        let host = &patch["match"]["routeConfiguration"]["vhost"];
        let operation = patch["patch"]["operation"].as_str().unwrap_or_default();
        let kind = patch["applyTo"].as_str().unwrap_or_default();
        if kind != "HTTP_ROUTE" {
            assert!(!names_cluster(&patch["patch"]["value"]), "{patch}");
        }
        match (kind, operation) {
            ("NETWORK_FILTER" | "ROUTE_CONFIGURATION", "MERGE") => assert!(host.is_null(), "{patch}"),
            ("HTTP_FILTER", "INSERT_FIRST" | "INSERT_BEFORE") => assert!(host.is_null(), "{patch}"),
            ("VIRTUAL_HOST", "MERGE") => {
                let name = host["name"].as_str().expect("it names a virtual host");
                assert!(self.hosts.insert(name), "{name} has two patches");
            }
            ("HTTP_ROUTE", "INSERT_BEFORE") => {
                let value = &patch["patch"]["value"];
                let headers = value["match"]["headers"].as_array().map(Vec::as_slice);
                let headers = headers.unwrap_or_default().iter();
                let mut keys = headers.filter(|header| header["name"] == "x-mooring-backend");
                let (Some(header), None) = (keys.next(), keys.next()) else {
                    panic!("a session route without one key: {patch}")
                };
                let text = |value: &'a Value| value.as_str().expect("it is a text");
                self.routes.push(RawRoute {
                    host: text(&host["name"]),
                    before: name_before(&host["route"]),
                    key: text(&header["string_match"]["exact"]),
                    cluster: text(&value["route"]["cluster"]),
                });
            }
            _ => panic!("{patch}"),
        }
    }

    /// Each backend of a rule with several has a session route in each of its virtual hosts, before one of the rule's own
    /// routes, and to its own cluster. Returns their keys.
    fn check_rule(&self, rule: &RuleConfig, names: &[&str]) -> Vec<String> {
        let keys = keys_of(rule);
        for (key, backend) in keys.iter().zip(&rule.backends) {
            let clusters = reference::clusters(&backend.key).expect("it is a key of Istio's");
            for host in &rule.virtual_hosts {
                let of_key = |route: &&RawRoute| route.key == key && route.host == host;
                let mut routes = self.routes.iter().filter(of_key).peekable();
                assert!(routes.peek().is_some(), "{key} has no session route in {host}");
                for route in routes {
                    assert!(names.contains(&route.before), "{key} is before {}", route.before);
                    assert!(
                        clusters.iter().any(|cluster| cluster == route.cluster),
                        "{}",
                        route.cluster
                    );
                }
            }
        }
        keys
    }
}

/// The name of the route before which a patch inserts one. It is empty if that is any route that forwards requests.
fn name_before(route: &Value) -> &str {
    route["name"].as_str().unwrap_or_else(|| {
        assert_eq!(route["action"], "ROUTE");
        ""
    })
}

/// Whether something names a cluster.
fn names_cluster(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains("cluster") || names_cluster(value)),
        Value::Array(items) => items.iter().any(names_cluster),
        Value::String(text) => text.starts_with("outbound|"),
        _ => false,
    }
}

/// Every rule of which `mooring validate` tells that it keeps sessions on a gateway is in the plugin configuration of one,
/// unless it is said to be left out.
fn check_promises(validation: &Value, outputs: &[Output], report: &Report) {
    let rules = rules_of_istio(outputs);
    let is_left_out = |id: &str| {
        let on_gateway = format!("{id} on ");
        let mut names = report.omissions().names(Omitted::Rule);
        names.any(|name| name == id || name.starts_with(&on_gateway))
    };
    let whole = |rule: &Value| {
        let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let route = &rule["route"];
        let route = format!(
            "{}/{}/{}",
            name(&route["kind"]),
            name(&route["namespace"]),
            name(&route["name"])
        );
        report.omissions().names(Omitted::Route).any(|name| name == route)
    };
    for rule in validation["rules"].as_array().into_iter().flatten() {
        let serves = rule["gateways"].as_array().is_some_and(|gateways| !gateways.is_empty());
        let id = rule["id"].as_str().unwrap_or_default();
        assert!(
            !serves || rules.contains(id) || is_left_out(id) || whole(rule),
            "{rule}: {}",
            report.omissions()
        );
    }
}

fn rules_of_istio(outputs: &[Output]) -> BTreeSet<String> {
    let plugins = outputs.iter().filter(|output| output.value["kind"] == "WasmPlugin");
    let rules = plugins.flat_map(|plugin| plugin_config(plugin).rules);
    rules.map(|rule| rule.id).collect()
}

fn plugin_config(plugin: &Output) -> Config {
    accepted(&plugin.value["spec"]["pluginConfig"].to_string())
}

/// A route of Gateway API reaches the Services of another namespace by a `ReferenceGrant` only.
fn check_namespaces(rule: &RuleConfig, objects: &[Value]) {
    let mut parts = rule.id.split('/');
    let (Some(kind @ ("HTTPRoute" | "GRPCRoute")), Some(namespace)) = (parts.next(), parts.next()) else {
        return;
    };
    for backend in &rule.backends {
        let (host, _) = backend.key.rsplit_once(':').expect("it has a port");
        let own = host.ends_with(&format!(".{namespace}"));
        let mut grants = objects.iter().filter(|object| object["kind"] == "ReferenceGrant");
        let mut granted = || grants.any(|grant| permits(grant, kind, namespace, host));
        assert!(own || granted(), "{} reaches {}", rule.id, backend.key);
    }
}

/// Every object. None where the text is not of plain documents.
fn objects(text: &str) -> Option<Vec<Value>> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    while let Some(position) = objects.iter().position(|object| object["items"].is_array()) {
        if let Value::Array(items) = objects.swap_remove(position)["items"].take() {
            objects.extend(items);
        }
    }
    Some(objects)
}

/// Whether a `ReferenceGrant` permits routes of a kind in a namespace to refer to the Service with this host (GEP-709).
fn permits(grant: &Value, kind: &str, namespace: &str, host: &str) -> bool {
    let there = grant["metadata"]["namespace"].as_str().unwrap_or("default");
    let Some(service) = host.strip_suffix(&format!(".{there}")) else {
        return false;
    };
    let any = |field: &str, fits: &dyn Fn(&Value) -> bool| {
        let entries = grant["spec"][field].as_array();
        entries.is_some_and(|entries| entries.iter().any(fits))
    };
    any("from", &|from| {
        from["group"] == "gateway.networking.k8s.io" && from["kind"] == kind && from["namespace"] == namespace
    }) && any("to", &|to| {
        to["group"] == "" && to["kind"] == "Service" && (to["name"].is_null() || to["name"] == service)
    })
}

/// Every plugin configuration in the bootstrap is one that the filter accepts, has the rules that Istio's has, and each backend
/// of a rule with several has a session route in each of the rule's virtual hosts.
fn check_envoy(bootstrap: &Value, envoy: &Run, istio: &Run) {
    let mut rules = BTreeSet::new();
    let listeners = bootstrap["static_resources"]["listeners"].as_array();
    for listener in listeners.into_iter().flatten() {
        for chain in listener["filter_chains"].as_array().into_iter().flatten() {
            for filter in chain["filters"].as_array().into_iter().flatten() {
                check_manager(&filter["typed_config"], &mut rules);
            }
        }
    }
    if let Some(outputs) = &istio.outputs
        && !envoy.report.has_errors()
        && !istio.report.has_errors()
    {
        let of_istio = rules_of_istio(outputs);
        assert!(of_istio.is_subset(&rules));
        // A local Envoy serves Gateways of any class.
        let of_class = |found: &&Diagnostic| found.message().starts_with("no sessions are kept on Gateway");
        assert!(rules == of_istio || istio.report.sorted().iter().any(of_class));
    }
}

fn check_manager(manager: &Value, rules: &mut BTreeSet<String>) {
    let filters = manager["http_filters"].as_array().expect("it has filters");
    let hosts = manager["route_config"]["virtual_hosts"].as_array();
    let configuration = |filter: &Value| {
        let text = filter["typed_config"]["config"]["configuration"]["value"].as_str()?;
        Some(accepted(text))
    };
    let Some(config) = filters.iter().find_map(configuration) else {
        return;
    };
    for rule in config.rules {
        check_weights(&rule, &config.canaries);
        for host in hosts.into_iter().flatten() {
            if !rule.virtual_hosts.iter().any(|name| host["name"] == name.as_str()) {
                continue;
            }
            for (key, backend) in keys_of(&rule).iter().zip(&rule.backends) {
                let clusters = reference::clusters(&backend.key).expect("it is a key of Istio's");
                let routes = host["routes"].as_array().into_iter().flatten();
                let mut routes = routes.filter(|route| route["name"] == key.as_str()).peekable();
                assert!(routes.peek().is_some(), "{key} has no session route");
                for route in routes {
                    assert!(
                        clusters
                            .iter()
                            .any(|cluster| route["route"]["cluster"] == cluster.as_str())
                    );
                }
            }
        }
        rules.insert(rule.id);
    }
}

/// A plugin configuration, which the filter must accept.
fn accepted(json: &str) -> Config {
    if let Err(refusal) = RouteTable::parse(json.as_bytes()) {
        panic!("{refusal}: {json}");
    }
    serde_json::from_str(json).expect("it was accepted")
}

/// The documents in the opposite order, each in a file of its own. None where that could mean something else.
fn reversed(text: &str) -> Option<Sources> {
    if text.contains('%') {
        return None;
    }
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            documents.push(String::new());
        }
        documents.last_mut()?.push_str(line);
    }
    let has_content = |document: &String| {
        let mut lines = document
            .lines()
            .map(|line| line.strip_prefix("---").unwrap_or(line).trim());
        lines.any(|line| !line.is_empty() && !line.starts_with('#') && line != "...")
    };
    let mut sources = Sources::default();
    for (position, document) in documents.into_iter().filter(has_content).rev().enumerate() {
        sources.add(&format!("{position}.yaml"), document);
    }
    Some(sources)
}
