//! What the command line states about the mesh.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use crate::{
    dns::{self, ClusterDomain},
    id::Id,
};

/// The root namespace of a mesh, by default (Istio: `rootNamespace`).
pub const ROOT_NAMESPACE: &str = "istio-system";

/// What the command line states about the mesh.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// The gateways to generate for. Empty: all.
    pub gateways: BTreeSet<Id>,
    /// The names of the `GatewayClass`es to treat as Istio's.
    pub classes: BTreeSet<String>,
    /// The namespaces of the pods of Istio's own gateways.
    pub gateway_namespaces: GatewayNamespaces,
    /// The cluster domain. None: the domain of istiod in the input.
    pub domain: Option<ClusterDomain>,
    /// If a cluster is read: the domain in which its DNS serves Services, or None if it could not be read.
    pub dns_domain: Option<Option<ClusterDomain>>,
    /// The pods whose sidecars keep sessions for routes of the mesh.
    pub callers: BTreeSet<CallerSelector>,
    /// Whether one local Envoy serves all gateways, regardless of their classes and pods.
    pub local: bool,
}

/// The namespaces of the pods of Istio's own gateways, as given by `--gateway-namespace`.
#[derive(Clone, Debug, Default)]
pub struct GatewayNamespaces {
    all: BTreeSet<String>,
    by_gateway: BTreeMap<Id, BTreeSet<String>>,
}

impl GatewayNamespaces {
    /// The namespaces given for this gateway, or else for all. None: none are given.
    #[must_use]
    pub fn of(&self, gateway: &Id) -> Option<&BTreeSet<String>> {
        let named = self.by_gateway.get(gateway).unwrap_or(&self.all);
        Some(named).filter(|named| !named.is_empty())
    }

    /// The gateways that have namespaces of their own.
    pub fn gateways(&self) -> impl Iterator<Item = &Id> {
        self.by_gateway.keys()
    }
}

impl FromIterator<PodNamespace> for GatewayNamespaces {
    fn from_iter<I: IntoIterator<Item = PodNamespace>>(given: I) -> Self {
        let mut namespaces = Self::default();
        for PodNamespace { gateway, namespace } in given {
            let set = match gateway {
                Some(id) => namespaces.by_gateway.entry(id).or_default(),
                None => &mut namespaces.all,
            };
            set.insert(namespace);
        }
        namespaces
    }
}

/// One `--gateway-namespace`: `[NAMESPACE/NAME=]NAMESPACE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodNamespace {
    /// The gateway. None: all other gateways.
    gateway: Option<Id>,
    /// The namespace of its pods.
    namespace: String,
}

impl FromStr for PodNamespace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (gateway, namespace) = match text.split_once('=') {
            Some((gateway, namespace)) => (Some(gateway_id(gateway)?), namespace),
            None => (None, text),
        };
        if !dns::is_label(namespace) {
            return Err("a namespace has at most 63 lower-case letters, digits and `-`");
        }
        Ok(Self {
            gateway,
            namespace: namespace.to_owned(),
        })
    }
}

/// The maximum length of the label values of callers together.
const MAX_VALUES_LENGTH: usize = 150;

/// Pods that call Services, as given by `--callers`: `NAMESPACE`, or `NAMESPACE/LABEL=VALUE,LABEL=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallerSelector {
    /// Their namespace. The root namespace stands for all namespaces.
    pub namespace: String,
    /// Their labels. Without labels, all pods of the namespace are selected.
    pub labels: BTreeMap<String, String>,
}

impl CallerSelector {
    /// Whether these pods include all of the others.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let namespace = self.namespace == ROOT_NAMESPACE || self.namespace == other.namespace;
        namespace
            && self
                .labels
                .iter()
                .all(|(label, value)| other.labels.get(label) == Some(value))
    }
}

/// The pods as the flag names them.
impl fmt::Display for CallerSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.namespace)?;
        for (position, (label, value)) in self.labels.iter().enumerate() {
            let separator = if position == 0 { '/' } else { ',' };
            write!(f, "{separator}{label}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for CallerSelector {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, labels) = match text.split_once('/') {
            Some((namespace, labels)) => (namespace, Some(labels)),
            None => (text, None),
        };
        if !dns::is_label(namespace) {
            return Err("a namespace has at most 63 lower-case letters, digits and `-`");
        }
        let mut selected = BTreeMap::new();
        for label in labels.into_iter().flat_map(|labels| labels.split(',')) {
            let (label, value) = label
                .split_once('=')
                .ok_or("write labels as LABEL=VALUE, separated by commas, such as shop/app=web")?;
            if !dns::is_label_name(label) || value.is_empty() || !dns::is_label_value(value) {
                return Err("names and values of labels have 1 to 63 letters, digits, `-`, `_` and `.`");
            }
            if selected.insert(label.to_owned(), value.to_owned()).is_some() {
                return Err("a label can have only one value");
            }
        }
        if selected.values().map(String::len).sum::<usize>() > MAX_VALUES_LENGTH {
            return Err("the values of the labels have at most 150 characters together: objects are named after them");
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            labels: selected,
        })
    }
}

/// Parses `NAMESPACE/NAME` of a gateway.
pub(crate) fn gateway_id(text: &str) -> Result<Id, &'static str> {
    let (namespace, name) = text
        .split_once('/')
        .ok_or("write a namespace and a name, such as istio-ingress/front")?;
    if !dns::is_label(namespace) || !dns::is_name(name) {
        return Err("names have lower-case letters, digits, - and . only");
    }
    Ok(Id::new(namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_a_namespace_or_pods_with_labels() {
        for text in [
            "shop",
            "shop/app=web",
            "shop/app=web,app.kubernetes.io/part-of=site",
            "istio-system",
        ] {
            let callers: CallerSelector = text.parse().unwrap();
            assert_eq!(callers.to_string(), text);
        }
        let long = format!("shop/a={0},b={0},c={0}", "x".repeat(60));
        for wrong in [
            "",
            "Shop",
            "shop/",
            "shop/app",
            "shop/app=",
            "shop/=web",
            "shop/app=a,app=b",
            "shop/app=a b",
            &long,
        ] {
            assert!(wrong.parse::<CallerSelector>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_root_namespace_contains_all_callers() {
        let contains = |one: &str, other: &str| {
            let parsed = |text: &str| text.parse::<CallerSelector>().unwrap();
            parsed(one).contains(&parsed(other))
        };
        assert!(contains("istio-system", "shop/app=web"));
        assert!(contains("istio-system/app=web", "shop/app=web,tier=front"));
        assert!(contains("shop", "shop/app=web"));
        assert!(!contains("shop/app=web", "shop"));
        assert!(!contains("shop/app=web", "shop/app=job"));
        assert!(!contains("shop", "mall"));
    }

    #[test]
    fn a_namespace_is_for_one_gateway_or_all() {
        let parsed = |text: &str| text.parse::<PodNamespace>();
        assert_eq!(
            parsed("istio-system"),
            Ok(PodNamespace {
                gateway: None,
                namespace: "istio-system".to_owned()
            })
        );
        assert_eq!(
            parsed("shop/front=edge"),
            Ok(PodNamespace {
                gateway: Some(Id::new("shop", "front")),
                namespace: "edge".to_owned()
            })
        );
        for wrong in [
            "",
            "front=edge",
            "shop/front=",
            "shop/front=a.b",
            "A",
            "shop/=edge",
            "a/b/c=d",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_namespace_for_one_gateway_has_precedence() {
        assert_eq!(GatewayNamespaces::default().of(&Id::new("shop", "front")), None);
        let given = ["edge", "shop/front=own"].map(|text| text.parse::<PodNamespace>().unwrap());
        let namespaces: GatewayNamespaces = given.into_iter().collect();
        let of = |name: &str| {
            namespaces
                .of(&Id::new("shop", name))
                .and_then(BTreeSet::first)
                .map(String::as_str)
        };
        assert_eq!((of("front"), of("side")), (Some("own"), Some("edge")));
    }
}
