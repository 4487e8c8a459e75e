//! `sessionPersistence`, and the policies that carry it.

use serde_json::{Map, Value, json};

use super::object::{annotate, object, yaml};

/// `sessionPersistence`, and what Mooring reads from annotations beside it.
#[derive(Clone, Debug)]
pub struct Persistence {
    fields: Map<String, Value>,
    annotations: Vec<(String, String)>,
}

impl Persistence {
    /// In a cookie of this name.
    pub fn cookie(name: &str) -> Self {
        let empty = Self {
            fields: Map::new(),
            annotations: Vec::new(),
        };
        empty.field("sessionName", json!(name))
    }

    /// In a header of this name.
    pub fn header(name: &str) -> Self {
        Self::cookie(name).field("type", json!("Header"))
    }

    /// With an `absoluteTimeout`.
    pub fn absolute(self, timeout: &str) -> Self {
        self.field("absoluteTimeout", json!(timeout))
    }

    /// With an `idleTimeout`.
    pub fn idle(self, timeout: &str) -> Self {
        self.field("idleTimeout", json!(timeout))
    }

    /// With `lifetimeType: Permanent`.
    pub fn permanent(self) -> Self {
        self.field("cookieConfig", json!({"lifetimeType": "Permanent"}))
    }

    /// With an annotation `mooring.dev/<name>`.
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.push((format!("mooring.dev/{name}"), value.to_owned()));
        self
    }

    pub(super) fn annotations(&self) -> &[(String, String)] {
        &self.annotations
    }

    pub(super) fn json(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }
}

/// The kinds of policy that carry persistence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `BackendLBPolicy`, Gateway API 1.1 and 1.2.
    BackendLb,
    /// `XBackendTrafficPolicy`, Gateway API 1.3 to 1.5.
    XBackendTraffic,
}

/// A policy on one Service.
#[derive(Clone, Debug)]
pub struct Policy {
    service: String,
    dialect: Dialect,
    persistence: Persistence,
}

impl Policy {
    /// A `BackendLBPolicy`.
    pub fn on(service: &str, persistence: Persistence) -> Self {
        Self {
            service: service.to_owned(),
            dialect: Dialect::BackendLb,
            persistence,
        }
    }

    /// Of another kind.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// As the YAML that a user would write.
    pub fn yaml(&self) -> String {
        let (api_version, kind) = match self.dialect {
            Dialect::BackendLb => ("gateway.networking.k8s.io/v1alpha2", "BackendLBPolicy"),
            Dialect::XBackendTraffic => ("gateway.networking.x-k8s.io/v1alpha1", "XBackendTrafficPolicy"),
        };
        let spec = json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": self.service}],
            "sessionPersistence": self.persistence.json(),
        });
        let name = format!("{}-sessions", self.service);
        let mut policy = object(api_version, kind, &name, json!({"spec": spec}));
        annotate(&mut policy, "annotations", self.persistence.annotations());
        yaml(&policy)
    }
}
