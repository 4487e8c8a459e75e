//! `--istio-version`: what is generated for which Istio, and what is refused.

#![expect(clippy::needless_raw_string_hashes, reason = "snapbox writes them")]

mod common;

use common::{SHOP, mooring, shop_with};
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

fn annotation(version: &str) -> Option<String> {
    let run = generate(version, &[], SHOP).code(0);
    let value: Value = serde_json::from_slice(&run.get_output().stdout).unwrap_or_default();
    assert_eq!(value.pointer("/items/1/kind"), Some(&json!("EnvoyFilter")));
    let annotation = value.pointer("/items/1/metadata/annotations/envoyfilter.istio.io~1referenced-services")?;
    annotation.as_str().map(str::to_owned)
}

#[test]
fn services_are_named_in_the_form_that_istiod_reads() {
    let host = "web.default.svc.cluster.local";
    for (position, version) in VERSIONS.into_iter().enumerate() {
        let expected = match position {
            0..4 => None,
            4..7 => Some(host.to_owned()),
            _ => Some(format!("default/{host}")),
        };
        assert_eq!(annotation(version), expected, "{version}");
    }
    assert_eq!(annotation("1.26.8"), Some(host.to_owned()));
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
fn a_split_needs_1_27() {
    let split = shop_with(
        "      port: 80\n---",
        "      port: 80\n    - {name: api, port: 80}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: api, labels: \
         {istio.io/persistent-session: mooring}}\nspec: {ports: [{port: 80}]}\n---",
    );
    generate("1.27", &[], &split).code(0);
    let run = generate("1.26", &[], &split).code(1).stdout_eq("");
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    let message = "error[Unsupported]: sessions and canaries over 2 backends need Istio 1.27 or later, and this is for Istio \
                   1.26: Envoy cannot choose the backend of a request before\n  --> <stdin>:20:5\n";
    assert!(stderr.starts_with(message) || stderr.contains(message), "{stderr}");
}

#[test]
fn other_versions_are_not_known() {
    let run = generate("1.21", &[], SHOP).code(2);
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(
        stderr.contains("`1.21` is not a version of Istio that Mooring knows: it knows 1.22 to 1.31"),
        "{stderr}"
    );
    let local = ["--target", "envoy", "--wasm", "x", "--istio-version", "1.30"];
    let run = mooring().args(["generate", "-f", "-"]).args(local).stdin(SHOP).assert();
    let stderr = String::from_utf8_lossy(&run.code(2).get_output().stderr).into_owned();
    assert!(
        stderr.contains("--istio-version can only be used with --target istio"),
        "{stderr}"
    );
}
