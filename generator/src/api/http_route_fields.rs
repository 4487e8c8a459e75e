//! The names of the fields inside an http route of a `VirtualService`. Session routes of a `VirtualService` repeat what istiod makes of
//! them, so a field that a newer Istio has is an error: requests of sessions would lack it.

use serde::{Deserialize, Deserializer};

use super::field::{Any, Field, OptionalField};

/// Reads a field whose content has only the names of `T`, without the content.
pub fn known<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<OptionalField<Any>, D::Error> {
    let field: OptionalField<T> = Option::deserialize(deserializer)?;
    Ok(field.map(|Field { at, .. }| Field { value: Any {}, at }))
}

known_fields! {
    /// Istio: `HTTPRewrite`.
    HttpRewrite { uri: Any, authority: Any, uri_regex_rewrite: Any, }
    /// Istio: `HTTPRetry`.
    Retries {
        attempts: Any, per_try_timeout: Any, retry_on: Any, retry_remote_localities: Any, retry_ignore_previous_hosts: Any, backoff: Any,
    }
    /// Istio: `HTTPFaultInjection`.
    Fault { delay: FaultDelay, abort: FaultAbort, }
    /// Istio: `HTTPFaultInjection.Delay`.
    FaultDelay { percent: Any, percentage: Any, fixed_delay: Any, exponential_delay: Any, }
    /// Istio: `HTTPFaultInjection.Abort`.
    FaultAbort { percent: Any, percentage: Any, http_status: Any, grpc_status: Any, http2_error: Any, }
    /// Istio: `Destination`.
    Mirror { host: Any, subset: Any, port: Any, }
    /// Istio: `HTTPMirrorPolicy`.
    MirrorPolicy { destination: Mirror, percentage: Any, }
    /// Istio: `CorsPolicy`.
    CorsPolicy {
        allow_origin: Any, allow_origins: Any, allow_methods: Any, allow_headers: Any, expose_headers: Any, max_age: Any,
        allow_credentials: Any, unmatched_preflights: Any,
    }
    /// Istio: `Headers`.
    Headers { request: HeaderOperations, response: HeaderOperations, }
    /// Istio: `Headers.HeaderOperations`.
    HeaderOperations { set: Any, add: Any, remove: Any, }
}
