//! `Service` (v1) and `EndpointSlice` (`discovery.k8s.io/v1`).
//!
//! Unknown fields of these types are ignored. Kubernetes adds fields to them in almost every release, and they never
//! hold a session policy.

use serde::Deserialize;

use crate::api::{
    field::{Field, OptionalField, Pairs, Port, Text, list, nullable},
    object::Metadata,
};

/// `Service`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ports`.
    #[serde(default, deserialize_with = "list")]
    pub ports: Vec<ServicePort>,
    /// `type`.
    #[serde(rename = "type")]
    pub service_type: OptionalField<String>,
    /// `externalName`.
    pub external_name: OptionalField<String>,
    /// `sessionAffinity`.
    pub session_affinity: OptionalField<String>,
    /// `selector`: the labels of its pods.
    #[serde(default, deserialize_with = "nullable")]
    pub selector: Pairs,
}

/// One port of a Service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// `name`. It may be absent if the Service has only one port.
    pub name: OptionalField<String>,
    /// `port`.
    pub port: Field<Port>,
    /// `appProtocol`.
    pub app_protocol: OptionalField<String>,
}

impl ServicePort {
    /// The protocol of the port, as Istio determines it: from `appProtocol`, or else from the first part of the name.
    /// It is `None` if neither declares a protocol.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        if let Some(protocol) = &self.app_protocol {
            return Protocol::of_app(&protocol.value);
        }
        let name = self.name.as_ref()?.value.to_ascii_lowercase();
        if name == "grpc-web" || name.starts_with("grpc-web-") {
            return Some(Protocol::Http2);
        }
        Protocol::of_name(name.split_once('-').map_or(name.as_str(), |(first, _)| first))
    }
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2, which gRPC requires.
    Http2,
    /// HTTP/1.1.
    Http,
    /// Another known protocol.
    Other,
}

impl Protocol {
    /// Whether Envoy routes the requests of such a port.
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2)
    }

    fn of_app(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "kubernetes.io/h2c" => Some(Self::Http2),
            "kubernetes.io/ws" | "kubernetes.io/wss" => Some(Self::Http),
            other => Self::of_name(other),
        }
    }

    fn of_name(text: &str) -> Option<Self> {
        match text {
            "grpc" | "grpc-web" | "http2" => Some(Self::Http2),
            "http" => Some(Self::Http),
            "https" | "mongo" | "mysql" | "redis" | "tcp" | "tls" | "udp" => Some(Self::Other),
            _ => None,
        }
    }
}

/// `Pod`. Its labels select subsets and gateways, and the arguments of istiod contain the cluster domain.
#[derive(Debug, Deserialize)]
pub struct Pod {
    /// `metadata`.
    pub metadata: Metadata,
    /// `spec`.
    #[serde(default, deserialize_with = "nullable")]
    pub spec: PodSpec,
}

/// `spec` of a pod.
#[derive(Debug, Default, Deserialize)]
pub struct PodSpec {
    /// `containers`.
    #[serde(default, deserialize_with = "list")]
    pub containers: Vec<Container>,
}

/// A container of a pod.
#[derive(Debug, Deserialize)]
pub struct Container {
    /// `args`.
    #[serde(default, deserialize_with = "list")]
    pub args: Vec<Text>,
}

/// `Deployment`, `DaemonSet` and `StatefulSet`, for the labels of the pods that they create.
#[derive(Debug, Deserialize)]
pub struct PodController {
    /// `metadata`.
    pub metadata: Metadata,
    /// `spec`.
    #[serde(default, deserialize_with = "nullable")]
    pub spec: PodControllerSpec,
}

/// `spec` of a `Deployment`, `DaemonSet` or `StatefulSet`.
#[derive(Debug, Default, Deserialize)]
pub struct PodControllerSpec {
    /// `template`.
    #[serde(default, deserialize_with = "nullable")]
    pub template: PodTemplate,
}

/// The template of the pods.
#[derive(Debug, Default, Deserialize)]
pub struct PodTemplate {
    /// `metadata`.
    #[serde(default, deserialize_with = "nullable")]
    pub metadata: TemplateMetadata,
    /// `spec`.
    #[serde(default, deserialize_with = "nullable")]
    pub spec: PodSpec,
}

/// `metadata` of a template. A template has no name.
#[derive(Debug, Default, Deserialize)]
pub struct TemplateMetadata {
    /// `labels`.
    #[serde(default, deserialize_with = "nullable")]
    pub labels: Pairs,
}

/// `Namespace`. Selectors match its labels.
#[derive(Debug, Deserialize)]
pub struct Namespace {
    /// `metadata`.
    pub metadata: Metadata,
}

/// The object that an endpoint represents.
#[derive(Debug, Deserialize)]
pub struct ObjectRef {
    /// `kind`.
    pub kind: Option<String>,
    /// `name`.
    pub name: Option<String>,
}

/// `EndpointSlice`. Its fields are not under `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// `metadata`.
    pub metadata: Metadata,
    /// `addressType`.
    pub address_type: Field<AddressType>,
    /// `endpoints`.
    #[serde(default, deserialize_with = "list")]
    pub endpoints: Vec<Endpoint>,
    /// `ports`.
    #[serde(default, deserialize_with = "list")]
    pub ports: Vec<EndpointPort>,
}

/// The type of the addresses of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AddressType {
    /// IPv4 addresses.
    IPv4,
    /// IPv6 addresses.
    IPv6,
    /// Host names.
    #[serde(rename = "FQDN")]
    Fqdn,
}

/// One endpoint.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// `addresses`. Only the first one is used; the others belong to the same endpoint.
    #[serde(default, deserialize_with = "list")]
    pub addresses: Vec<Field<String>>,
    /// `conditions`.
    #[serde(default, deserialize_with = "nullable")]
    pub conditions: Conditions,
    /// `targetRef`.
    pub target_ref: Option<ObjectRef>,
}

/// `conditions` of an endpoint.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conditions {
    /// `ready`. The default is true.
    pub ready: Option<bool>,
    /// `serving`. The default is the value of `ready`.
    pub serving: Option<bool>,
    /// `terminating`. The default is false.
    pub terminating: Option<bool>,
}

/// One port of a slice.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPort {
    /// `name`: the name of the Service's port.
    pub name: OptionalField<String>,
    /// `port`.
    pub port: OptionalField<Port>,
}
