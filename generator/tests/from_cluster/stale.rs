//! `--stale`: the objects of earlier runs that a run no longer generates.

use std::fs;

use serde_json::{Value, json};

use super::api_server::{ApiServer, answers, status};
use crate::common::{SHOP, directory, shop_with};

/// What is in the cluster besides the shop: what an earlier run has generated for it, objects of a route and a Gateway that are gone, and
/// an object of a user with the label.
const EARLIER: &str = "\
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: mooring-gone-http, namespace: infra, labels: {app.kubernetes.io/managed-by: mooring}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mooring-gone-0c6f1e57, namespace: shop, labels: {app.kubernetes.io/managed-by: mooring}, annotations: {mooring.dev/rule: HTTPRoute/shop/gone#0}}
spec: {}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: copy, namespace: infra, labels: {app.kubernetes.io/managed-by: mooring}}
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: mooring-gone, namespace: infra, labels: {app.kubernetes.io/managed-by: mooring}}
";

fn run(test: &str, objects: &str, flags: &[&str]) -> (Option<i32>, Value, String) {
    let file = directory(test).join("stale.json");
    let server = ApiServer::new(test, answers(objects));
    let path = file.to_str().unwrap();
    let flags = [&["generate", "--wasm", "https://x", "--stale", path], flags].concat();
    let run = server.run(&flags);
    let output = run.get_output();
    let written = fs::read_to_string(&file).unwrap_or_default();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        output.status.code(),
        serde_json::from_str(&written).unwrap_or_default(),
        errors,
    )
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().into_iter().flatten();
    items
        .map(|item| {
            format!(
                "{} {}/{}",
                item["kind"].as_str().unwrap(),
                item["metadata"]["namespace"].as_str().unwrap(),
                item["metadata"]["name"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn objects_that_are_no_longer_generated_are_listed_in_the_order_of_deletion() {
    // What this run generates is in the cluster, too.
    let first = ApiServer::new("stale-first", answers(SHOP));
    let generated = first.run(&["generate", "--wasm", "https://x"]).code(0);
    let generated = String::from_utf8(generated.get_output().stdout.clone()).unwrap();
    let (code, list, errors) = run("stale-listed", &format!("{SHOP}---\n{generated}{EARLIER}"), &[]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(
        names(&list),
        [
            "WasmPlugin infra/mooring-gone",
            "HTTPRoute shop/mooring-gone-0c6f1e57",
            "EnvoyFilter infra/mooring-gone-http",
        ]
    );
    assert_eq!(
        list["items"][2],
        json!({
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": { "namespace": "infra", "name": "mooring-gone-http" },
        })
    );
}

#[test]
fn nothing_is_listed_while_something_is_left_out() {
    let broken = shop_with("sessionName: shop", "sessionName: 'a b'");
    let (code, list, errors) = run("stale-omission", &format!("{broken}{EARLIER}"), &[]);
    assert_eq!(code, Some(3), "{errors}");
    assert_eq!(list, json!({ "apiVersion": "v1", "kind": "List", "items": [] }));

    let (code, list, errors) = run("stale-accepted", &format!("{broken}{EARLIER}"), &["--accept-omissions"]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(names(&list), [""; 0]);
    assert!(errors.contains("left out because of errors"), "{errors}");
}

#[test]
fn a_kind_that_may_not_be_listed_is_an_error() {
    let mut refusing = answers(&format!("{SHOP}{EARLIER}"));
    let path = "/apis/networking.istio.io/v1alpha3/envoyfilters";
    assert!(
        refusing.keys().any(|key| key.starts_with(path)),
        "{:?}",
        refusing.keys()
    );
    refusing.retain(|key, _| !key.starts_with(path));
    refusing.insert(path.to_owned(), (403, status(403, "envoyfilters is forbidden")));
    let file = directory("stale-forbidden").join("stale.json");
    let server = ApiServer::new("stale-forbidden-server", refusing);
    let run = server
        .run(&["generate", "--wasm", "https://x", "--stale", file.to_str().unwrap()])
        .code(1);
    let errors = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(
        errors.contains("not allowed to list envoyfilters.networking.istio.io in all namespaces"),
        "{errors}"
    );
    assert!(!file.exists());
}
