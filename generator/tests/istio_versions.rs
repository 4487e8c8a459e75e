//! `--istio-version`: what is generated for which Istio, and what is refused.

#![expect(clippy::needless_raw_string_hashes, reason = "snapbox writes them")]

mod common;

use common::{SHOP, classic::CLASSIC, mooring, shop_with};
use serde_json::{Value, json};
use snapbox::{IntoData as _, cmd::OutputAssert, str};

const VERSIONS: [&str; 10] = [
    "1.22", "1.23", "1.24", "1.25", "1.26", "1.27", "1.28", "1.29", "1.30", "1.31",
];

fn generate(version: &str, flags: &[&str], input: &str) -> OutputAssert {
    let run = mooring()
        .args(["generate", "-f", "-", "-o", "json", "--wasm", "https://x"])
        .args(["--istio-version", version]);
    run.args(flags).stdin(input).assert()
}

fn generated(version: &str, input: &str) -> Value {
    let run = generate(version, &[], input).code(0);
    serde_json::from_slice(&run.get_output().stdout).unwrap_or_default()
}

/// How the `EnvoyFilter` names the Services of its routes.
fn annotation(version: &str, input: &str) -> Option<String> {
    let value = generated(version, input);
    let items = value.get("items").and_then(Value::as_array);
    let filter = items.and_then(|items| items.iter().find(|item| item["kind"] == "EnvoyFilter"));
    let annotation = filter?.pointer("/metadata/annotations/envoyfilter.istio.io~1referenced-services")?;
    annotation.as_str().map(str::to_owned)
}

#[test]
fn services_of_inserted_routes_are_named_in_the_form_that_istiod_reads() {
    let host = "reviews.bookinfo.svc.cluster.local";
    for (position, version) in VERSIONS.into_iter().enumerate() {
        let expected = match position {
            0..4 => None,
            4..7 => Some(host.to_owned()),
            _ => Some(format!("bookinfo/{host}")),
        };
        assert_eq!(annotation(version, CLASSIC), expected, "{version}");
        assert_eq!(annotation(version, SHOP), None, "no patch names a cluster");
    }
    assert_eq!(annotation("1.26.8", CLASSIC), Some(host.to_owned()));
}

#[test]
fn headers_of_clients_are_removed_by_prefix_from_1_28_on() {
    let by_prefix = json!([{ "remove_on_match": { "key_matcher": { "prefix": "x-mooring-" } } }]);
    let by_name = json!([
        { "remove": "x-mooring-backend" },
        { "remove": "x-mooring-host" },
        { "remove": "x-mooring-host-strict" },
    ]);
    for (position, version) in VERSIONS.into_iter().enumerate() {
        let value = generated(version, SHOP);
        let mutations = "/items/0/spec/configPatches/0/patch/value/typed_config/early_header_mutation_extensions/0/\
                         typed_config/mutations";
        let expected = if position < 6 { &by_name } else { &by_prefix };
        assert_eq!(value.pointer(mutations), Some(expected), "{version}");
    }
}

#[test]
fn a_module_is_loaded_again_from_1_27_on() {
    for (position, version) in VERSIONS.into_iter().enumerate() {
        let run = generate(version, &["--fail-strategy", "reload"], SHOP);
        run.code(if position < 5 { 2 } else { 0 });
        for strategy in ["open", "close"] {
            generate(version, &["--fail-strategy", strategy], SHOP).code(0);
        }
    }
    generate("1.26", &["--fail-strategy", "reload"], SHOP)
        .stdout_eq("")
        .stderr_eq(
            str![[r#"
error: --fail-strategy reload needs Istio 1.27 or later, and --istio-version is 1.26: use open or close

Usage: mooring generate [OPTIONS] --wasm <URL|PATH> <--file <FILE|DIR|->|--from-cluster>

For more information, try '--help'.

"#]]
            .raw(),
        );
}

#[test]
fn every_version_takes_splits() {
    let split = shop_with(
        "      port: 80\n---",
        "      port: 80\n    - {name: api, port: 80}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: api, labels: \
         {istio.io/persistent-session: mooring}}\nspec: {ports: [{port: 80}]}\n---",
    );
    let newest = generated("1.31", &split);
    assert_eq!(newest.pointer("/items/1/kind"), Some(&json!("HTTPRoute")));
    let route = newest.pointer("/items/1/spec");
    for version in VERSIONS {
        let value = generated(version, &split);
        assert_eq!(value.pointer("/items/1/spec"), route, "{version}");
        assert_eq!(
            value.pointer("/items/2/spec/pluginConfig"),
            newest.pointer("/items/2/spec/pluginConfig")
        );
    }
}

#[test]
fn other_versions_are_not_known() {
    let run = generate("1.21", &[], SHOP).code(2);
    let stderr = common::said(&run);
    assert!(
        stderr.contains("`1.21` is not a version of Istio that Mooring knows: it knows 1.22 to 1.31"),
        "{stderr}"
    );
    let local = ["--target", "envoy", "--wasm", "x", "--istio-version", "1.30"];
    let run = mooring().args(["generate", "-f", "-"]).args(local).stdin(SHOP).assert();
    let stderr = common::said(&run.code(2));
    assert!(
        stderr.contains("--istio-version can only be used with --target istio"),
        "{stderr}"
    );
}
