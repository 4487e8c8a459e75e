//! A backend of a rule.

use mooring_policy::config;

use super::service_host;
use crate::{
    api::{istio::Subset, service::ServicePort},
    dns::ClusterDomain,
    id::Id,
    model::service::ServiceSpec,
    resources::Item,
};

/// The label that lets sessions stay on a terminating pod: istiod sends draining endpoints of a Service that has it.
pub const DRAINING_LABEL: &str = "istio.io/persistent-session";

/// One destination of a rule.
#[derive(Clone, Debug)]
pub struct Backend<'a> {
    /// The Service.
    pub service: &'a Item<ServiceSpec>,
    /// The Service that has the endpoints: `service` itself, or the target if `service` is an alias.
    pub concrete: &'a Item<ServiceSpec>,
    /// Its port.
    pub port: &'a ServicePort,
    /// The subset of the pods, if the rule names one.
    pub subset: Option<&'a Subset>,
    /// Its share of new sessions.
    pub weight: u32,
    /// Its version: the value of the label that the policy of the rule names.
    pub version: Option<String>,
    /// The position of the reference in the rule. If several references are merged, the first.
    pub reference: usize,
    /// The cluster domain, which completes the host name of the Service.
    pub domain: &'a ClusterDomain,
}

impl Backend<'_> {
    /// The key that identifies the backend in tokens. It is readable and does not depend on the other backends of the
    /// rule.
    #[must_use]
    pub fn key(&self) -> String {
        let Id { namespace, name } = &self.service.id;
        let host = match (&self.service.spec.external_host, service_host::alias(self.service)) {
            (Some(host), _) => host.value.clone(),
            (None, Some(host)) => self.domain.strip(&host.value).unwrap_or(&host.value).to_owned(),
            (None, None) => format!("{name}.{namespace}"),
        };
        let subset = self
            .subset
            .map_or(String::new(), |subset| format!("/{}", subset.name.value));
        format!("{host}:{}{subset}", self.port.port.value)
    }

    /// The name of its Envoy cluster, as Istio names it.
    #[must_use]
    pub fn cluster(&self) -> String {
        let subset = self.subset.map_or("", |subset| &subset.name.value);
        format!("outbound|{}|{subset}|{}", self.port.port.value, self.cluster_host())
    }

    /// The host in the name of that cluster.
    #[must_use]
    pub fn cluster_host(&self) -> String {
        service_host::cluster_host(self.service, self.domain)
    }

    /// The host name of the Service.
    #[must_use]
    pub fn host(&self) -> String {
        service_host::host(self.service, self.domain)
    }

    /// The namespace of the Service that has that cluster.
    #[must_use]
    pub fn cluster_namespace(&self) -> String {
        service_host::cluster_namespace(self.service, self.domain)
    }

    /// The id of the Service, or `None` if the backend is a host of a `ServiceEntry`.
    #[must_use]
    pub fn service_id(&self) -> Option<&Id> {
        Some(&self.service.id).filter(|_| self.service.spec.external_host.is_none())
    }

    /// The filter configuration of the backend. Envoy applies the weights of the route, so the filter gets a weight
    /// only if it needs it: to select the backend itself, by hash, or to rebalance sessions. `releases` says whether sessions leave a backend of weight 0, and
    /// `has_versions` whether they follow versions.
    #[must_use]
    pub fn config(&self, needs_weight: bool, releases: bool, has_versions: bool) -> config::BackendConfig {
        config::BackendConfig {
            key: self.key(),
            weight: needs_weight.then_some(self.weight),
            released: releases && self.weight == 0,
            version: self.version.clone().filter(|_| has_versions),
            weight_zero: has_versions && self.weight == 0,
        }
    }
}
