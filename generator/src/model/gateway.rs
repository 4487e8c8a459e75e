//! Gateways of both APIs in one model: a `Gateway` of Istio becomes one with a selector and with a listener per host.

use std::collections::BTreeMap;

use super::http_route::converted;
use crate::{
    api::{
        field::{Any, Field, OptionalField, Port},
        gateway::{self, Address, AllowedListeners, AllowedRoutes, CertificateRef, GatewayTls, SetParent},
        istio::{IstioGatewaySpec, Server, ServerTls},
    },
    kind::Kind,
};

/// The `spec` of a Gateway.
#[derive(Debug)]
pub struct GatewaySpec {
    /// `gatewayClassName`. It is `None` for a gateway of Istio's own API, which has no class.
    pub gateway_class_name: OptionalField<String>,
    /// The listeners.
    pub listeners: Vec<Field<Listener>>,
    /// `addresses`.
    pub addresses: Vec<Field<Address>>,
    /// `allowedListeners`. Without it, no listener set is allowed.
    pub allowed_listeners: Option<AllowedListeners>,
    /// `backendTLS`.
    pub backend_tls: OptionalField<Any>,
    /// `tls`.
    pub tls: OptionalField<GatewayTls>,
    /// The labels that select the pods of a gateway of Istio's own API. It is `None` for a Gateway of Gateway API.
    pub selector: Option<BTreeMap<String, String>>,
    /// `status.listeners[].attachedRoutes`, by listener name.
    pub attached_routes: BTreeMap<String, Field<u32>>,
}

/// One listener.
#[derive(Debug)]
pub struct Listener {
    /// `name`.
    pub name: Field<String>,
    /// `hostname`. If it is absent or empty, every host.
    pub hostname: OptionalField<String>,
    /// `port`.
    pub port: Field<Port>,
    /// `protocol`.
    pub protocol: Field<String>,
    /// `tls`.
    pub tls: OptionalField<ListenerTls>,
    /// `allowedRoutes`.
    pub allowed_routes: Option<AllowedRoutes>,
}

/// The `tls` of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// The certificates.
    pub certificate_refs: Vec<Field<CertificateRef>>,
    /// For a server of Istio: whether it asks clients for certificates.
    pub mutual: bool,
    /// For a server of Istio: whether it redirects clients without TLS to HTTPS.
    pub https_redirect: bool,
}

/// The `spec` of a `ListenerSet`.
#[derive(Debug)]
pub struct ListenerSetSpec {
    /// `parentRef`: the Gateway.
    pub parent_ref: SetParent,
    /// `listeners`.
    pub listeners: Vec<Field<Listener>>,
}

impl GatewaySpec {
    /// The API to which the gateway belongs.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.selector {
            Some(_) => Kind::IstioGateway,
            None => Kind::Gateway,
        }
    }
}

impl Listener {
    /// The host name; `*` matches every host. In a gateway of Istio's own API, a namespace may precede it.
    #[must_use]
    pub fn host(&self) -> &str {
        let hostname = self.hostname.as_ref().map_or("", |hostname| &hostname.value);
        if hostname.is_empty() { "*" } else { hostname }
    }

    /// Whether the gateway routes the traffic of this listener as HTTP.
    #[must_use]
    pub fn speaks_http(&self) -> bool {
        ["HTTP", "HTTPS"].contains(&self.protocol.value.as_str())
    }
}

impl From<gateway::GatewaySpec> for GatewaySpec {
    fn from(spec: gateway::GatewaySpec) -> Self {
        Self {
            gateway_class_name: Some(spec.gateway_class_name),
            listeners: converted(spec.listeners),
            addresses: spec.addresses,
            allowed_listeners: spec.allowed_listeners,
            backend_tls: spec.backend_tls,
            tls: spec.tls,
            selector: None,
            attached_routes: BTreeMap::new(),
        }
    }
}

impl From<gateway::ListenerSetSpec> for ListenerSetSpec {
    fn from(spec: gateway::ListenerSetSpec) -> Self {
        Self {
            parent_ref: spec.parent_ref,
            listeners: converted(spec.listeners),
        }
    }
}

impl From<gateway::Listener> for Listener {
    fn from(listener: gateway::Listener) -> Self {
        Self {
            name: listener.name,
            hostname: listener.hostname,
            port: listener.port,
            protocol: listener.protocol,
            tls: listener.tls.map(|tls| {
                tls.put(ListenerTls {
                    certificate_refs: tls.value.certificate_refs.clone(),
                    mutual: false,
                    https_redirect: false,
                })
            }),
            allowed_routes: listener.allowed_routes,
        }
    }
}

impl From<IstioGatewaySpec> for GatewaySpec {
    fn from(spec: IstioGatewaySpec) -> Self {
        let listeners = spec.servers.into_iter().flat_map(listeners);
        Self {
            gateway_class_name: None,
            listeners: listeners.collect(),
            addresses: Vec::new(),
            allowed_listeners: None,
            backend_tls: None,
            tls: None,
            selector: Some(spec.selector.to_map()),
            attached_routes: BTreeMap::new(),
        }
    }
}

/// The listeners of a server: one per host.
fn listeners(server: Server) -> impl Iterator<Item = Field<Listener>> {
    let protocol = protocol(&server);
    let tls = server.tls.as_ref().map(|tls| tls.put(listener_tls(&tls.value)));
    let Server { name, port, hosts, .. } = server;
    hosts.into_iter().map(move |host| {
        let at = host.at;
        let listener = Listener {
            name: name.clone().unwrap_or_else(|| host.put(String::new())),
            hostname: Some(host),
            port: port.number.clone(),
            protocol: protocol.clone(),
            tls: tls.clone(),
            allowed_routes: None,
        };
        Field { value: listener, at }
    })
}

/// The protocols that Istio handles as HTTP without TLS, in lower case (istiod: `protocol.Instance.IsHTTP`).
const HTTP: [&str; 5] = ["grpc", "grpc-web", "http", "http_proxy", "http2"];

/// The equivalent protocol of a Gateway API listener. It is `HTTP` for all protocols that Istio routes as HTTP, and
/// `HTTPS` for those that it routes as HTTP behind TLS (istiod: `IsHTTPServer`).
fn protocol(server: &Server) -> Field<String> {
    let written = &server.port.protocol;
    let lower = written.value.to_ascii_lowercase();
    let mode = server.tls.as_ref().and_then(|tls| passed_through(&tls.value));
    match (lower.as_str(), mode) {
        (lower, _) if HTTP.contains(&lower) => written.put("HTTP".to_owned()),
        ("https", None) => written.put("HTTPS".to_owned()),
        ("https", Some(mode)) => written.put(format!("HTTPS ({mode})")),
        _ => written.clone(),
    }
}

/// The equivalent `tls` of a Gateway API listener.
fn listener_tls(tls: &ServerTls) -> ListenerTls {
    let names = tls.credential_name.iter().chain(&tls.credential_names);
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
        mutual: tls.mode.as_deref().is_some_and(|mode| mode.contains("MUTUAL")),
        https_redirect: tls.https_redirect,
    }
}

/// The TLS mode, if the gateway does not terminate TLS and so cannot see HTTP (istiod: `IsPassThroughServer`).
fn passed_through(tls: &ServerTls) -> Option<&str> {
    let mode = tls.mode.as_deref();
    mode.filter(|mode| ["PASSTHROUGH", "AUTO_PASSTHROUGH"].contains(mode))
}
