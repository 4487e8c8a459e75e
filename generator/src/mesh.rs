//! What is known about the mesh besides its objects: what the command line says, and the domain of the cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use crate::{
    api::{
        field::{Field, Pairs},
        service::PodSpec,
    },
    cli,
    diagnostic::{Code, Diagnostic},
    dns::{self, ClusterDomain},
    document::{Outcome, Parsed},
    id::Id,
    location::SourceLocation,
};

/// The label of istiod's pods.
const ISTIOD: (&str, &str) = ("app", "istiod");

/// The argument in which istiod is told the cluster domain.
const DOMAIN_ARGUMENT: &str = "--domain";

/// What the command line says about the mesh.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// The gateways that are generated for. Empty: all.
    pub gateways: BTreeSet<Id>,
    /// The names of `GatewayClass`es that are taken for Istio's.
    pub classes: BTreeSet<String>,
    /// Where the pods of Istio's own gateways are.
    pub gateway_namespaces: GatewayNamespaces,
    /// The cluster domain. None: that of istiod in the input.
    pub domain: Option<ClusterDomain>,
    /// The domain in which the cluster's DNS has Services, where a cluster is read: None if that cannot be known.
    pub dns_domain: Option<Option<ClusterDomain>>,
    /// Whether everything is served by one local Envoy, whatever the classes and pods of gateways are.
    pub local: bool,
}

impl From<&cli::MeshArgs> for Mesh {
    fn from(flags: &cli::MeshArgs) -> Self {
        let mut gateway_namespaces = GatewayNamespaces::default();
        for PodNamespace { gateway, namespace } in &flags.gateway_namespace {
            let namespaces = match gateway {
                Some(id) => gateway_namespaces.by_gateway.entry(id.clone()).or_default(),
                None => &mut gateway_namespaces.all,
            };
            namespaces.insert(namespace.clone());
        }
        Self {
            gateways: flags.gateway.iter().cloned().collect(),
            classes: flags.gateway_class.iter().cloned().collect(),
            gateway_namespaces,
            domain: flags.cluster_domain.clone(),
            ..Self::default()
        }
    }
}

/// The namespaces of the pods of Istio's own gateways, as far as they are named.
#[derive(Clone, Debug, Default)]
pub struct GatewayNamespaces {
    all: BTreeSet<String>,
    by_gateway: BTreeMap<Id, BTreeSet<String>>,
}

impl GatewayNamespaces {
    /// Those that are named for this gateway, or else for all.
    #[must_use]
    pub fn of(&self, gateway: &Id) -> Option<&BTreeSet<String>> {
        let named = self.by_gateway.get(gateway).unwrap_or(&self.all);
        Some(named).filter(|named| !named.is_empty())
    }

    /// The gateways that are named.
    pub fn gateways(&self) -> impl Iterator<Item = &Id> {
        self.by_gateway.keys()
    }
}

/// One `--gateway-namespace`: `[NAMESPACE/NAME=]NAMESPACE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodNamespace {
    /// The gateway. None: all that are not named.
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

/// A gateway on the command line.
pub(crate) fn gateway_id(text: &str) -> Result<Id, &'static str> {
    let (namespace, name) = text
        .split_once('/')
        .ok_or("write a namespace and a name, such as istio-ingress/front")?;
    if !dns::is_label(namespace) || !dns::is_name(name) {
        return Err("names have lower-case letters, digits, - and . only");
    }
    Ok(Id::new(namespace, name))
}

/// The domain of the cluster, and why it may be another one.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// The domain.
    pub name: ClusterDomain,
    /// What is to be said about it where it counts.
    pub doubt: Option<Diagnostic>,
}

impl Domain {
    /// The flag's; else that of istiod, which names the clusters of its gateways by it; else that of the cluster's DNS; else the
    /// default.
    #[must_use]
    pub fn new(mesh: &Mesh, outcomes: &[Outcome]) -> Self {
        let sure = |name: ClusterDomain| Self { name, doubt: None };
        if let Some(domain) = &mesh.domain {
            return sure(domain.clone());
        }
        // Whatever the order of the documents is.
        let of_istiod: BTreeMap<String, (ClusterDomain, SourceLocation)> = outcomes.iter().filter_map(istiod).collect();
        let mut of_istiod = of_istiod.into_values();
        let Some((first, location)) = of_istiod.next() else {
            return match &mesh.dns_domain {
                None => sure(ClusterDomain::default()),
                Some(Some(domain)) => sure(domain.clone()),
                Some(None) => Self {
                    name: ClusterDomain::default(),
                    doubt: Some(assumed()),
                },
            };
        };
        let doubt = of_istiod.next().map(|(other, other_location)| {
            let message = format!("this istiod has the cluster domain `{first}`, and another one has `{other}`");
            let doubt = Diagnostic::warning(Code::Conflicted, message).at(location);
            doubt
                .with(other_location, "the other one")
                .help("say which one the gateways have, with --cluster-domain")
        });
        Self { name: first, doubt }
    }
}

/// What is to be said where nothing in a cluster tells its domain.
fn assumed() -> Diagnostic {
    let message = format!(
        "the cluster domain is taken for `{}`: neither a pod or Deployment of istiod nor the ConfigMap of CoreDNS could be read",
        ClusterDomain::default()
    );
    Diagnostic::note(Code::Accepted, message).help("name it with --cluster-domain")
}

/// The cluster domain of an istiod, and where it stands.
fn istiod(outcome: &Outcome) -> Option<(String, (ClusterDomain, SourceLocation))> {
    let Outcome::Object(offset, parsed) = outcome else {
        return None;
    };
    let (name, labels, spec): (&Field<String>, &Pairs, &PodSpec) = match &**parsed {
        Parsed::Pod(pod) => (&pod.metadata.name, &pod.metadata.labels, &pod.spec),
        Parsed::PodController(_, controller) => {
            let template = &controller.spec.template;
            (&controller.metadata.name, &template.metadata.labels, &template.spec)
        }
        _ => return None,
    };
    let (label, value) = ISTIOD;
    let mut arguments = spec.containers.iter().map(|container| container.args.as_slice());
    let arguments = arguments.find(|arguments| arguments.first().is_some_and(|first| first.0 == "discovery"))?;
    if labels.get(label) != Some(value) {
        return None;
    }
    let named = arguments.iter().enumerate().find_map(|(position, argument)| {
        let rest = argument.0.strip_prefix(DOMAIN_ARGUMENT)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => arguments.get(position.saturating_add(1)).map(|next| next.0.as_str()),
            None => None,
        }
    });
    let domain = match named {
        Some(text) => text.parse().ok()?,
        None => ClusterDomain::default(),
    };
    Some((domain.to_string(), (domain, offset.location(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_pods_may_be_for_one_gateway() {
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
    fn a_named_gateway_comes_before_all() {
        let mut namespaces = GatewayNamespaces::default();
        assert_eq!(namespaces.of(&Id::new("shop", "front")), None);
        namespaces.all.insert("edge".to_owned());
        let front = namespaces.by_gateway.entry(Id::new("shop", "front")).or_default();
        front.insert("own".to_owned());
        let of = |name: &str| {
            namespaces
                .of(&Id::new("shop", name))
                .and_then(BTreeSet::first)
                .map(String::as_str)
        };
        assert_eq!((of("front"), of("side")), (Some("own"), Some("edge")));
    }
}
