//! The line with which a run ends: what of the input was read, and what was skipped.

use crate::common::{SHOP, SHOP_IS_READ, WASM, directory, mooring};
use snapbox::cmd::OutputAssert;

/// What a chart holds besides what concerns us, and a session route of an earlier run.
const OTHERS: &str = "\
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
- {apiVersion: v1, kind: Service, metadata: {name: api}, spec: {ports: [{port: 80}]}}
---
metadata: {name: web}
kind: Ingress
apiVersion: networking.k8s.io/v1
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mooring-web, labels: {app.kubernetes.io/managed-by: mooring}}
spec: {}
---
apiVersion: v1
kind: Namespace
metadata: {}
---
# Nothing but a comment.
";

fn run(arguments: &[&str], input: &str) -> OutputAssert {
    mooring().args(arguments).args(["-f", "-"]).stdin(input).assert()
}

fn last_line(run: &OutputAssert) -> String {
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    stderr.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn every_command_that_reads_says_what_it_read_and_skipped() {
    let directory = directory("closing_line");
    let directory = directory.to_str().unwrap();
    let input = format!("{SHOP}{OTHERS}");
    for command in [
        ["generate", "--wasm", WASM].as_slice(),
        &["generate", "--wasm", "x", "--target", "envoy"],
        &["generate", "--wasm", WASM, "--check", directory],
        &["generate", "--wasm", WASM, "--strict"],
        &["diff", directory, "--wasm", WASM],
        &["validate"],
        &["validate", "-o", "json"],
    ] {
        assert_eq!(
            last_line(&run(command, &input)),
            "read 6 objects (1 BackendLBPolicy, 1 Gateway, 1 HTTPRoute, 2 Services, 1 EndpointSlice), \
             skipped 4 (2 ConfigMaps, 1 Ingress, 1 generated HTTPRoute), could not read 1",
            "{command:?}"
        );
    }
}

#[test]
fn it_comes_after_what_is_left_out() {
    let run = run(&["generate", "--wasm", WASM], &SHOP.replace("1h", "1x")).code(3);
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    let left_out = "left out because of errors: 1 policy (BackendLBPolicy/default/sticky)\n";
    assert!(stderr.ends_with(&format!("{left_out}{SHOP_IS_READ}")), "{stderr}");
}

#[test]
fn where_nothing_can_be_read_nothing_is_counted() {
    let run = mooring().args(["validate", "-f", "missing.yaml"]).assert().code(1);
    assert_eq!(last_line(&run), "");
}

#[test]
fn quiet_leaves_errors_and_warnings() {
    let draining = SHOP.replace("    istio.io/persistent-session: mooring\n", "    a: b\n");
    let wasm = "http://a.example/mooring.wasm";
    let warnings = |run: OutputAssert| {
        let output = run.code(0).get_output().clone();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let (stdout, lines) = (String::from_utf8(output.stdout).unwrap(), stderr.lines());
        let findings = lines.filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()));
        let codes = findings.map(|line| line.split(':').next().unwrap_or_default().to_owned());
        (codes.collect::<Vec<String>>(), stdout)
    };
    let generate = ["generate", "--wasm", wasm];
    let (loud, all) = warnings(run(&generate, &draining));
    let (quiet, same) = warnings(run(&[&generate[..], &["--quiet"]].concat(), &draining));
    assert_eq!(loud.len(), 3, "{loud:?}");
    assert_eq!(loud.first().unwrap(), "warning[Unverified]");
    assert_eq!((quiet, same), (vec!["warning[Unverified]".to_owned()], all));

    let (loud, text) = warnings(run(&["validate"], &draining));
    assert!(loud.len() == 1 && text.contains("note[Draining]"), "{loud:?} {text}");
    let (quiet, text) = warnings(run(&["validate", "-q"], &draining));
    assert!(quiet.is_empty() && !text.contains("note["), "{quiet:?} {text}");
}
