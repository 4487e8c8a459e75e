//! The domain of the cluster (`cluster.local` by default): from the command line, istiod or the cluster's DNS.

use std::collections::BTreeMap;

use crate::{
    api::{
        field::{Field, Pairs},
        service::PodSpec,
    },
    diagnostic::{Code, Diagnostic},
    dns::ClusterDomain,
    document::{Outcome, Parsed},
    location::SourceLocation,
    mesh::Mesh,
};

/// The label of istiod's pods.
const ISTIOD: (&str, &str) = ("app", "istiod");

/// The argument of istiod with the cluster domain.
const DOMAIN_ARGUMENT: &str = "--domain";

/// The cluster domain of a mesh, with the reason to doubt it if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// The domain.
    pub name: ClusterDomain,
    /// The finding to report if anything depends on the domain.
    pub doubt: Option<Diagnostic>,
}

impl Domain {
    /// The domain of the flag; else of istiod, which names the Envoy clusters by it; else of the cluster's DNS; else the default.
    #[must_use]
    pub fn new(mesh: &Mesh, outcomes: &[Outcome]) -> Self {
        Self::of(mesh, outcomes.iter().filter_map(Istiod::new))
    }

    /// The same for these istiods.
    #[must_use]
    pub fn of(mesh: &Mesh, istiods: impl Iterator<Item = Istiod>) -> Self {
        let sure = |name: ClusterDomain| Self { name, doubt: None };
        if let Some(domain) = &mesh.domain {
            return sure(domain.clone());
        }
        // Sorted, because the result must not depend on the order of the documents.
        let of_istiod: BTreeMap<String, (ClusterDomain, SourceLocation)> = istiods
            .map(|istiod| (istiod.domain.to_string(), (istiod.domain, istiod.location)))
            .collect();
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
            let message = format!("this istiod has the cluster domain `{first}`, but another one has `{other}`");
            let doubt = Diagnostic::warning(Code::Conflicted, message).at(location);
            doubt
                .with(other_location, "the other istiod")
                .help("name the domain of the gateways with --cluster-domain")
        });
        Self { name: first, doubt }
    }
}

/// The finding for a cluster that does not reveal its domain.
fn assumed() -> Diagnostic {
    let message = format!(
        "assuming the cluster domain `{}`: neither a pod or Deployment of istiod nor the ConfigMap of CoreDNS could be read",
        ClusterDomain::default()
    );
    Diagnostic::note(Code::Accepted, message).help("name it with --cluster-domain")
}

/// An istiod of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Istiod {
    domain: ClusterDomain,
    location: SourceLocation,
}

impl Istiod {
    /// The istiod, if the object is one.
    #[must_use]
    pub fn new(outcome: &Outcome) -> Option<Self> {
        let (domain, location) = istiod(outcome)?;
        Some(Self { domain, location })
    }
}

/// The cluster domain of an istiod, with the position of the istiod.
fn istiod(outcome: &Outcome) -> Option<(ClusterDomain, SourceLocation)> {
    let Outcome::Object(offset, parsed) = outcome else {
        return None;
    };
    let (name, labels, spec): (&Field<String>, &Pairs, &PodSpec) = match &**parsed {
        Parsed::Pod(pod) => (&pod.metadata.name, &pod.metadata.labels, &pod.spec),
        Parsed::Deployment(controller) | Parsed::DaemonSet(controller) | Parsed::StatefulSet(controller) => {
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
    Some((domain, offset.location(name)))
}
