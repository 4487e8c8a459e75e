//! The filters of `HTTPRoute`, of which `GRPCRoute` has some. Istio applies them; all that matters here is that none of their fields is misspelt.

use serde::Deserialize;

use super::{Any, Port};

known_fields! {
    /// One filter.
    Filter {
        r#type: String,
        request_header_modifier: HeaderModifier,
        response_header_modifier: HeaderModifier,
        request_mirror: RequestMirror,
        request_redirect: RequestRedirect,
        url_rewrite: UrlRewrite,
        cors: Cors,
        external_auth: ExternalAuth,
        extension_ref: ExtensionRef,
    }

    /// `requestHeaderModifier` and `responseHeaderModifier`.
    HeaderModifier { set: Vec<Header>, add: Vec<Header>, remove: Vec<String> }

    /// A header.
    Header { name: String, value: String }

    /// `requestMirror`; `percent` and `fraction` since 1.2.
    RequestMirror { backend_ref: BackendObjectReference, percent: Any, fraction: Fraction }

    /// `fraction`.
    Fraction { numerator: Any, denominator: Any }

    /// A backend, without weight.
    BackendObjectReference { group: String, kind: String, name: String, namespace: String, port: Port }

    /// `requestRedirect`.
    RequestRedirect { scheme: String, hostname: String, path: PathModifier, port: Port, status_code: Any }

    /// `urlRewrite`.
    UrlRewrite { hostname: String, path: PathModifier }

    /// `path` of a redirect or rewrite.
    PathModifier { r#type: String, replace_full_path: String, replace_prefix_match: String }

    /// `cors` (1.3 and later).
    Cors {
        allow_origins: Vec<String>,
        allow_credentials: Any,
        allow_methods: Vec<String>,
        allow_headers: Vec<String>,
        expose_headers: Vec<String>,
        max_age: Any,
    }

    /// `externalAuth` (1.4 and later).
    ExternalAuth {
        protocol: String,
        backend_ref: BackendObjectReference,
        grpc: GrpcAuth,
        http: HttpAuth,
        forward_body: ForwardBody,
    }

    /// `externalAuth.grpc`.
    GrpcAuth { allowed_headers: Vec<String> }

    /// `externalAuth.http`.
    HttpAuth { path: String, allowed_headers: Vec<String>, allowed_response_headers: Vec<String> }

    /// `externalAuth.forwardBody`.
    ForwardBody { max_size: Any }

    /// `extensionRef`.
    ExtensionRef { group: String, kind: String, name: String }
}
