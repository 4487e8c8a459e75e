//! A fake API server that lists objects, page by page. It is read-only.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use snapbox::cmd::{Command, OutputAssert};

use crate::common::{directory, mooring};

/// What the API server answers to a path: a status and a body.
pub type Answers = BTreeMap<String, (u16, Value)>;

/// A stand-in for an API server. Its thread ends with the test program.
pub struct ApiServer {
    kubeconfig: PathBuf,
}

impl ApiServer {
    /// Starts one. The name is that of its kubeconfig.
    pub fn new(test: &str, answers: Answers) -> Self {
        Self::slow(test, answers, Duration::ZERO)
    }

    /// Starts one that waits before each answer.
    pub fn slow(test: &str, answers: Answers, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let kubeconfig = kubeconfig(test, listener.local_addr().unwrap().port());
        let answers = Arc::new(answers);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let answers = Arc::clone(&answers);
                thread::spawn(move || serve(&connection.unwrap(), &answers, pause));
            }
        });
        Self { kubeconfig }
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs a command on it: its name, and flags.
    pub fn run(&self, arguments: &[&str]) -> OutputAssert {
        let run = command(arguments).arg("--kubeconfig").arg(&self.kubeconfig);
        run.assert()
    }
}

/// A command that reads a cluster: its name, and flags.
pub fn command(arguments: &[&str]) -> Command {
    let (verb, flags) = arguments.split_first().unwrap();
    let command = mooring().env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    command.args([verb, "--from-cluster"]).args(flags)
}

fn serve(connection: &TcpStream, answers: &Answers, pause: Duration) {
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
        thread::sleep(pause);
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
    let selected = |item: &&Value| {
        let selector = query.split('&').find_map(|part| part.strip_prefix("labelSelector="));
        let Some((label, value)) = selector.and_then(|selector| selector.split_once("%3D")) else {
            return true;
        };
        item["metadata"]["labels"][label.replace("%2F", "/")] == value
    };
    let items: Vec<&Value> = items.iter().filter(selected).collect();
    let token = query.split('&').find_map(|part| part.strip_prefix("continue="));
    let first: usize = token.unwrap_or("0").parse().unwrap();
    let next = first.saturating_add(1);
    let more = if next < items.len() {
        json!(next.to_string())
    } else {
        json!("")
    };
    let page: Vec<&Value> = items.get(first).copied().into_iter().collect();
    (
        200,
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "continue": more }, "items": page }),
    )
}

/// An answer that says no.
pub fn status(code: u16, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "", "code": code })
}

/// A kubeconfig for a port of this machine.
pub fn kubeconfig(name: &str, port: u16) -> PathBuf {
    let path = directory(&format!("from_cluster/{name}")).join("kubeconfig.yaml");
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
const PLURALS: [(&str, &str); 14] = [
    ("BackendLBPolicy", "backendlbpolicies"),
    ("CanaryPolicy", "canarypolicies"),
    ("Deployment", "deployments"),
    ("DestinationRule", "destinationrules"),
    ("EnvoyFilter", "envoyfilters"),
    ("EndpointSlice", "endpointslices"),
    ("Gateway", "gateways"),
    ("GatewayClass", "gatewayclasses"),
    ("HTTPRoute", "httproutes"),
    ("Pod", "pods"),
    ("ReferenceGrant", "referencegrants"),
    ("Service", "services"),
    ("VirtualService", "virtualservices"),
    ("WasmPlugin", "wasmplugins"),
];

/// An API server that has these objects, with all that it adds to them.
pub fn answers(objects: &str) -> Answers {
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
        if object["status"].is_null() {
            object["status"] = json!({ "conditions": [] });
        }
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
    // A namespace that has nothing of a kind has an empty list of it.
    let lists: Vec<String> = answers
        .keys()
        .filter(|path| path.matches('/').count() > 4)
        .cloned()
        .collect();
    let all: Vec<String> = answers.keys().cloned().collect();
    let namespaces = all.iter().filter_map(|path| path.strip_prefix("/api/v1/namespaces/"));
    for namespace in namespaces.filter(|rest| !rest.contains('/')) {
        for list in &lists {
            let (root, rest) = list.split_once("/namespaces/").unwrap();
            let (_, plural) = rest.split_once('/').unwrap();
            let path = format!("{root}/namespaces/{namespace}/{plural}");
            answers.entry(path).or_insert((200, json!({ "items": [] })));
        }
    }
    answers
}
