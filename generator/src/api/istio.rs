//! `Gateway`, `DestinationRule` and `ServiceEntry` of Istio (`networking.istio.io`, v1, v1beta1 and v1alpha3).
//!
//! The types have only the fields that Mooring reads, because Istio validates these objects itself.
//!
//! This module converts an Istio Gateway into a [`GatewaySpec`] with a selector, and each host of a `ServiceEntry` into
//! a [`ServiceSpec`] with an external host. The other modules see only these types.

use serde::Deserialize;

use super::{
    gateway::{CertificateRef, GatewaySpec, Listener, ListenerTls},
    service::{ServicePort, ServiceSpec},
};
use crate::api::field::{Any, Field, OptionalField, Pairs, Port, list, nullable};

/// `spec` of a `Gateway`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IstioGatewaySpec {
    /// `selector`: the labels of the pods of the gateway. If it is empty, all pods.
    #[serde(default, deserialize_with = "nullable")]
    pub selector: Pairs,
    /// `servers`.
    #[serde(default, deserialize_with = "list")]
    pub servers: Vec<Server>,
}

/// One server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// `name`.
    pub name: OptionalField<String>,
    /// `port`.
    pub port: ServerPort,
    /// `hosts`. A namespace may precede each host.
    #[serde(default, deserialize_with = "list")]
    pub hosts: Vec<Field<String>>,
    /// `tls`.
    pub tls: OptionalField<ServerTls>,
}

/// The protocols that Istio handles as HTTP without TLS, in lower case (istiod: `protocol.Instance.IsHTTP`).
const HTTP: [&str; 5] = ["grpc", "grpc-web", "http", "http_proxy", "http2"];

impl Server {
    /// The equivalent protocol of a Gateway API listener. It is `HTTP` for all protocols that Istio routes as HTTP, and
    /// `HTTPS` for those that it routes as HTTP behind TLS (istiod: `IsHTTPServer`).
    fn protocol(&self) -> Field<String> {
        let written = &self.port.protocol;
        let lower = written.value.to_ascii_lowercase();
        let mode = self.tls.as_ref().and_then(|tls| tls.value.passed_through());
        match (lower.as_str(), mode) {
            (lower, _) if HTTP.contains(&lower) => written.put("HTTP".to_owned()),
            ("https", None) => written.put("HTTPS".to_owned()),
            ("https", Some(mode)) => written.put(format!("HTTPS ({mode})")),
            _ => written.clone(),
        }
    }
}

/// `tls` of a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTls {
    /// `mode`.
    pub mode: Option<String>,
    /// `credentialName`: the Secret with the certificate, in the namespace of the pods of the gateway.
    pub credential_name: OptionalField<String>,
    /// `credentialNames`: several such Secrets.
    #[serde(default, deserialize_with = "list")]
    pub credential_names: Vec<Field<String>>,
    /// `httpsRedirect`.
    #[serde(default, deserialize_with = "nullable")]
    pub https_redirect: bool,
}

impl ServerTls {
    /// The equivalent `tls` of a Gateway API listener.
    fn of_listener(&self) -> ListenerTls {
        let names = self.credential_name.iter().chain(&self.credential_names);
        let reference = |name: &Field<String>| {
            name.put(CertificateRef {
                group: None,
                kind: None,
                name: name.value.clone(),
                namespace: None,
            })
        };
        ListenerTls {
            certificate_refs: names.map(reference).collect(),
            mutual: self.mode.as_deref().is_some_and(|mode| mode.contains("MUTUAL")),
            https_redirect: self.https_redirect,
        }
    }

    /// The TLS mode, if the gateway does not terminate TLS and so cannot see HTTP (istiod: `IsPassThroughServer`).
    fn passed_through(&self) -> Option<&str> {
        let mode = self.mode.as_deref();
        mode.filter(|mode| ["PASSTHROUGH", "AUTO_PASSTHROUGH"].contains(mode))
    }
}

/// The port of a server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerPort {
    /// `number`.
    pub number: Field<Port>,
    /// `protocol`.
    pub protocol: Field<String>,
}

/// `spec` of a `DestinationRule`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationRuleSpec {
    /// `host`.
    pub host: Field<String>,
    /// `subsets`.
    #[serde(default, deserialize_with = "list")]
    pub subsets: Vec<Subset>,
    /// `exportTo`.
    #[serde(default, deserialize_with = "list")]
    pub export_to: Vec<Field<String>>,
    /// `workloadSelector`: the client pods to which the rule applies. If it is absent, all pods.
    pub workload_selector: Option<WorkloadSelector>,
    /// `trafficPolicy`.
    pub traffic_policy: Option<TrafficPolicy>,
}

impl DestinationRuleSpec {
    /// The locations where the rule selects consistent hashing for a subset or for the whole host.
    #[must_use]
    pub fn consistent_hash(&self, subset: Option<&str>) -> Option<&Field<Any>> {
        let subsets = self
            .subsets
            .iter()
            .filter(|one| Some(one.name.value.as_str()) == subset);
        let of_subset = subsets.filter_map(|subset| subset.traffic_policy.as_ref());
        of_subset
            .chain(&self.traffic_policy)
            .find_map(TrafficPolicy::consistent_hash)
    }
}

/// A load balancer policy. Only the fields that Mooring reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficPolicy {
    load_balancer: Option<LoadBalancer>,
    #[serde(default, deserialize_with = "list")]
    port_level_settings: Vec<PortTrafficPolicy>,
}

impl TrafficPolicy {
    fn consistent_hash(&self) -> Option<&Field<Any>> {
        let of_ports = self
            .port_level_settings
            .iter()
            .filter_map(|port| port.load_balancer.as_ref());
        let mut balancers = of_ports.chain(&self.load_balancer);
        balancers.find_map(|balancer| balancer.consistent_hash.as_ref())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortTrafficPolicy {
    load_balancer: Option<LoadBalancer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadBalancer {
    consistent_hash: OptionalField<Any>,
}

/// A selector of pods.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSelector {
    /// `matchLabels`.
    #[serde(default, deserialize_with = "nullable")]
    pub match_labels: Pairs,
}

/// A subset: the pods of the host with these labels.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// `name`.
    pub name: Field<String>,
    /// `labels`. If it is empty, all pods of the host.
    #[serde(default, deserialize_with = "nullable")]
    pub labels: Pairs,
    /// `trafficPolicy`. It overrides the policy of the whole host.
    pub traffic_policy: Option<TrafficPolicy>,
}

/// `spec` of a `ServiceEntry`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntrySpec {
    /// `hosts`.
    #[serde(default, deserialize_with = "list")]
    pub hosts: Vec<Field<String>>,
    /// `ports`.
    #[serde(default, deserialize_with = "list")]
    pub ports: Vec<EntryPort>,
    /// `exportTo`.
    #[serde(default, deserialize_with = "list")]
    pub export_to: Vec<Field<String>>,
}

/// A port of a `ServiceEntry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryPort {
    /// `number`.
    pub number: Field<Port>,
    /// `name`.
    pub name: OptionalField<String>,
}

impl ServiceEntrySpec {
    /// Converts each host into a Service.
    pub fn services(&self) -> impl Iterator<Item = ServiceSpec> {
        let port = |port: &EntryPort| ServicePort {
            name: port.name.clone(),
            port: port.number.clone(),
            app_protocol: None,
        };
        self.hosts.iter().map(move |host| ServiceSpec {
            ports: self.ports.iter().map(port).collect(),
            service_type: None,
            external_name: None,
            session_affinity: None,
            selector: Pairs::default(),
            external_host: Some(host.clone()),
            export_to: self.export_to.clone(),
        })
    }
}

impl From<IstioGatewaySpec> for GatewaySpec {
    fn from(spec: IstioGatewaySpec) -> Self {
        let selector = spec.selector.to_map();
        let listeners = spec.servers.into_iter().flat_map(|server| {
            let protocol = server.protocol();
            let tls = server.tls.as_ref().map(|tls| tls.put(tls.value.of_listener()));
            let Server { name, port, hosts, .. } = server;
            hosts.into_iter().map(move |host| {
                let name = name.clone().unwrap_or_else(|| host.put(String::new()));
                let at = host.at;
                let listener = Listener::new(name, host, port.number.clone(), protocol.clone(), tls.clone());
                Field { value: listener, at }
            })
        });
        Self::classic(selector, listeners.collect())
    }
}
