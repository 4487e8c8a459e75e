//! `--from-cluster`, against a stand-in for an API server: what is asked, what comes out, and what is said when it fails.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "that is how a test fails")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread,
};

use common::{SHOP, mooring, shop_with};
use serde_json::{Value, json};
use snapbox::cmd::{Command, OutputAssert};

/// What the API server answers to a path: a status and a body.
type Answers = BTreeMap<String, (u16, Value)>;

/// A stand-in for an API server. Its thread ends with the test program.
struct ApiServer {
    kubeconfig: PathBuf,
}

impl ApiServer {
    fn new(test: &str, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let kubeconfig = kubeconfig(test, listener.local_addr().unwrap().port());
        let answers = Arc::new(answers);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let answers = Arc::clone(&answers);
                thread::spawn(move || serve(&connection.unwrap(), &answers));
            }
        });
        Self { kubeconfig }
    }

    fn run(&self, arguments: &[&str]) -> OutputAssert {
        let run = command(arguments).arg("--kubeconfig").arg(&self.kubeconfig);
        run.assert()
    }
}

fn command(arguments: &[&str]) -> Command {
    let (verb, flags) = arguments.split_first().unwrap();
    let command = mooring().env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    command.args([verb, "--from-cluster"]).args(flags)
}

fn serve(connection: &TcpStream, answers: &Answers) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut writer = connection;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).unwrap_or(0) > 2 {
            header.clear();
        }
        let target = request.split(' ').nth(1).unwrap();
        let (status, body) = answer(target, answers);
        let body = body.to_string();
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        writer.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }
}

/// The answer to a request; a list comes in pages of one object.
fn answer(target: &str, answers: &Answers) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some((status, body)) = answers.get(path) else {
        return (404, status(404, "not found"));
    };
    let Some(items) = body.get("items").and_then(Value::as_array) else {
        return (*status, body.clone());
    };
    let token = query.split('&').find_map(|part| part.strip_prefix("continue="));
    let first: usize = token.unwrap_or("0").parse().unwrap();
    let next = first.saturating_add(1);
    let more = if next < items.len() {
        json!(next.to_string())
    } else {
        json!("")
    };
    let page: Vec<&Value> = items.get(first).into_iter().collect();
    (
        200,
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "continue": more }, "items": page }),
    )
}

fn status(code: u16, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "", "code": code })
}

fn kubeconfig(name: &str, port: u16) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("from_cluster");
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("{name}.yaml"));
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "one", "cluster": { "server": format!("http://127.0.0.1:{port}") } }],
        "users": [{ "name": "me", "user": {} }],
        "contexts": [{ "name": "here", "context": { "cluster": "one", "user": "me" } }],
        "current-context": "here",
    });
    fs::write(&path, text.to_string()).unwrap();
    path
}

/// Where the objects of each kind are. `XBackendTrafficPolicy` is not installed.
const PLURALS: [(&str, &str); 6] = [
    ("BackendLBPolicy", "backendlbpolicies"),
    ("EndpointSlice", "endpointslices"),
    ("Gateway", "gateways"),
    ("HTTPRoute", "httproutes"),
    ("ReferenceGrant", "referencegrants"),
    ("Service", "services"),
];

/// An API server that has these objects, with all that it adds to them.
fn answers(objects: &str) -> Answers {
    let mut answers = Answers::new();
    let objects: Vec<Value> = serde_saphyr::from_multiple(objects).unwrap();
    for mut object in objects {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let api_version = object["apiVersion"].as_str().unwrap().to_owned();
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let (_, plural) = PLURALS.into_iter().find(|(name, _)| *name == kind).unwrap();
        let resources = answers.entry(format!("/{root}/{api_version}"));
        let list = json!({ "kind": "APIResourceList", "groupVersion": api_version, "resources": [] });
        let (_, resources) = resources.or_insert((200, list));
        for name in [format!("{plural}/status"), plural.to_owned()] {
            let resource = json!({
                "name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list"],
            });
            resources["resources"].as_array_mut().unwrap().push(resource);
        }
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.entry("namespace").or_insert("default".into());
        metadata.insert("uid".to_owned(), "0a".into());
        metadata.insert("creationTimestamp".to_owned(), "2026-01-01T00:00:00Z".into());
        metadata.insert("managedFields".to_owned(), json!([{ "manager": "kubectl" }]));
        object["status"] = json!({ "conditions": [] });
        let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
        if !api_version.contains('/') {
            // As the items of a list of a built-in kind come.
            object
                .as_object_mut()
                .unwrap()
                .retain(|field, _| field != "kind" && field != "apiVersion");
        }
        answers.insert(
            format!("/api/v1/namespaces/{namespace}"),
            (
                200,
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
            ),
        );
        for path in [
            format!("/{root}/{api_version}/{plural}"),
            format!("/{root}/{api_version}/namespaces/{namespace}/{plural}"),
        ] {
            let (_, list) = answers.entry(path).or_insert((200, json!({ "items": [] })));
            list["items"].as_array_mut().unwrap().push(object.clone());
        }
    }
    answers
}

fn stderr(run: &OutputAssert) -> String {
    common::said(run)
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
        value["findings"][0]["place"]["file"],
        "cluster: BackendLBPolicy default/sticky"
    );
}

#[test]
fn a_namespace_is_read_alone() {
    let other = shop().replace("  name: api\n", "  name: api\n  namespace: other\n");
    let mut answers = answers(&other);
    // Whoever may read one namespace may not read all.
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
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("from_cluster/home");
    fs::create_dir_all(&home).unwrap();
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
