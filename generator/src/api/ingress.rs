//! `Ingress` and `IngressClass` (`networking.k8s.io/v1`).
//!
//! Unknown fields are ignored: the API server has checked these objects, and Mooring only translates them.

use serde::Deserialize;

use crate::api::field::{Any, Field, OptionalField, Port, list};

/// `spec` of an `Ingress`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// `ingressClassName`.
    pub ingress_class_name: OptionalField<String>,
    /// `defaultBackend`: for requests that no rule matches.
    pub default_backend: OptionalField<IngressBackend>,
    /// `tls`.
    #[serde(default, deserialize_with = "list")]
    pub tls: Vec<Field<IngressTls>>,
    /// `rules`.
    #[serde(default, deserialize_with = "list")]
    pub rules: Vec<Field<IngressRule>>,
}

/// One item of `tls`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// `hosts`.
    #[serde(default, deserialize_with = "list")]
    pub hosts: Vec<Field<String>>,
    /// `secretName`.
    pub secret_name: OptionalField<String>,
}

/// The paths of a host.
#[derive(Debug, Deserialize)]
pub struct IngressRule {
    /// `host`. If it is absent, all hosts.
    pub host: OptionalField<String>,
    /// `http`.
    pub http: Option<HttpIngressRule>,
}

/// `http`.
#[derive(Debug, Deserialize)]
pub struct HttpIngressRule {
    /// `paths`.
    #[serde(default, deserialize_with = "list")]
    pub paths: Vec<Field<IngressPath>>,
}

/// A path and its backend.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressPath {
    /// `path`. If it is absent, `/`.
    pub path: OptionalField<String>,
    /// `pathType`.
    pub path_type: Field<PathType>,
    /// `backend`.
    pub backend: Field<IngressBackend>,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum PathType {
    /// Equal to the whole path.
    Exact,
    /// A prefix of whole path elements.
    Prefix,
    /// As the controller decides.
    ImplementationSpecific,
}

/// A backend: one of the two fields is set.
#[derive(Clone, Debug, Deserialize)]
pub struct IngressBackend {
    /// `service`.
    pub service: Option<IngressService>,
    /// `resource`.
    pub resource: OptionalField<Any>,
}

/// A Service and its port.
#[derive(Clone, Debug, Deserialize)]
pub struct IngressService {
    /// `name`.
    pub name: Field<String>,
    /// `port`.
    pub port: OptionalField<IngressPort>,
}

/// A port: one of the two fields is set.
#[derive(Clone, Debug, Deserialize)]
pub struct IngressPort {
    /// `name`.
    pub name: OptionalField<String>,
    /// `number`.
    pub number: OptionalField<Port>,
}

/// `spec` of an `IngressClass`.
#[derive(Debug, Deserialize)]
pub struct IngressClassSpec {
    /// `controller`.
    pub controller: Option<String>,
}
