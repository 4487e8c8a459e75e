//! The Gateway API objects of a scenario, as the YAML that a user would write, and what `mooring generate` makes of them.

#![expect(
    clippy::format_push_string,
    reason = "a template reads best in one piece, and nothing here is hot"
)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Output},
};

use crate::{address, bootstrap::Bootstrap, canary::Canary, pod::Pod, scratch, settings};

/// The namespace of everything that a scenario makes.
pub const NAMESPACE: &str = "shop";

/// The objects of a scenario.
#[derive(Clone, Debug)]
pub struct Manifests {
    documents: Vec<String>,
    ports: Vec<u16>,
}

/// Where a generated configuration listens.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// What stands for port 80 of the Gateway.
    pub listen: SocketAddr,
    /// The admin interface.
    pub admin: SocketAddr,
}

impl Site {
    /// Addresses that nobody else uses.
    pub fn fresh() -> Self {
        Self {
            listen: SocketAddr::from((address::fresh(), 10080)),
            admin: SocketAddr::from((address::fresh(), 9901)),
        }
    }
}

impl Site {
    /// What stands for a port of the Gateway.
    pub fn port(&self, port: u16) -> SocketAddr {
        let base = self.listen.port() - 80;
        SocketAddr::new(self.listen.ip(), base + port)
    }
}

impl Default for Manifests {
    fn default() -> Self {
        Self::new()
    }
}

impl Manifests {
    /// A Gateway `web` with a listener on port 80.
    pub fn new() -> Self {
        Self::of(&format!(
            "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: web
  namespace: {NAMESPACE}
spec:
  gatewayClassName: istio
  listeners:
  - name: http
    port: 80
    protocol: HTTP
"
        ))
    }

    /// These documents and no others.
    pub fn of(documents: &str) -> Self {
        Self {
            documents: vec![documents.to_owned()],
            ports: vec![80],
        }
    }

    /// With Gateways that listen on these ports, instead of on port 80.
    pub fn ports(mut self, ports: &[u16]) -> Self {
        self.ports = ports.to_vec();
        self
    }

    /// With a Service and its endpoints.
    pub fn service(self, service: &Service) -> Self {
        self.yaml(&service.yaml())
    }

    /// With an `HTTPRoute`.
    pub fn route(self, route: &Route) -> Self {
        self.yaml(&route.yaml())
    }

    /// With a policy.
    pub fn policy(self, policy: &Policy) -> Self {
        self.yaml(&policy.yaml())
    }

    /// With canary routing.
    pub fn canary(self, canary: &Canary) -> Self {
        self.yaml(&canary.yaml())
    }

    /// With anything else.
    pub fn yaml(mut self, document: &str) -> Self {
        self.documents.push(document.to_owned());
        self
    }

    /// All documents, as one file.
    pub fn text(&self) -> String {
        self.documents.join("---\n")
    }

    /// Runs `mooring generate --target envoy` on them.
    pub fn generate(&self, site: Site) -> Generated {
        let directory = scratch::directory("manifests");
        std::fs::write(directory.path().join("manifests.yaml"), self.text()).expect("a writable temporary directory");
        let output = Command::new(settings::mooring())
            .args(["generate", "--target", "envoy", "-o", "json", "-f"])
            .arg(directory.path())
            .arg("--wasm")
            .arg(settings::wasm())
            .args(["--admin", &site.admin.to_string()])
            .args(
                self.ports
                    .iter()
                    .flat_map(|port| ["--listen".to_owned(), format!("{port}={}", site.port(*port))]),
            )
            .output()
            .expect("the command starts");
        Generated {
            output,
            manifests: self.text(),
        }
    }
}

/// What a run of `mooring generate` gave.
pub struct Generated {
    output: Output,
    manifests: String,
}

impl Generated {
    /// What it printed on standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// What it printed on standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// The configuration. Anything but success is a failure.
    pub fn bootstrap(&self) -> Bootstrap {
        let context = || format!("{}\n{}", self.stderr(), self.manifests);
        assert!(self.output.status.success(), "{}: {}", self.output.status, context());
        Bootstrap::parse(&self.stdout()).unwrap_or_else(|error| panic!("{error}: {}", context()))
    }
}

/// A Service with its endpoints.
#[derive(Clone, Debug)]
pub struct Service {
    name: String,
    labels: Vec<(String, String)>,
    endpoints: Vec<(Ipv4Addr, Endpoint)>,
}

/// How an endpoint is.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint {
    /// Ready to serve.
    Ready,
    /// Not ready.
    NotReady,
    /// On its way out, but still serving what it has.
    Draining,
}

impl Service {
    /// A Service with these pods, all of them ready.
    pub fn new<'a>(name: &str, pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        let service = Self {
            name: name.to_owned(),
            labels: Vec::new(),
            endpoints: Vec::new(),
        };
        pods.into_iter()
            .fold(service, |service, pod| service.endpoint(pod, Endpoint::Ready))
    }

    /// With one more endpoint.
    pub fn endpoint(mut self, pod: &Pod, endpoint: Endpoint) -> Self {
        self.endpoints.push((pod.ip(), endpoint));
        self
    }

    /// With a label on the Service.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }

    fn yaml(&self) -> String {
        let name = &self.name;
        let mut yaml = format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\n");
        push_map(&mut yaml, "labels", &self.labels);
        yaml.push_str(&format!(
            "spec:
  selector:
    app: {name}
  ports:
  - name: http
    port: 80
    targetPort: 8080
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-x7k2p
  namespace: {NAMESPACE}
  labels:
    kubernetes.io/service-name: {name}
addressType: IPv4
ports:
- name: http
  port: 8080
  protocol: TCP
endpoints:{}
",
            if self.endpoints.is_empty() { " []" } else { "" }
        ));
        for (address, endpoint) in &self.endpoints {
            let (ready, serving, terminating) = match endpoint {
                Endpoint::Ready => (true, true, false),
                Endpoint::NotReady => (false, false, false),
                Endpoint::Draining => (false, true, true),
            };
            yaml.push_str(&format!(
                "- addresses:
  - {address}
  conditions:
    ready: {ready}
    serving: {serving}
    terminating: {terminating}
"
            ));
        }
        yaml
    }
}

/// An `HTTPRoute` on the Gateway.
#[derive(Clone, Debug)]
pub struct Route {
    name: String,
    annotations: Vec<(String, String)>,
    hosts: Vec<String>,
    rules: Vec<Rule>,
}

/// A rule of a route.
#[derive(Clone, Debug)]
pub struct Rule {
    prefix: String,
    backends: Vec<(String, u32)>,
    persistence: Option<Persistence>,
}

impl Route {
    /// A route without rules.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            annotations: Vec::new(),
            hosts: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Only for this host name.
    pub fn host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    /// A route that sends everything to one Service.
    pub fn to(service: &str) -> Self {
        Self::new(service).rule(Rule::to(service))
    }

    /// With one more rule.
    pub fn rule(mut self, rule: Rule) -> Self {
        // Inline persistence has no room for what is not in the Gateway API, so the route carries its annotations.
        if let Some(persistence) = &rule.persistence {
            self.annotations.extend(persistence.annotations.iter().cloned());
        }
        self.rules.push(rule);
        self
    }

    fn yaml(&self) -> String {
        let mut yaml = format!(
            "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {}
  namespace: {NAMESPACE}
",
            self.name
        );
        push_map(&mut yaml, "annotations", &self.annotations);
        yaml.push_str("spec:\n  parentRefs:\n  - name: web\n");
        if !self.hosts.is_empty() {
            yaml.push_str("  hostnames:\n");
        }
        for host in &self.hosts {
            yaml.push_str(&format!("  - {host}\n"));
        }
        yaml.push_str("  rules:\n");
        for rule in &self.rules {
            yaml.push_str(&format!(
                "  - matches:
    - path:
        type: PathPrefix
        value: {}
    backendRefs:
",
                rule.prefix
            ));
            for (service, weight) in &rule.backends {
                yaml.push_str(&format!(
                    "    - name: {service}\n      port: 80\n      weight: {weight}\n"
                ));
            }
            if let Some(persistence) = &rule.persistence {
                yaml.push_str(&persistence.yaml("    "));
            }
        }
        yaml
    }
}

impl Rule {
    /// Everything goes to one Service.
    pub fn to(service: &str) -> Self {
        Self::split(&[(service, 1)])
    }

    /// Services by weight.
    pub fn split(backends: &[(&str, u32)]) -> Self {
        let backends = backends
            .iter()
            .map(|(service, weight)| ((*service).to_owned(), *weight));
        Self {
            prefix: "/".to_owned(),
            backends: backends.collect(),
            persistence: None,
        }
    }

    /// Only below a path.
    pub fn below(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// With persistence written into the rule.
    pub fn persistence(mut self, persistence: Persistence) -> Self {
        self.persistence = Some(persistence);
        self
    }
}

/// `sessionPersistence`, and what Mooring reads from annotations beside it.
#[derive(Clone, Debug)]
pub struct Persistence {
    fields: Vec<(String, String)>,
    lifetime: Option<String>,
    annotations: Vec<(String, String)>,
}

impl Persistence {
    /// In a cookie of this name.
    pub fn cookie(name: &str) -> Self {
        Self {
            fields: vec![("sessionName".to_owned(), name.to_owned())],
            lifetime: None,
            annotations: Vec::new(),
        }
    }

    /// In a header of this name.
    pub fn header(name: &str) -> Self {
        Self::cookie(name).field("type", "Header")
    }

    /// With an `absoluteTimeout`.
    pub fn absolute(self, timeout: &str) -> Self {
        self.field("absoluteTimeout", timeout)
    }

    /// With an `idleTimeout`.
    pub fn idle(self, timeout: &str) -> Self {
        self.field("idleTimeout", timeout)
    }

    /// With `lifetimeType: Permanent`.
    pub fn permanent(mut self) -> Self {
        self.lifetime = Some("Permanent".to_owned());
        self
    }

    /// With an annotation `mooring.dev/<name>`.
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.push((format!("mooring.dev/{name}"), value.to_owned()));
        self
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn yaml(&self, indent: &str) -> String {
        let mut yaml = format!("{indent}sessionPersistence:\n");
        for (name, value) in &self.fields {
            yaml.push_str(&format!("{indent}  {name}: {value}\n"));
        }
        if let Some(lifetime) = &self.lifetime {
            yaml.push_str(&format!(
                "{indent}  cookieConfig:\n{indent}    lifetimeType: {lifetime}\n"
            ));
        }
        yaml
    }
}

/// The kinds of policy that carry persistence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `BackendLBPolicy`, Gateway API 1.1 and 1.2.
    BackendLb,
    /// `XBackendTrafficPolicy`, Gateway API 1.3 to 1.5.
    XBackendTraffic,
}

/// A policy on one Service.
#[derive(Clone, Debug)]
pub struct Policy {
    service: String,
    dialect: Dialect,
    persistence: Persistence,
}

impl Policy {
    /// A `BackendLBPolicy`.
    pub fn on(service: &str, persistence: Persistence) -> Self {
        Self {
            service: service.to_owned(),
            dialect: Dialect::BackendLb,
            persistence,
        }
    }

    /// Of another kind.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// As the YAML that a user would write.
    pub fn yaml(&self) -> String {
        let (group, kind) = match self.dialect {
            Dialect::BackendLb => ("gateway.networking.k8s.io/v1alpha2", "BackendLBPolicy"),
            Dialect::XBackendTraffic => ("gateway.networking.x-k8s.io/v1alpha1", "XBackendTrafficPolicy"),
        };
        let service = &self.service;
        let mut yaml = format!(
            "apiVersion: {group}
kind: {kind}
metadata:
  name: {service}-sessions
  namespace: {NAMESPACE}
"
        );
        push_map(&mut yaml, "annotations", &self.persistence.annotations);
        yaml.push_str(&format!(
            "spec:\n  targetRefs:\n  - group: \"\"\n    kind: Service\n    name: {service}\n"
        ));
        yaml.push_str(&self.persistence.yaml("  "));
        yaml
    }
}

fn push_map(yaml: &mut String, name: &str, entries: &[(String, String)]) {
    if !entries.is_empty() {
        yaml.push_str(&format!("  {name}:\n"));
    }
    for (key, value) in entries {
        // As JSON, which is YAML too: `"true"` stays a text.
        yaml.push_str(&format!("    {key}: {value:?}\n"));
    }
}
