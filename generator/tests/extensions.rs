//! The Envoy extensions that the output for each Istio names are compiled into the Envoy of that Istio. A rig with a stock Envoy
//! cannot show it: a stock Envoy has all of them.
//!
//! `data/istio-proxy-extensions.tsv` is the table of what Istio's Envoy has; `data/everything.yaml` makes the generator write all
//! that it can write.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use mooring_generator::{
    diagnostic::Report,
    emit::{FailStrategy, istio},
    generate::{TargetOptions, generate},
    mesh::Mesh,
    source::Sources,
};
use serde_json::Value;

const VERSIONS: [&str; 4] = ["1.28", "1.29", "1.30", "1.31"];

/// All that are in use. Another one is no fault: add it, once the table says that each Istio has it.
const IN_USE: [&str; 12] = [
    "envoy.filters.http.cors",
    "envoy.filters.http.fault",
    "envoy.filters.http.header_mutation",
    "envoy.filters.http.router",
    "envoy.filters.http.stateful_session",
    "envoy.filters.http.wasm",
    "envoy.filters.network.http_connection_manager",
    "envoy.http.early_header_mutation.header_mutation",
    "envoy.http.stateful_session.header",
    "envoy.retry_host_predicates.previous_hosts",
    "envoy.retry_priorities.previous_priorities",
    "envoy.wasm.runtime.v8",
];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(here(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    paths
}

/// Everything, and the examples.
fn inputs() -> Vec<PathBuf> {
    let examples = entries("../examples").into_iter();
    let examples = examples.filter(|path| path.is_dir() && !path.ends_with("generated"));
    examples.chain([here("tests/data/everything.yaml")]).collect()
}

/// The inputs in the corpora of the fuzz targets: a line is a JSON string whose characters are bytes.
fn corpora() -> Vec<Vec<u8>> {
    let dialects = [
        "backend_lb_policy",
        "canary_policy",
        "inline",
        "virtual_service",
        "x_backend_traffic_policy",
    ];
    let mut inputs = Vec::new();
    for dialect in dialects {
        let text = fs::read_to_string(here(&format!("../fuzz/corpus/{dialect}.jsonl"))).unwrap();
        assert!(!text.is_empty(), "{dialect}");
        for line in text.lines() {
            let input: String = serde_json::from_str(line).unwrap();
            inputs.push(input.chars().map(|byte| u8::try_from(byte).unwrap()).collect());
        }
    }
    inputs
}

/// For each extension the releases that have it.
fn table() -> BTreeMap<String, String> {
    let text = fs::read_to_string(here("tests/data/istio-proxy-extensions.tsv")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let (name, releases) = row.split_once('\t').unwrap();
        (name.to_owned(), releases.to_owned())
    })
    .collect()
}

/// The names of the extensions in what is generated for an Istio from a file or directory.
fn extensions(input: &Path, version: &str) -> BTreeSet<String> {
    extensions_of(input, &[], version)
}

/// The same, where the input `-` is this text.
fn extensions_of(input: &Path, mut stdin: &[u8], version: &str) -> BTreeSet<String> {
    let target = TargetOptions::Istio(istio::Options {
        url: "https://registry.example/mooring.wasm".to_owned(),
        sha256: None,
        fail_strategy: FailStrategy::Reload,
        version: version.parse().unwrap(),
        prunes: false,
        plugin: istio::Plugin::default(),
        metadata: istio::Metadata::default(),
    });
    let mut report = Report::default();
    let sources = Sources::read(&[input.to_owned()], &[], &mut stdin, &mut report);
    let mut found = BTreeSet::new();
    for output in generate(&sources, &target, &Mesh::default(), &mut report) {
        collect(&output.value, &mut found);
        // istiod makes a filter of a WasmPlugin, with this runtime.
        if output.value.get("kind").is_some_and(|kind| kind == "WasmPlugin") {
            found.extend(["envoy.filters.http.wasm", "envoy.wasm.runtime.v8"].map(str::to_owned));
        }
    }
    found
}

/// The extensions that a value names: by the type of their configuration, as a name, or as a key.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match (key.as_str(), field.as_str()) {
                    ("@type", Some(url)) => found.extend(extension_of(url)),
                    ("name", Some(name)) if name.starts_with("envoy.") => drop(found.insert(name.to_owned())),
                    (key, _) if key.starts_with("envoy.") => drop(found.insert(key.to_owned())),
                    _ => {}
                }
                collect(field, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// The extension that a type belongs to. The package of most is its name; None: it is a part of Envoy's core.
fn extension_of(url: &str) -> Option<String> {
    let name = url
        .strip_prefix("type.googleapis.com/")
        .unwrap_or_else(|| panic!("{url}"));
    if name == "envoy.config.route.v3.FilterConfig" {
        return None;
    }
    let package = name
        .strip_prefix("envoy.extensions.")
        .and_then(|rest| rest.split_once(".v3."));
    let (package, _) = package.unwrap_or_else(|| panic!("{url} is no type of an extension"));
    let package = package
        .replace("retry.host.", "retry_host_predicates.")
        .replace("retry.priority.", "retry_priorities.");
    Some(format!("envoy.{package}"))
}

#[test]
fn each_istio_has_the_extensions_of_its_output() {
    let table = table();
    for version in VERSIONS {
        for input in inputs() {
            for name in extensions(&input, version) {
                let releases = table.get(&name).map_or("", String::as_str);
                let has = releases == "all" || releases.split(' ').any(|release| release == version);
                assert!(
                    has,
                    "{}: Istio {version} does not have {name}, only: {releases:?}",
                    input.display()
                );
            }
        }
    }
}

/// Those that are not known to be in use.
fn others(mut extensions: BTreeSet<String>) -> BTreeSet<String> {
    extensions.retain(|name| !IN_USE.contains(&name.as_str()));
    extensions
}

/// So the comparison above leaves nothing out.
#[test]
fn everything_is_all_that_is_in_use() {
    let everything = here("tests/data/everything.yaml");
    for version in VERSIONS {
        let found = extensions(&everything, version);
        assert_eq!(
            found.iter().map(String::as_str).collect::<Vec<_>>(),
            IN_USE,
            "{version}"
        );
    }
    for input in inputs() {
        let other = others(extensions(&input, "1.31"));
        assert!(other.is_empty(), "{}: {other:?}", input.display());
    }
    for input in corpora() {
        let other = others(extensions_of(Path::new("-"), &input, "1.31"));
        assert!(other.is_empty(), "{}: {other:?}", String::from_utf8_lossy(&input));
    }
}

#[test]
fn the_table_goes_to_the_newest_istio_that_is_tested() {
    let table = table();
    let of = |name: &str| table.get(name).map(String::as_str);
    assert_eq!(table.len(), 244);
    // What splits by a cluster specifier would break on.
    assert_eq!(of("envoy.router.cluster_specifier_plugin.matcher"), Some("1.30 1.31"));
    let newest = istio::IstioVersion::default().to_string();
    assert_eq!(
        VERSIONS.last(),
        Some(&newest.as_str()),
        "a new Istio needs a column in the table"
    );
}
