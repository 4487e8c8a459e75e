//! Which objects of earlier plans must stay although the plan does not have them: something that may need them is left out.

use std::collections::BTreeSet;

use super::{known::Known, part::Part};
use crate::{
    document::{ENVOY_FILTER, WASM_PLUGIN},
    kind::Kind,
};

/// Objects that must stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    namespaces: BTreeSet<String>,
    of_proxies: bool,
    all: bool,
}

impl Keeps {
    /// Whether objects of this kind in this namespace must stay.
    #[must_use]
    pub fn include(&self, kind: &str, namespace: &str) -> bool {
        let is_of_proxies = [WASM_PLUGIN, ENVOY_FILTER].contains(&kind);
        self.all || self.namespaces.contains(namespace) || (self.of_proxies && is_of_proxies)
    }

    /// Which objects of earlier plans must stay. An error in a route or a policy keeps those of its namespace and of the proxies that it
    /// is on. A route, gateway or policy that cannot be read keeps those of its namespace, and the objects of all proxies, because it may
    /// be on any of them.
    pub fn new<'p>(known: &Known, parts: impl Iterator<Item = &'p Part>) -> Self {
        let mut keeps = Self {
            all: !known.unknown.is_empty(),
            ..Self::default()
        };
        for unread in &known.resources.unread {
            keeps.namespaces.extend(unread.id.iter().map(|id| id.namespace.clone()));
            let kind = unread.kind;
            keeps.of_proxies |=
                kind.is_route() || kind.is_policy() || matches!(kind, Kind::Gateway | Kind::IstioGateway);
        }
        let invalid: BTreeSet<&str> = known.policies.invalid().map(|id| id.namespace.as_str()).collect();
        keeps
            .namespaces
            .extend(invalid.iter().map(|namespace| (*namespace).to_owned()));
        let lacks = |part: &&Part| {
            let report = &part.report;
            let by_policy = || part.backends.iter().any(|id| invalid.contains(id.namespace.as_str()));
            report.forbids() || !report.omissions().is_empty() || (!invalid.is_empty() && by_policy())
        };
        for part in parts.filter(lacks) {
            keeps.namespaces.extend(part.namespaces.iter().cloned());
        }
        keeps
    }
}
