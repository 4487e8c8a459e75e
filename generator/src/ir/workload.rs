//! Pods that are selected by their labels: those of a gateway, or callers.

use std::{collections::BTreeMap, fmt};

use crate::{
    api::field::Pairs,
    id::Id,
    mesh::{CallerSelector, ROOT_NAMESPACE},
    resources::Resources,
};

/// The label by which istiod finds the pods of a Gateway.
pub const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// Pods selected by their labels. Gateways with the same selector share their pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// Their namespace.
    pub namespace: String,
    /// Their labels.
    pub labels: BTreeMap<String, String>,
}

impl Workload {
    /// The pods that istiod deploys for a Gateway.
    #[must_use]
    pub fn for_gateway(id: &Id) -> Self {
        Self {
            namespace: id.namespace.clone(),
            labels: BTreeMap::from([(GATEWAY_LABEL.to_owned(), id.name.clone())]),
        }
    }

    /// Whether the pods may be in any namespace: objects in the root namespace apply in all namespaces.
    #[must_use]
    pub fn is_in_any_namespace(&self) -> bool {
        self.namespace == ROOT_NAMESPACE
    }

    /// Whether the pods may be in this namespace.
    #[must_use]
    pub fn is_in(&self, namespace: &str) -> bool {
        self.is_in_any_namespace() || self.namespace == namespace
    }

    /// Whether the pods have these labels. `None` if the selector does not tell and the input has none of the pods.
    #[must_use]
    pub fn has_labels(&self, wanted: &Pairs, resources: &Resources) -> Option<bool> {
        let selected = |name: &str| self.labels.get(name).map(String::as_str);
        let mut unknown = false;
        for (name, value) in wanted.iter() {
            match selected(&name.value) {
                Some(known) if known != value.value => return Some(false),
                Some(_) => {}
                None => unknown = true,
            }
        }
        if !unknown {
            return Some(true);
        }
        let pods = resources.pods.iter();
        let pods = pods.filter(|pod| self.is_in(&pod.id.namespace));
        let own = pods
            .map(|pod| &pod.metadata.labels)
            .filter(|labels| labels.include(&self.labels));
        let has = |labels: &Pairs| {
            wanted
                .iter()
                .all(|(name, value)| labels.get(&name.value) == Some(&value.value))
        };
        own.map(has).reduce(|one, other| one || other)
    }

    /// The name that generated objects use for the pods. It consists of the label values; characters that a DNS label
    /// does not allow become dashes.
    #[must_use]
    pub fn name(&self) -> String {
        workload_name(&self.labels)
    }
}

impl From<&CallerSelector> for Workload {
    fn from(callers: &CallerSelector) -> Self {
        Self {
            namespace: callers.namespace.clone(),
            labels: callers.labels.clone(),
        }
    }
}

/// The pods as `--callers` names them.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, labels } = self.clone();
        CallerSelector { namespace, labels }.fmt(f)
    }
}

/// The name that [`Workload::name`] generates from labels.
#[must_use]
pub fn workload_name(labels: &BTreeMap<String, String>) -> String {
    let values: Vec<&str> = labels.values().map(String::as_str).collect();
    let allowed = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    values
        .join("-")
        .to_ascii_lowercase()
        .replace(|character| !allowed(character), "-")
}
