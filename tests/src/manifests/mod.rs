//! The objects of a scenario, as the YAML that a user would write, and what `mooring generate` makes of them.

mod canary;
mod object;
mod persistence;
mod route;
mod service;

use std::{
    net::SocketAddr,
    process::{Command, Output},
};

use serde_json::json;

use self::object::{object, yaml};
pub use self::{
    canary::{Canary, Match, Source},
    object::NAMESPACE,
    persistence::{Dialect, Persistence, Policy},
    route::{Route, Rule},
    service::{Endpoint, Service},
};
use crate::{address, bootstrap::Bootstrap, scratch, settings};

/// The objects of a scenario.
#[derive(Clone, Debug)]
pub struct Manifests {
    documents: Vec<String>,
    ports: Vec<u16>,
    sidecar: bool,
    flags: Vec<String>,
}

/// Where a generated configuration listens.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The address for port 80 of the Gateway.
    pub listen: SocketAddr,
    /// The admin interface.
    pub admin: SocketAddr,
}

impl Site {
    /// Addresses that nothing else uses.
    pub fn fresh() -> Self {
        Self {
            listen: SocketAddr::from((address::fresh(), 10080)),
            admin: SocketAddr::from((address::fresh(), 9901)),
        }
    }

    /// The address for a port of the Gateway.
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
        let listener = json!({"name": "http", "port": 80, "protocol": "HTTP"});
        let spec = json!({"gatewayClassName": "istio", "listeners": [listener]});
        let gateway = object("gateway.networking.k8s.io/v1", "Gateway", "web", json!({"spec": spec}));
        Self::of(&yaml(&gateway))
    }

    /// The same, as a Gateway of Istio's own API, for every host.
    pub fn istio() -> Self {
        let server = json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]});
        let spec = json!({"selector": {"istio": "ingressgateway"}, "servers": [server]});
        let gateway = object("networking.istio.io/v1", "Gateway", "web", json!({"spec": spec}));
        Self::of(&yaml(&gateway))
    }

    /// No Gateway: Envoy is the sidecar of a pod of the scenario's namespace.
    pub fn sidecar() -> Self {
        Self {
            documents: Vec::new(),
            ports: vec![80],
            sidecar: true,
            flags: Vec::new(),
        }
    }

    /// These documents and no others.
    pub fn of(documents: &str) -> Self {
        Self {
            documents: vec![documents.to_owned()],
            ports: vec![80],
            sidecar: false,
            flags: Vec::new(),
        }
    }

    /// With Gateways that listen on these ports, instead of on port 80.
    pub fn ports(mut self, ports: &[u16]) -> Self {
        self.ports = ports.to_vec();
        self
    }

    /// With `--access-log`.
    pub fn access_log(self) -> Self {
        self.flag("--access-log")
    }

    /// With a flag of `mooring generate`.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// With a Service and its endpoints.
    pub fn service(self, service: &Service) -> Self {
        self.yaml(&service.service_yaml()).yaml(&service.endpoints_yaml())
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
            .args(&self.flags)
            .args(
                self.sidecar
                    .then_some(["--as-sidecar", NAMESPACE])
                    .into_iter()
                    .flatten(),
            )
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
