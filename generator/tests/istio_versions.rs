//! `--istio-version`: what is generated for which Istio, and what is refused.

use crate::common::{SHOP, istio_api::ISTIO_API, mooring, said, shop_with};
use serde_json::{Value, json};
use snapbox::{IntoData as _, assert_data_eq, cmd::OutputAssert, str};

const VERSIONS: [&str; 4] = ["1.28", "1.29", "1.30", "1.31"];

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
    for version in VERSIONS {
        let expected = if version == "1.28" {
            host.to_owned()
        } else {
            format!("bookinfo/{host}")
        };
        assert_eq!(annotation(version, ISTIO_API), Some(expected), "{version}");
        assert_eq!(annotation(version, SHOP), None, "no patch names a cluster");
    }
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
fn an_older_istio_is_refused_with_the_oldest_that_is_supported() {
    for version in ["1.27", "v1.27.9", "1.23", "1.0"] {
        let run = generate(version, &[], SHOP).code(2).stdout_eq("");
        let expected = format!(
            "error: invalid value '{version}' for '--istio-version <VERSION>': the oldest Istio that Mooring supports is 1.28, \
             because its Envoy, 1.36, is the oldest that Mooring is tested with\n"
        );
        assert!(said(&run).starts_with(&expected), "{}", said(&run));
    }
}

#[test]
fn what_is_no_version_is_refused_with_an_example() {
    for version in ["latest", "2.0", "1.30.", "31"] {
        let run = generate(version, &[], SHOP).code(2).stdout_eq("");
        let expected = format!(
            "error: invalid value '{version}' for '--istio-version <VERSION>': expected an Istio version, such as 1.31, v1.31 or \
             1.31.2\n"
        );
        assert!(said(&run).starts_with(&expected), "{}", said(&run));
    }
}

#[test]
fn a_version_may_have_a_patch_a_build_and_a_v() {
    for (minor, spellings) in [
        ("1.28", ["v1.28", "1.28.9-distroless"]),
        ("1.30", ["v1.30.2", "1.30.0-rc.1"]),
    ] {
        for input in [SHOP, ISTIO_API] {
            let plain = generated(minor, input);
            for version in spellings {
                assert_eq!(generated(version, input), plain, "{version}");
            }
        }
    }
}

/// The annotations that name the Istio are all that differs.
#[test]
fn a_newer_istio_gets_what_the_newest_tested_one_gets_and_is_warned_of_once() {
    let untested = str![[r#"
warning[Untested]: Istio 1.32 is newer than Istio 1.31, the newest version that this release of Mooring is tested with; the output is the same as for Istio 1.31
 |
 = help: look for a newer release of Mooring, or test the output on a gateway without users


"#]];
    for input in [SHOP, ISTIO_API] {
        let run = generate("1.32.1", &[], input).code(0);
        assert_data_eq!(said(&run), untested.clone().raw());
        let text = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
        let of_newest = generate("1.31", &[], input).code(0);
        assert_eq!(said(&of_newest), "");
        let of_newest = String::from_utf8_lossy(&of_newest.get_output().stdout).into_owned();
        assert_ne!(text, of_newest);
        assert_eq!(
            text.replace(
                r#""mooring.dev/istio-version": "1.32""#,
                r#""mooring.dev/istio-version": "1.31""#
            ),
            of_newest
        );
    }
    assert_data_eq!(said(&generate("1.32", &["--strict"], SHOP).code(0)), untested.raw());
}

#[test]
fn a_local_envoy_has_no_istio() {
    let local = ["--target", "envoy", "--wasm", "x", "--istio-version", "1.30"];
    let run = mooring().args(["generate", "-f", "-"]).args(local).stdin(SHOP).assert();
    let stderr = said(&run.code(2));
    assert!(
        stderr.contains("--istio-version can only be used with --target istio"),
        "{stderr}"
    );
}
