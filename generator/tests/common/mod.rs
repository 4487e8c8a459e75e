//! A small shop as input, and the command to run on it.

pub mod canary;
pub mod istio_api;
pub mod teams;
pub mod validation;

use std::{
    fs,
    path::{Path, PathBuf},
};

use mooring_generator::emit::target::Target;
use snapbox::{
    IntoData as _, assert_data_eq,
    cmd::{Command, OutputAssert, cargo_bin},
    data::Inline,
};

/// A gateway, a route, a Service with a pod, and a policy. Tests change a line of it.
pub const SHOP: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: front
spec:
  gatewayClassName: istio
  listeners:
  - name: http
    port: 80
    protocol: HTTP
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  parentRefs:
  - name: front
  rules:
  - backendRefs:
    - name: web
      port: 80
---
apiVersion: v1
kind: Service
metadata:
  name: web
  labels:
    istio.io/persistent-session: mooring
spec:
  ports:
  - name: http
    port: 80
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  labels:
    kubernetes.io/service-name: web
addressType: IPv4
ports:
- name: http
  port: 8080
endpoints:
- addresses: [127.0.9.1]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendLBPolicy
metadata:
  name: sticky
spec:
  targetRefs:
  - group: \"\"
    kind: Service
    name: web
  sessionPersistence:
    sessionName: shop
    absoluteTimeout: 1h
    idleTimeout: 10m
    cookieConfig:
      lifetimeType: Permanent
";

/// The shop with one text in place of another, which must be there.
#[must_use]
pub fn shop_with(old: &str, new: &str) -> String {
    assert!(SHOP.contains(old), "the shop has no {old:?}");
    SHOP.replacen(old, new, 1)
}

/// The shop, perhaps changed, with a second Service, to which a canary rule leads testers.
#[must_use]
pub fn with_testers(shop: &str) -> String {
    format!(
        "{shop}---
apiVersion: v1
kind: Service
metadata: {{name: web2}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {{name: testers}}
spec:
  targetRef: {{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}}
  rules:
  - name: testers
    matches: [{{header: {{name: x-tester, value: 'yes'}}}}]
    backendRef: {{name: web2}}
"
    )
}

/// The shop, perhaps changed, without its policy.
#[must_use]
pub fn without_policy(shop: &str) -> String {
    let (rest, _) = shop
        .split_once("---\napiVersion: gateway.networking.k8s.io/v1alpha2")
        .unwrap();
    rest.to_owned()
}

/// An empty directory for a test. The name holds the module: tests run at the same time.
#[must_use]
pub fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}

/// Writes a file below a directory.
pub fn write(directory: &Path, file: &str, content: impl AsRef<[u8]>) {
    let file = directory.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// The command, without arguments.
#[must_use]
pub fn mooring() -> Command {
    Command::new(cargo_bin("mooring"))
}

/// Where the module is: a URL of which nothing is to be said.
pub const WASM: &str = "https://registry.example/mooring.wasm";

/// `mooring generate` for Istio on a text. `mooring validate` finds the same.
#[track_caller]
pub fn generate(input: &str) -> OutputAssert {
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", WASM])
        .stdin(input)
        .assert();
    validation::assert_same(&run, Target::Istio, input);
    run
}

/// `mooring generate` for a local Envoy on a text. `mooring validate` finds the same.
#[track_caller]
pub fn generate_envoy(input: &str) -> OutputAssert {
    let run = mooring()
        .args(["generate", "-f", "-", "--target", "envoy", "--wasm", "mooring.wasm"])
        .stdin(input)
        .assert();
    validation::assert_same(&run, Target::Envoy, input);
    run
}

/// What a run says before it lists what is left out.
pub const LEFT_OUT: &str = "left out because of errors: ";

/// Asserts that a run said this, wrote the rest, and named what it left out.
#[track_caller]
pub fn refused(run: OutputAssert, message: Inline) {
    let run = run.code(3);
    let stderr = said(&run);
    let (said, left_out) = stderr
        .rsplit_once(LEFT_OUT)
        .unwrap_or_else(|| panic!("nothing is left out: {stderr}"));
    assert!(left_out.ends_with(")\n") && left_out.lines().count() == 1, "{left_out}");
    assert_data_eq!(said, message.raw());
}

/// Asserts that a run said this and wrote nothing.
#[track_caller]
pub fn nothing_written(run: OutputAssert, message: Inline) {
    let run = run.code(1).stdout_eq("");
    assert_data_eq!(said(&run), message.raw());
}

/// Asserts that a run said this and left nothing out.
#[track_caller]
pub fn passed_over(run: OutputAssert, message: Inline) {
    assert_data_eq!(said(&run.code(0)), message.raw());
}

/// What is said of the shop in the end.
pub const SHOP_IS_READ: &str =
    "read 5 objects (1 BackendLBPolicy, 1 Gateway, 1 HTTPRoute, 1 Service, 1 EndpointSlice)\n";

/// What a run said before the line that counts what was read, with which it ends unless there was nothing to read.
#[must_use]
pub fn said(run: &OutputAssert) -> String {
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    let count = stderr.lines().last().filter(|line| line.starts_with("read "));
    let said = count.map(|line| stderr.strip_suffix(&format!("{line}\n")).unwrap().to_owned());
    said.unwrap_or(stderr)
}

/// The exit status of `mooring generate` with more flags, and what it said.
#[must_use]
pub fn findings(flags: &[&str], input: &str) -> (Option<i32>, String) {
    let run = mooring().args(["generate", "-f", "-", "--wasm", WASM]).args(flags);
    let run = run.stdin(input).assert();
    (run.get_output().status.code(), said(&run))
}

/// The namespaces and names of objects.
#[must_use]
pub fn ids(objects: &[&serde_json::Value]) -> Vec<String> {
    let text = |object: &serde_json::Value, field: &str| object["metadata"][field].as_str().unwrap().to_owned();
    let ids = objects.iter();
    ids.map(|object| format!("{}/{}", text(object, "namespace"), text(object, "name")))
        .collect()
}

/// What came out of a run that succeeded: JSON, and the first lines of what was said.
pub struct Generated {
    /// The objects: a List, or the bootstrap of Envoy.
    pub value: serde_json::Value,
    /// `warning[Code]: message` and the like.
    pub findings: Vec<String>,
}

impl Generated {
    /// Generates for Istio.
    #[must_use]
    pub fn istio(input: &str) -> Self {
        Self::new(&["--wasm", WASM], input)
    }

    /// Generates for Istio with more flags.
    #[must_use]
    pub fn istio_with(flags: &[&str], input: &str) -> Self {
        Self::new(&[&["--wasm", WASM], flags].concat(), input)
    }

    /// Generates for a local Envoy.
    #[must_use]
    pub fn envoy(input: &str) -> Self {
        Self::new(&["--target", "envoy", "--wasm", "mooring.wasm"], input)
    }

    fn new(flags: &[&str], input: &str) -> Self {
        let run = mooring()
            .args(["generate", "-f", "-", "-o", "json"])
            .args(flags)
            .stdin(input)
            .assert();
        let output = run.success();
        let output = output.get_output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let kinds = ["warning[", "note["];
        let first_lines = stderr
            .lines()
            .filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
        Self {
            value: serde_json::from_slice(&output.stdout).unwrap(),
            findings: first_lines.map(str::to_owned).collect(),
        }
    }

    /// The value under a JSON pointer, which must be there.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &serde_json::Value {
        let value = self.value.pointer(pointer);
        value.unwrap_or_else(|| panic!("nothing at {pointer} in {:#}", self.value))
    }

    /// The objects of a kind, in their order.
    #[must_use]
    pub fn objects(&self, kind: &str) -> Vec<&serde_json::Value> {
        let items = self.value.get("items").and_then(serde_json::Value::as_array);
        let items = items.map_or(std::slice::from_ref(&self.value), Vec::as_slice);
        items.iter().filter(|item| item["kind"] == kind).collect()
    }

    /// The first object of a kind, which must be there.
    #[must_use]
    pub fn first(&self, kind: &str) -> &serde_json::Value {
        let objects = self.objects(kind);
        objects
            .first()
            .unwrap_or_else(|| panic!("no {kind} in {:#}", self.value))
    }

    /// The patches of all `EnvoyFilter`s that apply to this.
    #[must_use]
    pub fn patches(&self, apply_to: &str) -> Vec<&serde_json::Value> {
        let filters = self.objects("EnvoyFilter").into_iter();
        let patches = filters.filter_map(|filter| filter.pointer("/spec/configPatches")?.as_array());
        patches.flatten().filter(|patch| patch["applyTo"] == apply_to).collect()
    }

    /// What a virtual host is patched with, by its name.
    #[must_use]
    pub fn virtual_host(&self, name: &str) -> &serde_json::Value {
        let patches = self.patches("VIRTUAL_HOST").into_iter();
        let mut patches = patches.filter(|patch| patch["match"]["routeConfiguration"]["vhost"]["name"] == name);
        let (Some(patch), None) = (patches.next(), patches.next()) else {
            panic!("not one patch for {name} in {:#}", self.value);
        };
        &patch["patch"]["value"]
    }

    /// The names of the virtual hosts that are patched.
    #[must_use]
    pub fn virtual_hosts(&self) -> Vec<&str> {
        let patches = self.patches("VIRTUAL_HOST").into_iter();
        patches
            .map(|patch| {
                assert_eq!(patch["patch"]["operation"], "MERGE");
                let name = patch.pointer("/match/routeConfiguration/vhost/name");
                name.and_then(serde_json::Value::as_str).unwrap()
            })
            .collect()
    }

    /// A rule of the first plugin configuration.
    #[must_use]
    pub fn rule(&self, position: usize) -> &serde_json::Value {
        let rule = self
            .first("WasmPlugin")
            .pointer(&format!("/spec/pluginConfig/rules/{position}"));
        rule.unwrap_or_else(|| panic!("no rule {position} in {:#}", self.value))
    }

    /// The canaries of the first plugin configuration.
    #[must_use]
    pub fn canaries(&self) -> &serde_json::Value {
        let canaries = self.first("WasmPlugin").pointer("/spec/pluginConfig/canaries");
        canaries.unwrap_or_else(|| panic!("no canaries in {:#}", self.value))
    }

    /// The session of a rule of the first plugin configuration.
    #[must_use]
    pub fn session(&self, position: usize) -> &serde_json::Value {
        let session = self.rule(position).get("session");
        session.unwrap_or_else(|| panic!("no session in {:#}", self.rule(position)))
    }
}

/// The annotations of an object for the newest Istio: those of all objects and these.
#[must_use]
pub fn annotations(of_its_own: &[(&str, &str)]) -> serde_json::Value {
    let of_all = [
        ("mooring.dev/istio-version", "1.31"),
        ("mooring.dev/version", env!("CARGO_PKG_VERSION")),
    ];
    let all = of_all.iter().chain(of_its_own);
    all.map(|(name, value)| (*name, *value)).collect()
}

/// The values of a field of each of these, as a text.
#[must_use]
pub fn texts<'v>(values: &[&'v serde_json::Value], pointer: &str) -> Vec<&'v str> {
    let text = |value: &&'v serde_json::Value| value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap();
    values.iter().map(text).collect()
}
