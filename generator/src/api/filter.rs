//! The filters of `HTTPRoute` and `GRPCRoute`, and the backend references, which can also have filters.
//!
//! With the target `istio`, Istio applies the filters. With the target `envoy`, they are translated. In a filter that
//! Mooring does not support, only unknown fields are reported.

use serde::Deserialize;

use crate::api::field::{Any, Field, OptionalField, Port, list, nullable};

/// One filter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filter {
    /// `type`: the name of the field that is set.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: String,
    /// `requestHeaderModifier`.
    pub request_header_modifier: Option<HeaderModifier>,
    /// `responseHeaderModifier`.
    pub response_header_modifier: Option<HeaderModifier>,
    /// `requestMirror`.
    pub request_mirror: Option<RequestMirror>,
    /// `requestRedirect`.
    pub request_redirect: Option<RequestRedirect>,
    /// `urlRewrite`.
    pub url_rewrite: Option<UrlRewrite>,
    /// `cors`.
    pub cors: Option<Cors>,
    /// `externalAuth` (1.4 and later).
    #[serde(rename = "externalAuth")]
    _external_auth: Option<ExternalAuth>,
    /// `extensionRef`.
    #[serde(rename = "extensionRef")]
    _extension_ref: Option<ExtensionRef>,
}

/// `requestHeaderModifier` and `responseHeaderModifier`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderModifier {
    /// `set`.
    #[serde(default, deserialize_with = "list")]
    pub set: Vec<Header>,
    /// `add`.
    #[serde(default, deserialize_with = "list")]
    pub add: Vec<Header>,
    /// `remove`.
    #[serde(default, deserialize_with = "list")]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// `name`.
    pub name: String,
    /// `value`.
    pub value: String,
}

/// `requestMirror`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMirror {
    /// `backendRef`: without weight and filters.
    pub backend_ref: Field<BackendRef>,
    /// `percent` (1.2 and later).
    pub percent: Option<u32>,
    /// `fraction` (1.2 and later).
    pub fraction: Option<Fraction>,
}

/// `fraction`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fraction {
    /// `numerator`.
    pub numerator: u32,
    /// `denominator`. The default is 100.
    pub denominator: Option<u32>,
}

/// `requestRedirect`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestRedirect {
    /// `scheme`.
    pub scheme: Option<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `path`.
    pub path: Option<PathModifier>,
    /// `port`.
    pub port: Option<Port>,
    /// `statusCode`. The default is 302.
    pub status_code: Option<u16>,
}

/// `urlRewrite`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlRewrite {
    /// `hostname`.
    pub hostname: Option<String>,
    /// `path`.
    pub path: Option<PathModifier>,
}

/// `path` of a redirect or rewrite.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathModifier {
    /// `type`.
    #[serde(rename = "type")]
    _kind: OptionalField<String>,
    /// `replaceFullPath`.
    pub replace_full_path: Option<String>,
    /// `replacePrefixMatch`.
    pub replace_prefix_match: Option<String>,
}

/// `cors` (1.3 and later).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cors {
    /// `allowOrigins`.
    #[serde(default, deserialize_with = "list")]
    pub allow_origins: Vec<String>,
    /// `allowCredentials`.
    #[serde(default, deserialize_with = "nullable")]
    pub allow_credentials: bool,
    /// `allowMethods`.
    #[serde(default, deserialize_with = "list")]
    pub allow_methods: Vec<String>,
    /// `allowHeaders`.
    #[serde(default, deserialize_with = "list")]
    pub allow_headers: Vec<String>,
    /// `exposeHeaders`.
    #[serde(default, deserialize_with = "list")]
    pub expose_headers: Vec<String>,
    /// `maxAge`, in seconds. The default is 5.
    pub max_age: Option<u32>,
}

known_fields! {
    /// `externalAuth` (1.4 and later).
    ExternalAuth {
        protocol: String,
        backend_ref: BackendObjectReference,
        grpc: GrpcAuth,
        http: HttpAuth,
        forward_body: ForwardBody,
    }

    /// A backend, without weight.
    BackendObjectReference { group: String, kind: String, name: String, namespace: String, port: Port }

    /// `externalAuth.grpc`.
    GrpcAuth { allowed_headers: Vec<String> }

    /// `externalAuth.http`.
    HttpAuth { path: String, allowed_headers: Vec<String>, allowed_response_headers: Vec<String> }

    /// `externalAuth.forwardBody`.
    ForwardBody { max_size: Any }

    /// `extensionRef`.
    ExtensionRef { group: String, kind: String, name: String }
}

/// A backend of a rule or of a mirror.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRef {
    /// `group`. If it is absent or empty, the core group.
    pub group: OptionalField<String>,
    /// `kind`. The default is `Service`.
    pub kind: OptionalField<String>,
    /// `name`.
    pub name: Field<String>,
    /// `namespace`. The default is the namespace of the route.
    pub namespace: OptionalField<String>,
    /// `port`.
    pub port: OptionalField<Port>,
    /// `weight`. The default is 1.
    pub weight: OptionalField<u32>,
    /// `filters`.
    #[serde(default, deserialize_with = "list")]
    pub filters: Vec<Field<Filter>>,
}
