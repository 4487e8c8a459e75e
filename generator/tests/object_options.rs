//! What a user sets in generated objects: how the module is fetched, its position, and labels and annotations.

use crate::common::{Generated, SHOP, WASM, mooring, shop_with};
use serde_json::{Value, json};

const IMAGE: &str = "oci://registry.example/mooring:1";

/// A rule with two backends, so that there are session routes.
const SPLIT: &str = "      port: 80\n      weight: 1\n    - {name: beta, port: 80, weight: 9}\n---";

const KINDS: [&str; 3] = ["EnvoyFilter", "HTTPRoute", "WasmPlugin"];

/// The error of the command, without the usage.
#[track_caller]
fn refused(arguments: &[&str], message: &str) {
    for command in [&["generate"][..], &["diff", "no-directory"]] {
        let run = mooring()
            .args(command)
            .args(["-f", "-"])
            .args(arguments)
            .stdin(SHOP)
            .assert()
            .code(2)
            .stdout_eq("");
        let error = String::from_utf8(run.get_output().stderr.clone()).unwrap();
        assert_eq!(error.split("\n\n").next(), Some(message));
    }
}

fn plugin(flags: &[&str]) -> Value {
    let run = mooring()
        .args(["generate", "-f", "-", "-o", "json", "--quiet", "--wasm", IMAGE])
        .args(flags)
        .stdin(SHOP)
        .assert()
        .success();
    let list: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let items = list["items"].as_array().unwrap();
    items.iter().find(|item| item["kind"] == "WasmPlugin").unwrap()["spec"].clone()
}

#[test]
fn the_plugin_has_what_the_flags_say_and_nothing_else() {
    let mut with = plugin(&[
        "--image-pull-secret",
        "registry.credentials",
        "--image-pull-policy",
        "Always",
        "--plugin-phase",
        "STATS",
        "--plugin-priority",
        "-5",
        "--access-log",
    ]);
    let fields = with.as_object_mut().unwrap();
    assert_eq!(fields.remove("imagePullSecret"), Some(json!("registry.credentials")));
    assert_eq!(fields.remove("imagePullPolicy"), Some(json!("Always")));
    assert_eq!(fields.remove("phase"), Some(json!("STATS")));
    assert_eq!(fields.remove("priority"), Some(json!(-5)));
    // A module of a release without the field refuses it, so it is only there with the flag.
    let of_module = fields["pluginConfig"].as_object_mut().unwrap();
    assert_eq!(of_module.remove("accessLog"), Some(json!(true)));
    assert_eq!(with, plugin(&[]));
    assert_eq!(plugin(&["--plugin-phase", "AUTHZ"])["phase"], "AUTHZ");
    assert_eq!(
        plugin(&["--image-pull-policy", "IfNotPresent"])["imagePullPolicy"],
        "IfNotPresent"
    );
}

#[test]
fn labels_and_annotations_are_on_every_object() {
    let beta = "---\napiVersion: v1\nkind: Service\nmetadata: {name: beta}\nspec: {ports: [{port: 80}]}\n";
    let input = shop_with("      port: 80\n---", SPLIT) + beta;
    let plain = Generated::istio(&input);
    let run = Generated::istio_with(
        &[
            "--label",
            "team=shop",
            "--label",
            "app.kubernetes.io/part-of=sessions",
            "--annotation",
            "argocd.argoproj.io/sync-wave=5",
            "--annotation",
            "example.com/note=a: b = c",
        ],
        &input,
    );
    for kind in KINDS {
        let (objects, before) = (run.objects(kind), plain.objects(kind));
        assert!(!objects.is_empty(), "{kind}");
        assert_eq!(objects.len(), before.len(), "{kind}");
        for (object, before) in objects.into_iter().zip(before) {
            let mut object = object.clone();
            let labels = object["metadata"]["labels"].as_object_mut().unwrap();
            assert_eq!(labels.remove("team"), Some(json!("shop")));
            assert_eq!(labels.remove("app.kubernetes.io/part-of"), Some(json!("sessions")));
            let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
            assert_eq!(annotations.remove("argocd.argoproj.io/sync-wave"), Some(json!("5")));
            assert_eq!(annotations.remove("example.com/note"), Some(json!("a: b = c")));
            assert_eq!(&object, before);
        }
    }
}

#[test]
fn what_has_no_effect_or_breaks_sessions_is_refused() {
    let sha256 = "0123456789abcdef".repeat(4);
    refused(
        &["--wasm", WASM, "--image-pull-secret", "a"],
        "error: --image-pull-secret can only be used with oci://: Istio does not use it for other URLs",
    );
    refused(
        &["--wasm", "file:///m.wasm", "--image-pull-policy", "IfNotPresent"],
        "error: --image-pull-policy cannot be used with file://: Envoy reads the file itself",
    );
    refused(
        &[
            "--wasm",
            IMAGE,
            "--wasm-sha256",
            &sha256,
            "--image-pull-policy",
            "Always",
        ],
        "error: --image-pull-policy Always has no effect with a checksum: Istio never fetches a module again whose checksum it has. Omit one of them",
    );
    refused(
        &["--wasm", IMAGE, "--plugin-phase", "AUTHN"],
        "error: --plugin-phase AUTHN breaks sessions: the module would look up its session before authentication, and a route can depend on the claims of a token that authentication reads. Use AUTHZ, STATS or the default",
    );
    refused(
        &["--wasm", IMAGE, "--image-pull-secret", "shop/credentials"],
        "error: invalid value 'shop/credentials' for '--image-pull-secret <NAME>': the name of a Secret has lower-case letters, digits, - and . only, and no namespace: it is in that of the WasmPlugin",
    );
}

#[test]
fn metadata_with_a_meaning_is_refused() {
    for flag in ["--label", "--annotation"] {
        for (pair, reason) in [
            ("mooring.dev/version=1", "Mooring sets mooring.dev/version itself"),
            (
                "app.kubernetes.io/managed-by=helm",
                "Mooring sets app.kubernetes.io/managed-by itself",
            ),
            (
                "istio.io/rev=canary",
                "the key contains istio.io: istiod reads such keys, and sends an object that has one to the proxies after every update",
            ),
            (
                "gateway.networking.k8s.io/gateway-name=front",
                "keys of kubernetes.io and k8s.io are reserved: of these, only app.kubernetes.io/ can be used, and not for managed-by",
            ),
        ] {
            let message = format!("error: invalid value '{pair}' for '{flag} <KEY=VALUE>': {reason}");
            refused(&["--wasm", WASM, flag, pair], &message);
        }
    }
}

#[test]
fn a_note_says_what_reload_does_not_cover() {
    let noted = |flags: &[&str]| {
        let notes = Generated::istio_with(flags, SHOP).findings;
        notes
            .iter()
            .any(|finding| finding.contains("a module that cannot be fetched"))
    };
    assert!(noted(&["--fail-strategy", "reload"]));
    for strategy in ["open", "close"] {
        assert!(!noted(&["--fail-strategy", strategy]), "{strategy}");
    }
}
