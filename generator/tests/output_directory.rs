//! `generate --output-dir` on a directory that has files already: what is written, what is removed, what is left alone, and that
//! `diff` agrees.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::common::{SHOP, WASM, directory, mooring, shop_with, without_policy};
use snapbox::cmd::OutputAssert;

const ENVOY_FILTER: &str = "envoyfilter-default-mooring-front-http.yaml";
const WASM_PLUGIN: &str = "wasmplugin-default-mooring-front.yaml";

/// A directory for a test, without `out`.
fn root(test: &str) -> PathBuf {
    directory(&format!("output_directory/{test}"))
}

/// Runs a command in a directory.
fn run(root: &Path, arguments: &[&str], input: &str) -> OutputAssert {
    mooring().current_dir(root).args(arguments).stdin(input).assert()
}

const GENERATE: [&str; 7] = ["generate", "-f", "-", "--wasm", WASM, "--output-dir", "out"];
const DIFF: [&str; 6] = ["diff", "out", "-f", "-", "--wasm", WASM];

fn generate(root: &Path, flags: &[&str], input: &str) -> OutputAssert {
    run(root, &[&GENERATE, flags].concat(), input)
}

fn diff(root: &Path, flags: &[&str], input: &str) -> OutputAssert {
    run(root, &[&DIFF, flags].concat(), input)
}

/// A directory into which the shop has been generated.
fn generated(test: &str) -> PathBuf {
    let root = root(test);
    let said = "files: 2 created, 0 changed, 0 unchanged, 0 removed\n";
    says(
        &generate(&root, &[], SHOP).code(0),
        &format!("created out/{ENVOY_FILTER}\ncreated out/{WASM_PLUGIN}\n{said}"),
    );
    root
}

fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("out")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What a run said, without the line that counts what was read.
fn stderr(run: &OutputAssert) -> String {
    let text = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with("read "));
    lines.collect()
}

#[track_caller]
fn says(run: &OutputAssert, message: &str) {
    assert_eq!(stderr(run), message);
}

/// The shop, in which the policy is wrong.
fn wrong_policy() -> String {
    shop_with("absoluteTimeout: 1h", "absoluteTimeout: 1x")
}

#[test]
fn what_has_not_changed_is_not_written() {
    let root = generated("what_has_not_changed_is_not_written");
    let written = || {
        fs::metadata(root.join("out").join(WASM_PLUGIN))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = written();
    let run = generate(&root, &[], SHOP).code(0).stdout_eq("");
    says(&run, "files: 0 created, 0 changed, 2 unchanged, 0 removed\n");
    assert_eq!(written(), before);
    let run = generate(&root, &[], &shop_with("1h", "2h")).code(0);
    let counted = "files: 0 created, 1 changed, 1 unchanged, 0 removed\n";
    says(&run, &format!("changed out/{WASM_PLUGIN}\n{counted}"));
    assert_ne!(written(), before);
    diff(&root, &[], &shop_with("1h", "2h")).code(0).stdout_eq("");
}

#[test]
fn what_is_no_longer_generated_is_removed() {
    let root = generated("what_is_no_longer_generated_is_removed");
    let input = without_policy(SHOP);
    diff(&root, &[], &input).code(1);
    let run = generate(&root, &[], &input).code(0);
    let said = format!(
        "removed out/{ENVOY_FILTER}\nremoved out/{WASM_PLUGIN}\nfiles: 0 created, 0 changed, 0 unchanged, 2 removed\n"
    );
    assert!(stderr(&run).ends_with(&said), "{}", stderr(&run));
    assert!(names(&root).is_empty(), "{:?}", names(&root));
    diff(&root, &[], &input).code(0).stdout_eq("");
}

#[test]
fn a_gateway_of_another_name_takes_the_place_of_the_first() {
    let root = generated("a_gateway_of_another_name_takes_the_place_of_the_first");
    let input = SHOP.replace("name: front", "name: edge");
    generate(&root, &[], &input).code(0);
    assert_eq!(
        names(&root),
        [
            ENVOY_FILTER.replace("front", "edge"),
            WASM_PLUGIN.replace("front", "edge")
        ]
    );
    diff(&root, &[], &input).code(0).stdout_eq("");
}

#[test]
fn an_object_is_not_left_there_in_another_format() {
    let root = generated("an_object_is_not_left_there_in_another_format");
    let all = run(&root, &["generate", "-f", "-", "--wasm", WASM, "-o", "json"], SHOP);
    fs::write(root.join("out/all.json"), &all.get_output().stdout).unwrap();
    let run = generate(&root, &["-o", "json"], SHOP).code(0);
    assert!(stderr(&run).ends_with("files: 2 created, 0 changed, 0 unchanged, 3 removed\n"));
    assert_eq!(
        names(&root),
        [
            ENVOY_FILTER.replace(".yaml", ".json"),
            WASM_PLUGIN.replace(".yaml", ".json")
        ]
    );
}

/// An object of ours, as far as can be told.
const OURS: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: mooring-old
  labels: {app.kubernetes.io/managed-by: mooring}
";

#[test]
fn files_of_others_are_left_alone() {
    let root = generated("files_of_others_are_left_alone");
    let out = root.join("out");
    let keys = mooring()
        .args(["keygen", "--secret", "istio-system/mooring-keys"])
        .assert();
    let keys = String::from_utf8_lossy(&keys.get_output().stdout).into_owned();
    assert!(keys.contains("app.kubernetes.io/managed-by: mooring"), "{keys}");
    let others = [
        ("keys.yaml", keys),
        ("kustomization.yaml", "resources: []\n".to_owned()),
        ("README.md", OURS.to_owned()),
        ("broken.yaml", format!("{OURS}]")),
        ("empty.yaml", "# nothing\n".to_owned()),
        ("helm.yaml", OURS.replace("by: mooring", "by: Helm")),
        ("named.yaml", OURS.replace("mooring-old", "old")),
        ("kind.yaml", OURS.replace("WasmPlugin", "ConfigMap")),
        (
            "both.yaml",
            format!("{OURS}---\n{}", OURS.replace("by: mooring", "by: me")),
        ),
        (
            "list.yaml",
            "kind: List
metadata:
  name: mooring-x
  labels: {app.kubernetes.io/managed-by: mooring}
items:
- {kind: WasmPlugin, metadata: {name: mooring-x}}
"
            .to_owned(),
        ),
        ("none.yaml", "kind: List\nitems: []\n".to_owned()),
        ("deep/old.yaml", OURS.to_owned()),
    ];
    fs::create_dir(out.join("deep")).unwrap();
    for (name, text) in &others {
        fs::write(out.join(name), text).unwrap();
    }
    fs::write(out.join("old.yaml"), OURS).unwrap();
    let run = generate(&root, &[], SHOP).code(0);
    assert_eq!(
        stderr(&run),
        "removed out/old.yaml\nfiles: 0 created, 0 changed, 2 unchanged, 1 removed\n"
    );
    for (name, text) in &others {
        assert_eq!(&fs::read_to_string(out.join(name)).unwrap(), text, "{name}");
    }
    diff(&root, &[], SHOP).code(0).stdout_eq("");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_of_ours_is_left_alone() {
    let root = generated("a_link_to_a_file_of_ours_is_left_alone");
    fs::write(root.join("old.yaml"), OURS).unwrap();
    std::os::unix::fs::symlink("../old.yaml", root.join("out/old.yaml")).unwrap();
    generate(&root, &[], SHOP).code(0);
    assert!(root.join("old.yaml").exists());
    assert!(fs::symlink_metadata(root.join("out/old.yaml")).unwrap().is_symlink());
}

#[test]
fn nothing_is_removed_while_something_is_left_out() {
    let root = generated("nothing_is_removed_while_something_is_left_out");
    let kept = format!(
        "kept out/{ENVOY_FILTER}\nkept out/{WASM_PLUGIN}\n\
         files that are no longer generated are kept as long as something is left out or skipped\n"
    );
    // The only policy of the gateway is wrong, so that nothing is generated.
    let run = generate(&root, &[], &wrong_policy()).code(3);
    let said = stderr(&run);
    assert!(said.contains("left out because of errors: 1 policy"), "{said}");
    let counted = "files: 0 created, 0 changed, 0 unchanged, 0 removed\n";
    assert!(said.ends_with(&format!("{counted}{kept}")), "{said}");
    assert_eq!(names(&root), [ENVOY_FILTER, WASM_PLUGIN]);

    let run = diff(&root, &[], &wrong_policy()).code(3).stdout_eq("");
    assert!(stderr(&run).ends_with(&kept), "{}", stderr(&run));

    // What the error does not concern is written.
    let mut input = wrong_policy();
    input.push_str(&other_shop());
    let run = generate(&root, &[], &input).code(3);
    assert!(stderr(&run).contains("files: 2 created, 0 changed, 0 unchanged, 0 removed\n"));
    assert_eq!(names(&root).len(), 4);
    diff(&root, &[], &input).code(3).stdout_eq("");

    // Once nothing is wrong, what is stale goes.
    let run = generate(&root, &[], &(without_policy(SHOP) + &other_shop())).code(0);
    assert!(stderr(&run).ends_with("files: 0 created, 0 changed, 2 unchanged, 2 removed\n"));
}

#[test]
fn nothing_is_removed_while_something_is_skipped() {
    let root = generated("nothing_is_removed_while_something_is_skipped");
    // What is left of a file that could not be written may have been the policy.
    fs::write(root.join("policy.yaml"), "").unwrap();
    let input = without_policy(SHOP);
    let run = generate(&root, &["-f", "policy.yaml"], &input).code(0);
    let kept = format!("kept out/{ENVOY_FILTER}\nkept out/{WASM_PLUGIN}\nfiles that are no longer generated are kept");
    assert!(stderr(&run).contains(&kept), "{}", stderr(&run));
    assert_eq!(names(&root), [ENVOY_FILTER, WASM_PLUGIN]);
    diff(&root, &["-f", "policy.yaml"], &input).code(0).stdout_eq("");
    // A comment says that it is empty on purpose.
    fs::write(root.join("policy.yaml"), "# none\n").unwrap();
    generate(&root, &["-f", "policy.yaml"], &input).code(0);
    assert!(names(&root).is_empty());
}

/// A second shop, on a Gateway of its own.
fn other_shop() -> String {
    let other = SHOP
        .replace("name: front", "name: back")
        .replace("name: web", "name: api")
        .replace("name: sticky", "name: sticky-api");
    format!("---\n{other}")
}

#[test]
fn two_runs_share_a_directory_without_pruning() {
    let root = generated("two_runs_share_a_directory_without_pruning");
    let run = generate(&root, &["--no-prune"], &other_shop()).code(0);
    assert!(stderr(&run).ends_with("files: 2 created, 0 changed, 0 unchanged, 0 removed\n"));
    for input in [SHOP, &other_shop()] {
        diff(&root, &["--no-prune"], input).code(0).stdout_eq("");
        diff(&root, &[], input).code(1);
        let check = ["generate", "-f", "-", "--wasm", WASM, "--check", "out"];
        run_check(&root, &check, input, 1);
        run_check(&root, &[&check[..], &["--no-prune"]].concat(), input, 0);
    }
    // Without a directory there is nothing to prune.
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", WASM, "--no-prune"])
        .stdin(SHOP)
        .assert()
        .code(2);
    assert!(stderr(&run).starts_with("error: --no-prune can only be used with --output-dir or --check\n"));
}

#[track_caller]
fn run_check(root: &Path, arguments: &[&str], input: &str, code: i32) {
    run(root, arguments, input).code(code);
}

#[test]
fn what_cannot_be_written_removes_nothing() {
    let root = root("what_cannot_be_written_removes_nothing");
    let out = root.join("out");
    fs::create_dir_all(out.join(WASM_PLUGIN)).unwrap();
    fs::write(out.join("old.yaml"), OURS).unwrap();
    let run = generate(&root, &[], SHOP).code(1);
    says(
        &run,
        &format!("error: cannot write `out/{WASM_PLUGIN}`: is a directory\n"),
    );
    assert_eq!(names(&root), ["old.yaml", WASM_PLUGIN]);
}

#[test]
fn with_strict_a_wrong_input_removes_nothing() {
    let root = generated("with_strict_a_wrong_input_removes_nothing");
    generate(&root, &["--strict"], &wrong_policy()).code(1);
    assert_eq!(names(&root), [ENVOY_FILTER, WASM_PLUGIN]);
}

#[test]
fn the_configuration_of_a_local_envoy_removes_nothing() {
    let root = generated("the_configuration_of_a_local_envoy_removes_nothing");
    let flags = ["--target", "envoy", "--output-dir", "out"];
    let arguments = [&["generate", "-f", "-", "--wasm", "mooring.wasm"], &flags[..]].concat();
    let said = "created out/envoy.yaml\nfiles: 1 created, 0 changed, 0 unchanged, 0 removed\n";
    says(&run(&root, &arguments, SHOP).code(0), said);
    assert_eq!(names(&root), ["envoy.yaml", ENVOY_FILTER, WASM_PLUGIN]);
    let arguments = ["diff", "out", "-f", "-", "--wasm", "mooring.wasm", "--target", "envoy"];
    run(&root, &arguments, SHOP).code(0).stdout_eq("");
    // And the other way round.
    generate(&root, &[], SHOP).code(0);
    assert_eq!(names(&root), ["envoy.yaml", ENVOY_FILTER, WASM_PLUGIN]);
}

#[test]
fn a_quiet_run_does_not_list_files() {
    let root = root("a_quiet_run_does_not_list_files");
    generate(&root, &["--quiet"], SHOP).code(0).stderr_eq("");
    // What stays because of an error is no news that can be left out.
    let run = generate(&root, &["--quiet"], &wrong_policy()).code(3);
    assert!(stderr(&run).contains("kept out/"), "{}", stderr(&run));
}

#[test]
fn very_many_files_are_counted() {
    let root = generated("very_many_files_are_counted");
    for number in 10..35 {
        fs::write(root.join(format!("out/old-{number}.yaml")), OURS).unwrap();
    }
    let run = generate(&root, &[], SHOP).code(0);
    let said = stderr(&run);
    assert!(said.starts_with("removed out/old-10.yaml\n"), "{said}");
    assert!(
        said.ends_with(
            "removed out/old-29.yaml\nremoved 5 more\nfiles: 0 created, 0 changed, 2 unchanged, 25 removed\n"
        ),
        "{said}"
    );
}

const EMPTY: &str = "error: nothing is generated, and --fail-on-empty is given\n";

#[test]
fn nothing_generated_can_be_an_error() {
    let root = generated("nothing_generated_can_be_an_error");
    let input = without_policy(SHOP);
    let stdout = ["generate", "-f", "-", "--wasm", WASM];
    let warning = "warning[NoEffect]: nothing to generate: ";
    let run_of = run(&root, &stdout, &input).code(0).stdout_eq("");
    assert!(stderr(&run_of).starts_with(warning), "{}", stderr(&run_of));
    let run_of = run(&root, &[&stdout[..], &["--fail-on-empty"]].concat(), &input)
        .code(1)
        .stdout_eq("");
    let said = stderr(&run_of);
    assert!(said.starts_with(warning) && said.ends_with(EMPTY), "{said}");

    let run = generate(&root, &["--fail-on-empty"], &input).code(1);
    assert!(stderr(&run).ends_with(EMPTY));
    assert_eq!(names(&root), [ENVOY_FILTER, WASM_PLUGIN]);
    let run = diff(&root, &["--fail-on-empty"], &input).code(2).stdout_eq("");
    assert!(stderr(&run).ends_with(EMPTY));

    // Also where that comes of an error.
    generate(&root, &["--fail-on-empty"], &wrong_policy()).code(1);
    // And not where something is generated, be it the configuration of an Envoy without sessions.
    generate(&root, &["--fail-on-empty"], SHOP).code(0);
    let envoy = ["generate", "-f", "-", "--target", "envoy", "--wasm", "mooring.wasm"];
    self::run(&root, &[&envoy[..], &["--fail-on-empty"]].concat(), &input).code(0);
}

#[test]
fn a_missing_directory_is_made_only_for_what_is_written() {
    let root = root("a_missing_directory_is_made_only_for_what_is_written");
    generate(&root, &["--fail-on-empty"], &without_policy(SHOP)).code(1);
    assert!(!root.join("out").exists());
    generate(&root, &[], SHOP).code(0);
    assert_eq!(names(&root), [ENVOY_FILTER, WASM_PLUGIN]);
}

/// The name of a file joins the namespace and the name by a hyphen.
#[test]
fn objects_whose_files_would_have_one_name_get_different_files() {
    let gateway = |namespace: &str, name: &str, host: &str| {
        format!(
            r#"---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  gatewayClassName: istio
  listeners: [{{name: http, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}}}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {host}, namespace: shop}}
spec:
  parentRefs: [{{name: {name}, namespace: {namespace}}}]
  hostnames: ["{host}.example"]
  rules: [{{name: {host}, sessionPersistence: {{sessionName: {host}}}, backendRefs: [{{name: v1, port: 80}}]}}]
"#
        )
    };
    let service =
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: v1, namespace: shop}\nspec: {ports: [{port: 80}]}\n";
    let input = [
        service.to_owned(),
        gateway("shop-mooring", "x", "a"),
        gateway("shop", "mooring-x", "b"),
    ]
    .concat();
    let root = root("one_file_name");
    generate(&root, &[], &input).code(0);
    let names = names(&root);
    let of_kind = |kind: &str| names.iter().filter(|name| name.starts_with(kind)).count();
    assert_eq!((of_kind("wasmplugin-"), of_kind("envoyfilter-")), (2, 2), "{names:?}");
    let again = generate(&root, &[], &input).code(0);
    assert!(stderr(&again).ends_with("files: 0 created, 0 changed, 4 unchanged, 0 removed\n"));
    diff(&root, &[], &input).code(0);
}
