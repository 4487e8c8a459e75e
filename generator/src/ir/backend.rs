//! A backend of a rule.

use mooring_policy::config;

use super::service_host;
use crate::{
    api::{
        istio::Subset,
        service::{ServicePort, ServiceSpec},
    },
    dns::ClusterDomain,
    id::Id,
    resources::Item,
};

/// The label that lets sessions stay on a terminating pod: with it istiod sends draining endpoints.
pub const DRAINING_LABEL: &str = "istio.io/persistent-session";

/// One destination of a rule.
#[derive(Clone, Debug)]
pub struct Backend<'a> {
    /// The Service.
    pub service: &'a Item<ServiceSpec>,
    /// What has its endpoints: itself, or the Service that it stands for.
    pub concrete: &'a Item<ServiceSpec>,
    /// Its port.
    pub port: &'a ServicePort,
    /// The part of its pods that is meant, if it is not all of them.
    pub subset: Option<&'a Subset>,
    /// Its share of new sessions.
    pub weight: u32,
    /// The position of the reference to it in the rule; of several, the first.
    pub reference: usize,
    /// The domain in which the Service has its full name.
    pub domain: &'a ClusterDomain,
}

impl Backend<'_> {
    /// What tokens call it: readable, and the same whatever other backends the rule has.
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

    /// The host of that cluster.
    #[must_use]
    pub fn cluster_host(&self) -> String {
        service_host::cluster_host(self.service, self.domain)
    }

    /// The host name of the Service.
    #[must_use]
    pub fn host(&self) -> String {
        service_host::host(self.service, self.domain)
    }

    /// The namespace of what has that cluster.
    #[must_use]
    pub fn cluster_namespace(&self) -> String {
        service_host::cluster_namespace(self.service, self.domain)
    }

    /// The Service, unless it is a host of a `ServiceEntry`.
    #[must_use]
    pub fn service_id(&self) -> Option<&Id> {
        Some(&self.service.id).filter(|_| self.service.spec.external_host.is_none())
    }

    /// What the filter is told. Weights are the route's, unless the filter itself places clients by them. `releases` says
    /// whether sessions leave a backend of weight 0.
    #[must_use]
    pub fn config(&self, selects_by_hash: bool, releases: bool) -> config::BackendConfig {
        config::BackendConfig {
            key: self.key(),
            weight: selects_by_hash.then_some(self.weight),
            released: releases && self.weight == 0,
        }
    }
}
