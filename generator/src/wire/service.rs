//! `Service` (v1) and `EndpointSlice` (`discovery.k8s.io/v1`).
//!
//! Kubernetes adds fields to these two with almost every release, and nobody writes session policies into them, so
//! unknown fields are let through here.

use serde::Deserialize;

use super::{Field, Metadata, OptionalField, Port, nullable};

/// `Service`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ports`.
    #[serde(default, deserialize_with = "nullable")]
    pub ports: Vec<ServicePort>,
    /// `type`.
    #[serde(rename = "type")]
    pub service_type: OptionalField<String>,
    /// `sessionAffinity`.
    pub session_affinity: OptionalField<String>,
    /// The host that it stands for, if it is one of a `ServiceEntry`.
    #[serde(skip)]
    pub external_host: OptionalField<String>,
}

/// One port of a Service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// `name`; it may be missing where there is only one port.
    pub name: OptionalField<String>,
    /// `port`.
    pub port: Field<Port>,
    /// `appProtocol`.
    pub app_protocol: OptionalField<String>,
}

impl ServicePort {
    /// Whether the pods speak HTTP/2 without TLS: by `appProtocol`, or else by the name of the port, as Istio tells it.
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        let protocol = self.app_protocol.as_ref().or(self.name.as_ref());
        let protocol = protocol.map_or("", |protocol| &protocol.value);
        let first = protocol.split('-').next().unwrap_or("").to_ascii_lowercase();
        protocol == "kubernetes.io/h2c" || first == "http2" || first == "grpc"
    }
}

/// `Pod`, as far as subsets are made of it.
#[derive(Debug, Deserialize)]
pub struct Pod {
    /// `metadata`.
    pub metadata: Metadata,
}

/// What an endpoint is.
#[derive(Debug, Deserialize)]
pub struct ObjectRef {
    /// `kind`.
    pub kind: Option<String>,
    /// `name`.
    pub name: Option<String>,
}

/// `EndpointSlice`, whose fields have no `spec` above them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// `metadata`.
    pub metadata: Metadata,
    /// `addressType`.
    pub address_type: Field<AddressType>,
    /// `endpoints`.
    #[serde(default, deserialize_with = "nullable")]
    pub endpoints: Vec<Endpoint>,
    /// `ports`.
    #[serde(default, deserialize_with = "nullable")]
    pub ports: Vec<EndpointPort>,
}

/// What the addresses of a slice are.
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
    /// `addresses`: the first one counts, the others stand for the same endpoint.
    #[serde(default, deserialize_with = "nullable")]
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
    /// `ready`. None: it is.
    pub ready: Option<bool>,
    /// `serving`. None: as `ready`.
    pub serving: Option<bool>,
    /// `terminating`. None: it is not.
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
