//! What the command line states about the mesh.

use std::{
    collections::{BTreeMap, BTreeSet},
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
