//! `Gateway` and `GatewayClass` (`gateway.networking.k8s.io`, v1beta1 and v1).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::api::field::{Any, Field, OptionalField, Pairs, Port, list, nullable};

/// `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewaySpec {
    /// `gatewayClassName`.
    pub gateway_class_name: Field<String>,
    /// `listeners`.
    #[serde(default, deserialize_with = "list")]
    pub listeners: Vec<Field<Listener>>,
    /// `addresses`.
    #[serde(default, deserialize_with = "list")]
    pub addresses: Vec<Field<Address>>,
    /// `infrastructure`: how the gateway is deployed. It does not affect routing.
    #[serde(rename = "infrastructure")]
    _infrastructure: Option<Any>,
    /// `allowedListeners` (1.3 and later). Without it, no listener set is allowed.
    pub allowed_listeners: Option<AllowedListeners>,
    /// `backendTLS` (1.1 to 1.3).
    #[serde(rename = "backendTLS")]
    pub backend_tls: OptionalField<Any>,
    /// `tls` (1.4 and later).
    pub tls: OptionalField<GatewayTls>,
    /// `defaultScope` (1.4 and later).
    #[serde(rename = "defaultScope")]
    _default_scope: Option<Any>,
}

/// The fields of `status` that Mooring reads.
#[derive(Debug, Default, Deserialize)]
pub struct GatewayStatus {
    /// `listeners`.
    #[serde(default, deserialize_with = "list")]
    listeners: Vec<ListenerStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListenerStatus {
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    attached_routes: OptionalField<u32>,
}

impl GatewayStatus {
    /// The `attachedRoutes` of each listener, by listener name.
    #[must_use]
    pub fn attached_routes(self) -> BTreeMap<String, Field<u32>> {
        let counted = self.listeners.into_iter();
        counted
            .filter_map(|listener| Some((listener.name, listener.attached_routes?)))
            .collect()
    }
}

/// One address. A host name identifies the Service of a gateway that istiod does not deploy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// `type`. The default is `IPAddress`.
    #[serde(rename = "type")]
    pub address_type: OptionalField<String>,
    /// `value`. If it is absent, any address (1.3 and later).
    pub value: OptionalField<String>,
}

/// The fields of the `spec` of a `GatewayClass` that identify its controller.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// `controllerName`.
    pub controller_name: Field<String>,
}

/// One listener.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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

/// The fields of the `tls` of a Gateway that say which clients must present a certificate.
#[derive(Debug, Deserialize)]
pub struct GatewayTls {
    /// `frontend`.
    frontend: Option<Frontend>,
}

/// `tls.frontend`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frontend {
    default: Option<FrontendTls>,
    #[serde(default, deserialize_with = "list")]
    per_port: Vec<FrontendPort>,
}

/// `tls.frontend.perPort`.
#[derive(Debug, Deserialize)]
struct FrontendPort {
    port: Port,
    tls: Option<FrontendTls>,
}

#[derive(Debug, Deserialize)]
struct FrontendTls {
    validation: Option<Validation>,
}

/// How client certificates are validated.
#[derive(Debug, Deserialize)]
struct Validation {
    mode: Option<String>,
}

impl GatewayTls {
    /// Whether clients on this port must present a certificate.
    #[must_use]
    pub fn demands_certificates(&self, port: Port) -> bool {
        let Some(frontend) = &self.frontend else { return false };
        let own = frontend.per_port.iter().find(|one| one.port == port);
        let tls = own.map_or(frontend.default.as_ref(), |own| own.tls.as_ref());
        let validation = tls.and_then(|tls| tls.validation.as_ref());
        validation.is_some_and(|validation| validation.mode.as_deref() != Some("AllowInsecureFallback"))
    }
}

/// The fields of the `tls` of a listener that select the certificate of the gateway.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// `certificateRefs`.
    #[serde(default, deserialize_with = "list")]
    pub certificate_refs: Vec<Field<CertificateRef>>,
}

/// A reference to a certificate, by default in a Secret.
#[derive(Clone, Debug, Deserialize)]
pub struct CertificateRef {
    /// `group`. If it is absent or empty, the core group.
    pub group: Option<String>,
    /// `kind`. The default is `Secret`.
    pub kind: Option<String>,
    /// `name`.
    pub name: String,
    /// `namespace`. The default is the namespace of the gateway.
    pub namespace: Option<String>,
}

/// `allowedListeners`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedListeners {
    /// `namespaces`. Without it, no namespace is allowed.
    pub namespaces: Option<RouteNamespaces>,
}

/// `spec` of a `ListenerSet` (v1, 1.5 and later) or an `XListenerSet` (v1alpha1, 1.3 and later).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerSetSpec {
    /// `parentRef`: the Gateway.
    pub parent_ref: SetParent,
    /// `listeners`.
    #[serde(default, deserialize_with = "entries")]
    pub listeners: Vec<Field<Listener>>,
}

/// The Gateway of a `ListenerSet`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetParent {
    /// `group`. The default is the group of Gateway API.
    pub group: OptionalField<String>,
    /// `kind`. The default is `Gateway`.
    pub kind: OptionalField<String>,
    /// `namespace`. The default is the namespace of the `ListenerSet`.
    pub namespace: OptionalField<String>,
    /// `name`.
    pub name: Field<String>,
}

/// A listener whose port is optional. The default port depends on the protocol (istiod: `ListenerEntryPortNumber`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListenerEntry {
    name: Field<String>,
    hostname: OptionalField<String>,
    port: OptionalField<u16>,
    protocol: Field<String>,
    tls: OptionalField<ListenerTls>,
    allowed_routes: Option<AllowedRoutes>,
    #[serde(rename = "filters")]
    _filters: Option<Any>,
}

fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Field<Listener>>, D::Error> {
    let entries: Vec<Field<ListenerEntry>> = list(deserializer)?;
    let listeners = entries.into_iter().map(|entry| {
        let at = entry.at;
        let listener = entry
            .value
            .into_listener()
            .ok_or_else(|| de::Error::custom("a listener whose protocol is not HTTP or HTTPS needs a `port`"))?;
        Ok(Field { value: listener, at })
    });
    listeners.collect()
}

impl ListenerEntry {
    fn into_listener(self) -> Option<Listener> {
        let written = self.port.filter(|port| port.value != 0);
        let of_protocol = match self.protocol.value.as_str() {
            "HTTP" => Some(self.protocol.put(80)),
            "HTTPS" => Some(self.protocol.put(443)),
            _ => None,
        };
        let port = written.or(of_protocol)?;
        Some(Listener {
            name: self.name,
            hostname: self.hostname,
            port: port.put(Port::new(port.value)?),
            protocol: self.protocol,
            tls: self.tls,
            allowed_routes: self.allowed_routes,
        })
    }
}

/// `allowedRoutes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRoutes {
    /// `namespaces`.
    pub namespaces: Option<RouteNamespaces>,
    /// `kinds`. If it is empty, all kinds that the protocol supports.
    #[serde(default, deserialize_with = "list")]
    pub kinds: Vec<RouteGroupKind>,
}

/// `allowedRoutes.namespaces`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteNamespaces {
    /// `from`. The default is `Same`.
    pub from: OptionalField<FromNamespaces>,
    /// `selector`.
    pub selector: Option<LabelSelector>,
}

/// The namespaces from which a listener accepts routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum FromNamespaces {
    /// All namespaces.
    All,
    /// The namespaces that match the selector.
    Selector,
    /// The namespace of the Gateway.
    Same,
    /// No namespace (1.3 and later).
    None,
}

/// A label selector. A label set must fulfil all of its parts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// `matchLabels`.
    #[serde(default, deserialize_with = "nullable")]
    pub match_labels: Pairs,
    /// `matchExpressions`.
    #[serde(default, deserialize_with = "list")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// The condition of a selector on one label.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelRequirement {
    /// `key`: the name of the label.
    pub key: String,
    /// `operator`.
    pub operator: LabelOperator,
    /// `values`.
    #[serde(default, deserialize_with = "list")]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum LabelOperator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or does not exist.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
}

/// A kind of route.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteGroupKind {
    /// `group`. The default is the group of Gateway API.
    pub group: OptionalField<String>,
    /// `kind`.
    pub kind: Field<String>,
}
