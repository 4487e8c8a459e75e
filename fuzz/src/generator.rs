//! What holds for whatever the generator reads: it says what is wrong, and what it emits, the filter accepts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
};

use mooring_generator::{
    cli::Format,
    diagnostic::Report,
    emit::{FailStrategy, Output, envoy, istio},
    generate::{Target, generate},
    output,
    source::Sources,
    validate,
};
use mooring_policy::{
    config::{Config, Rule},
    rule::RouteTable,
};
use serde_json::Value;

/// Checks a text as the input of the command.
pub fn check(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let mut whole = Sources::default();
    whole.add("input.yaml", text.to_owned());

    let told = validate(&whole);
    let istio = run(&whole, &istio_newest());
    assert!(
        told["valid"] == true || istio.is_none(),
        "generated from what validate refuses"
    );
    let envoy = run(&whole, &local_envoy());
    if let Some(outputs) = &envoy {
        let [bootstrap] = outputs.as_slice() else {
            panic!("there is more than one bootstrap")
        };
        check_envoy(&bootstrap.value, istio.as_deref());
    }
    if let Some(outputs) = istio {
        check_istio(&outputs, text);
        check_promises(&told, &outputs);
        // The order of the documents, and in which files they are, means nothing.
        if let Some(reversed) = reversed(text) {
            assert_eq!(
                run(&reversed, &istio_newest()),
                Some(outputs),
                "another order, other objects"
            );
        }
    }
}

fn istio_newest() -> Target {
    Target::Istio(istio::Options {
        url: "oci://registry.example/mooring:1".to_owned(),
        sha256: None,
        gateway_namespace: None,
        fail_strategy: FailStrategy::Open,
        version: istio::IstioVersion::default(),
    })
}

fn local_envoy() -> Target {
    Target::Envoy(envoy::Options {
        wasm: "mooring.wasm".to_owned(),
        fail_strategy: FailStrategy::Reload,
        admin: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9901),
        listen: BTreeMap::new(),
    })
}

/// What `mooring validate` tells.
fn validate(sources: &Sources) -> Value {
    let mut report = Report::default();
    let validation = validate::validate(sources, &mut report);
    assert!(!validate::text(&validation, &report, sources).is_empty());
    let json = validate::json(&validation, &report, sources);
    let told: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(told["valid"], !report.has_errors());
    say(&report, sources);
    told
}

/// What is generated, unless the input is wrong.
fn run(sources: &Sources, target: &Target) -> Option<Vec<Output>> {
    let mut report = Report::default();
    let outputs = generate(sources, target, &mut report);
    say(&report, sources);
    if report.has_errors() {
        return None;
    }
    check_outputs(&outputs);
    Some(outputs)
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

/// Each object of Istio's two kinds, of one gateway after the other.
fn check_istio(outputs: &[Output], text: &str) {
    let grants = grants(text);
    for pair in outputs.chunks(2) {
        let [plugin, filter] = pair else {
            panic!("there is a WasmPlugin without an EnvoyFilter")
        };
        let config = plugin_config(plugin);
        let routes = filter.value["spec"]["configPatches"]
            .as_array()
            .expect("there are patches");
        let routes: Vec<&Value> = routes.iter().filter(|patch| patch["applyTo"] == "HTTP_ROUTE").collect();
        for rule in &config.rules {
            check_choice(rule, &routes);
            if let Some(grants) = &grants {
                check_namespaces(rule, grants);
            }
        }
    }
}

/// Every rule of which `mooring validate` tells that it keeps sessions on a gateway is in the plugin configuration of one.
fn check_promises(told: &Value, outputs: &[Output]) {
    let rules = rules_of_istio(outputs);
    for rule in told["rules"].as_array().into_iter().flatten() {
        let serves = rule["gateways"].as_array().is_some_and(|gateways| !gateways.is_empty());
        assert!(
            !serves || rules.contains(rule["id"].as_str().unwrap_or_default()),
            "{rule}"
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

/// The route chooses among the backends among which the filter chooses.
fn check_choice(rule: &Rule, routes: &[&Value]) {
    let hosts: Vec<Option<&str>> = match rule.virtual_hosts.as_slice() {
        [] => vec![None],
        hosts => hosts.iter().map(|host| Some(host.as_str())).collect(),
    };
    let clusters: BTreeMap<&str, String> = rule
        .backends
        .iter()
        .map(|backend| (backend.key.as_str(), cluster(&backend.key)))
        .collect();
    for host in hosts {
        let meant = |patch: &&&Value| {
            let virtual_host = &patch["match"]["routeConfiguration"]["vhost"];
            virtual_host["route"]["name"] == rule.route.as_str() && virtual_host["name"].as_str() == host
        };
        let patches: Vec<&&Value> = routes.iter().filter(meant).collect();
        let [patch] = patches.as_slice() else {
            panic!("{} has {} patches in {host:?}", rule.route, patches.len())
        };
        let expected = (clusters.len() > 1).then_some(&clusters);
        assert_eq!(choice(patch).as_ref(), expected, "{} in {host:?}", rule.route);
    }
}

/// The cluster in which Istio has a backend with this key.
fn cluster(key: &str) -> String {
    let (host, port) = key.rsplit_once(':').expect("it has a port");
    let (port, subset) = port.split_once('/').unwrap_or((port, ""));
    format!("outbound|{port}|{subset}|{host}")
}

/// The backends among which a patch lets Envoy choose, and the cluster of each. What every host of a cluster network ends in
/// is left out.
fn choice(patch: &Value) -> Option<BTreeMap<&str, String>> {
    let specifier = "/patch/value/route/inline_cluster_specifier_plugin/extension/typed_config";
    let tree = patch
        .pointer(specifier)?
        .pointer("/cluster_matcher/matcher_tree/exact_match_map/map")?;
    let clusters = tree.as_object()?.iter().map(|(key, action)| {
        let cluster = action["action"]["typed_config"]["cluster"].as_str().unwrap_or_default();
        (key.as_str(), cluster.trim_end_matches(".svc.cluster.local").to_owned())
    });
    Some(clusters.collect())
}

/// A route of Gateway API reaches the Services of another namespace by a `ReferenceGrant` only.
fn check_namespaces(rule: &Rule, grants: &[Value]) {
    let mut parts = rule.id.split('/');
    let (Some(kind @ ("HTTPRoute" | "GRPCRoute")), Some(namespace)) = (parts.next(), parts.next()) else {
        return;
    };
    for backend in &rule.backends {
        let (host, _) = backend.key.rsplit_once(':').expect("it has a port");
        let own = host.ends_with(&format!(".{namespace}"));
        let granted = || grants.iter().any(|grant| permits(grant, kind, namespace, host));
        assert!(own || granted(), "{} reaches {}", rule.id, backend.key);
    }
}

/// Every `ReferenceGrant`. None where the text is not of plain documents.
fn grants(text: &str) -> Option<Vec<Value>> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    while let Some(position) = objects.iter().position(|object| object["items"].is_array()) {
        if let Value::Array(items) = objects.swap_remove(position)["items"].take() {
            objects.extend(items);
        }
    }
    objects.retain(|object| object["kind"] == "ReferenceGrant");
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

/// Every plugin configuration in the bootstrap is one that the filter accepts, and has the rules that Istio's has.
fn check_envoy(bootstrap: &Value, istio: Option<&[Output]>) {
    let mut rules = BTreeSet::new();
    collect_rules(bootstrap, &mut rules);
    if let Some(outputs) = istio {
        assert_eq!(rules, rules_of_istio(outputs));
    }
}

fn collect_rules(value: &Value, rules: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(text) = fields
                .get("configuration")
                .and_then(|configuration| configuration["value"].as_str())
            {
                rules.extend(accepted(text).rules.into_iter().map(|rule| rule.id));
            }
            fields.values().for_each(|field| collect_rules(field, rules));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_rules(item, rules)),
        _ => {}
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
