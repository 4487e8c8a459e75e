//! `sessionPersistence` in both of its shapes, and the two policies that carry it (GEP-1619).

use mooring_policy::config::{LifetimeType, Transport};
use serde::Deserialize;

use crate::api::field::{Any, Field, OptionalField, Text, list};

/// `spec` of a `BackendLBPolicy` (`gateway.networking.k8s.io/v1alpha2`; Gateway API 1.1 and 1.2).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendLbPolicySpec {
    /// `targetRefs`.
    #[serde(default, deserialize_with = "list")]
    pub target_refs: Vec<Field<TargetRef>>,
    /// `sessionPersistence`.
    pub session_persistence: OptionalField<SessionPersistence>,
}

/// `spec` of an `XBackendTrafficPolicy` (`gateway.networking.x-k8s.io/v1alpha1`; Gateway API 1.3 and later).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct XBackendTrafficPolicySpec {
    /// `targetRefs`.
    #[serde(default, deserialize_with = "list")]
    pub target_refs: Vec<Field<TargetRef>>,
    /// `sessionPersistence`.
    pub session_persistence: OptionalField<SessionPersistence>,
    /// `retryConstraint`. Istio implements it.
    #[serde(rename = "retryConstraint")]
    _retry_constraint: Option<RetryConstraint>,
}

/// The target of a policy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetRef {
    /// `group`; the empty string is the core group. Gateway API requires the field, but some of its own examples omit
    /// it.
    pub group: OptionalField<String>,
    /// `kind`.
    pub kind: Field<String>,
    /// `name`.
    pub name: Field<String>,
}

/// `sessionPersistence`: the fields of Gateway API 1.1 to 1.6 and of later versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionPersistence {
    /// `sessionName` (until 1.6).
    pub session_name: OptionalField<String>,
    /// `absoluteTimeout`.
    pub absolute_timeout: OptionalField<Text>,
    /// `idleTimeout` (until 1.5).
    pub idle_timeout: OptionalField<Text>,
    /// `type`.
    #[serde(rename = "type")]
    pub transport: OptionalField<Transport>,
    /// `cookieConfig` (until 1.6).
    pub cookie_config: OptionalField<CookieConfig>,
    /// `cookie` (after 1.6).
    pub cookie: OptionalField<Cookie>,
    /// `header` (after 1.6).
    pub header: OptionalField<Header>,
}

/// `cookieConfig`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CookieConfig {
    /// `lifetimeType`.
    pub lifetime_type: OptionalField<LifetimeType>,
}

/// `cookie`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cookie {
    /// `name`.
    pub name: OptionalField<String>,
    /// `path`.
    pub path: OptionalField<String>,
    /// `lifetimeType`.
    pub lifetime_type: OptionalField<LifetimeType>,
}

/// `header`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// `name`.
    pub name: Field<String>,
}

known_fields! {
    /// `retryConstraint`.
    RetryConstraint { budget: Budget, min_retry_rate: RequestRate }

    /// `budget`.
    Budget { percent: Any, interval: String }

    /// `minRetryRate`.
    RequestRate { count: Any, interval: String }
}
