//! Objects that cannot be read as a whole: what can be told of them all the same, so that an error in an object that concerns no
//! session does not count as much as one in an object that does.

use serde_json::Value;

use crate::{diagnostic::Diagnostic, kind::Kind};

/// An object that cannot be read.
#[derive(Debug)]
pub struct Broken {
    /// Its kind.
    pub kind: Kind,
    /// Who it is, if that can be read.
    pub name: Option<Name>,
    /// What a route wants. None: that cannot be told, or it is no route.
    pub wants: Option<Wants>,
    /// The file and line at which it begins.
    pub label: String,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}

/// What a route wants, as far as it decides whether there are sessions on it.
#[derive(Debug, Default)]
pub struct Wants {
    /// Whether a rule has a `sessionPersistence` of its own.
    pub persistence: bool,
    /// The Services that it leads to: a namespace, if one is named, and a name; or the host of a `VirtualService`.
    pub backends: Vec<(Option<String>, String)>,
}

/// The name of an object that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl Name {
    /// Who an object is.
    pub(super) fn of(object: &Value) -> Option<Self> {
        Some(Self {
            namespace: text(object.pointer("/metadata/namespace")),
            name: text(object.pointer("/metadata/name"))?,
        })
    }
}

impl Wants {
    /// What a route wants.
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
