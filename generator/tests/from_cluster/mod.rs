//! `--from-cluster`, against a stand-in for an API server: what is asked, what comes out, and what is said when it fails.

/// The stand-in for an API server. No tests.
mod api_server;
/// What a cluster says about its Gateways and its domain.
mod gateways;
/// `--namespace`: routes of other namespaces on the same Gateway.
mod namespaces;
/// `--stale`: what is to be deleted.
mod stale;

use std::{net::TcpListener, path::PathBuf, time::Duration};

use self::api_server::{ApiServer, answers, command, kubeconfig, status};
use crate::common::{SHOP, directory, mooring, said, shop_with};
use serde_json::{Value, json};
use snapbox::cmd::OutputAssert;

/// The kubeconfig of a server with the shop that waits before each of its answers.
pub fn slow_server(name: &str) -> PathBuf {
    let server = ApiServer::slow(name, answers(&shop()), Duration::from_millis(80));
    server.kubeconfig().to_owned()
}

fn stderr(run: &OutputAssert) -> String {
    said(run)
}

/// The shop after another Service, so that its own comes on a second page.
fn shop() -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: api\nspec:\n  ports:\n  - port: 80\n---\n{SHOP}")
}

#[test]
fn the_output_is_that_of_files() {
    let server = ApiServer::new("same", answers(&shop()));
    for flags in [
        ["--target", "istio", "--wasm", "https://x"].as_slice(),
        &["--target", "envoy", "--wasm", "x"],
    ] {
        let files = mooring()
            .args(["generate", "-f", "-"])
            .args(flags)
            .stdin(shop())
            .assert()
            .code(0);
        let cluster = server.run(&[&["generate"], flags].concat()).code(0);
        assert_eq!(cluster.get_output().stderr, files.get_output().stderr);
        assert!(!files.get_output().stdout.is_empty());
        assert_eq!(cluster.get_output().stdout, files.get_output().stdout);
    }
}

#[test]
fn session_routes_are_copied_from_a_cluster_too() {
    let split = shop().replace(
        "    - name: web\n      port: 80\n---",
        "    - name: web\n      port: 80\n    - {name: api, port: 80}\n    timeouts: {request: 5s}\n---",
    );
    let flags = ["generate", "--wasm", "https://x"];
    let files = mooring().args(flags).args(["-f", "-"]).stdin(split.clone()).assert();
    let files = String::from_utf8(files.code(0).get_output().stdout.clone()).unwrap();
    let route = files.split("---\n").nth(1).unwrap();
    assert!(
        route.contains("kind: HTTPRoute") && route.contains("request: 5s"),
        "{route}"
    );
    // The second time, what was generated the first time is there.
    for (name, objects) in [("first", split.clone()), ("second", format!("{split}---\n{route}"))] {
        let server = ApiServer::new(&format!("split-{name}"), answers(&objects));
        let cluster = server.run(&flags).code(0);
        assert_eq!(String::from_utf8_lossy(&cluster.get_output().stdout), files, "{name}");
    }
}

#[test]
fn findings_name_the_object() {
    let server = ApiServer::new(
        "findings",
        answers(&shop_with(
            "name: web\n  sessionPersistence",
            "name: wbe\n  sessionPersistence",
        )),
    );
    let run = server.run(&["validate", "-o", "json"]).code(1);
    let value: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(value["findings"][0]["code"], "TargetNotFound");
    assert_eq!(
        value["findings"][0]["location"]["file"],
        "cluster: BackendLBPolicy default/sticky"
    );
}

#[test]
fn a_namespace_is_read_alone() {
    let other = shop().replace("  name: api\n", "  name: api\n  namespace: other\n");
    let mut answers = answers(&other);
    // Permission for one namespace is not permission for all.
    for (path, (status_code, body)) in &mut answers {
        if !path.contains("/namespaces/") && body.get("items").is_some() {
            (*status_code, *body) = (403, status(403, "no"));
        }
    }
    let lists: Vec<String> = answers
        .keys()
        .filter(|path| path.contains("/namespaces/default/"))
        .cloned()
        .collect();
    for path in lists {
        let other = path.replace("/default/", "/other/");
        answers.entry(other).or_insert((200, json!({ "items": [] })));
    }
    let server = ApiServer::new("namespace", answers);
    server.run(&["validate", "--namespace", "default"]).code(0);
    server.run(&["validate", "-n", "default", "-n", "other"]).code(0);
    let run = server.run(&["validate"]).code(1).stdout_eq("");
    assert_eq!(
        stderr(&run),
        "error: not allowed to list backendlbpolicies.gateway.networking.k8s.io in all namespaces: no; ask for a ClusterRole \
         that may list it, or read single namespaces with --namespace\n"
    );
}

#[test]
fn a_namespace_that_is_not_there_is_an_error() {
    let server = ApiServer::new("no-namespace", answers(&shop()));
    for arguments in [
        ["validate", "-n", "nosuch"].as_slice(),
        &["validate", "-n", "default", "-n", "nosuch"],
        &["generate", "--wasm", "https://x", "-n", "nosuch"],
    ] {
        let run = server.run(arguments).code(1).stdout_eq("");
        let stderr = stderr(&run);
        assert!(
            stderr.starts_with("error: the API server at http://127.0.0.1:"),
            "{stderr}"
        );
        assert!(stderr.ends_with(" has no namespace `nosuch`\n"), "{stderr}");
    }
    let arguments = ["diff", "x", "--wasm", "https://x", "-n", "nosuch"];
    server.run(&arguments).code(2).stdout_eq("");
}

#[test]
fn who_may_not_look_at_a_namespace_may_read_what_is_in_it() {
    let mut answers = answers(&shop());
    answers.insert("/api/v1/namespaces/default".to_owned(), (403, status(403, "no")));
    let server = ApiServer::new("forbidden-namespace", answers);
    server.run(&["validate", "-n", "default"]).code(0);
}

#[test]
fn an_older_version_is_read_where_the_server_has_no_other() {
    let old = shop().replace("gateway.networking.k8s.io/v1\n", "gateway.networking.k8s.io/v1beta1\n");
    let server = ApiServer::new("older", answers(&old));
    let run = server.run(&["validate", "-o", "json"]).code(0);
    let value: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(value["rules"][0]["id"], "HTTPRoute/default/web#0");
}

#[test]
fn a_cluster_without_gateway_api_has_nothing() {
    let service = shop().split_once("---\napiVersion: v1\n").unwrap().1.to_owned();
    let (service, _) = service.split_once("---\n").unwrap();
    let server = ApiServer::new("nothing", answers(&format!("apiVersion: v1\n{service}")));
    let run = server.run(&["generate", "--wasm", "https://x"]).code(0).stdout_eq("");
    assert!(
        stderr(&run).starts_with("warning[NoEffect]: nothing to generate"),
        "{}",
        stderr(&run)
    );
}

#[test]
fn who_is_not_known_is_told_so() {
    let mut answers = answers(&shop());
    for (code, body) in answers.values_mut() {
        (*code, *body) = (401, status(401, "Unauthorized"));
    }
    let server = ApiServer::new("unauthorized", answers);
    let run = server.run(&["validate"]).code(1);
    let stderr = stderr(&run);
    assert!(
        stderr.contains("does not accept the credentials of the kubeconfig: Unauthorized"),
        "{stderr}"
    );
}

#[test]
fn a_server_that_is_not_there() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = kubeconfig("refused", port);
    let run = command(&["validate"]).arg("--kubeconfig").arg(path).assert().code(1);
    let stderr = stderr(&run);
    let start = format!("error: cannot reach the API server at http://127.0.0.1:{port}: ");
    assert!(
        stderr.starts_with(&start) && stderr.contains("Connection refused"),
        "{stderr}"
    );
}

#[test]
fn a_kubeconfig_that_is_not_there() {
    let home = directory("from_cluster/home");
    for run in [
        command(&["validate"]).env("HOME", &home).assert(),
        command(&["validate", "--kubeconfig", "missing.yaml"]).assert(),
        command(&["validate", "--context", "there", "--kubeconfig"])
            .arg(kubeconfig("context", 1))
            .assert(),
        command(&["diff", "x", "--wasm", "https://x", "--kubeconfig", "missing.yaml"])
            .assert()
            .code(2),
    ] {
        let stderr = stderr(&run);
        assert!(stderr.starts_with("error: no usable kubeconfig: "), "{stderr}");
        assert!(
            stderr.ends_with("name one with --kubeconfig or KUBECONFIG, and its context with --context\n"),
            "{stderr}"
        );
    }
}

#[test]
fn files_and_a_cluster_are_not_read_together() {
    command(&["validate", "-f", "x"]).assert().code(2);
    for flags in [["--context", "x"], ["--namespace", "x"], ["--kubeconfig", "x"]] {
        mooring().args(["validate", "-f", "x"]).args(flags).assert().code(2);
    }
    mooring().arg("validate").assert().code(2);
}
