//! Objects that could not be parsed.
//!
//! As much as possible is still extracted from them, because an error in an object that no session depends on is less
//! severe.

use serde_json::Value;

use crate::{diagnostic::Diagnostic, kind::Kind};

/// An object that cannot be read.
#[derive(Debug)]
pub struct Broken {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name, if they can be read.
    pub name: Option<Name>,
    /// What a route refers to. It is `None` if that cannot be read, or if the object is not a route.
    pub wants: Option<Wants>,
    /// The file and line at which it begins.
    pub label: String,
    /// The error.
    pub diagnostic: Diagnostic,
}

/// The parts of a route that decide whether it has sessions.
#[derive(Debug, Default)]
pub struct Wants {
    /// Whether a rule has a `sessionPersistence` field.
    pub persistence: bool,
    /// The Services to which it routes, each as a name with an optional namespace; or the hosts of a `VirtualService`.
    pub backends: Vec<(Option<String>, String)>,
}

/// The name of an object that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl Name {
    /// The namespace and name of an object.
    pub(super) fn of(object: &Value) -> Option<Self> {
        Some(Self {
            namespace: text(object.pointer("/metadata/namespace")),
            name: text(object.pointer("/metadata/name"))?,
        })
    }
}

impl Wants {
    /// The session persistence and backends of a route.
    pub(super) fn of(kind: Kind, object: &Value) -> Option<Self> {
        object.get("spec").filter(|spec| spec.is_object())?;
        let (rules, backends, name) = match kind {
            Kind::HttpRoute | Kind::GrpcRoute => ("/spec/rules", "backendRefs", "/name"),
            Kind::VirtualService => ("/spec/http", "route", "/destination/host"),
            _ => return None,
        };
        let mut wants = Self::default();
        for rule in list(object.pointer(rules)) {
            wants.persistence |= rule.get("sessionPersistence").is_some_and(|own| !own.is_null());
            let named = list(rule.get(backends)).filter_map(|backend| {
                let namespace = text(backend.get("namespace"));
                Some((namespace, text(backend.pointer(name))?))
            });
            wants.backends.extend(named);
        }
        Some(wants)
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    Some(value?.as_str()?.to_owned())
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}
