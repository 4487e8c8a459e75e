//! The host names of Services.
//!
//! Istio treats a Service of the type `ExternalName` as an alias of another host, and only that host has clusters
//! (istiod: `ENABLE_EXTERNAL_NAME_ALIAS`, `GetDestinationCluster`).

use crate::{api::field::Field, dns::ClusterDomain, id::Id, model::service::ServiceSpec, resources::Item};

/// The host that a Service is an alias of, if it is an alias.
#[must_use]
pub fn alias(service: &Item<ServiceSpec>) -> Option<&Field<String>> {
    let kind = service.spec.service_type.as_ref();
    let is_alias = kind.is_some_and(|kind| kind.value == "ExternalName");
    let name = service.spec.external_name.as_ref();
    name.filter(|name| is_alias && !name.value.is_empty())
}

/// The host name in the Envoy clusters of a Service.
#[must_use]
pub fn cluster_host(service: &Item<ServiceSpec>, domain: &ClusterDomain) -> String {
    alias(service).map_or_else(|| host(service, domain), |alias| alias.value.clone())
}

/// The host name of a Service.
#[must_use]
pub fn host(service: &Item<ServiceSpec>, domain: &ClusterDomain) -> String {
    let Id { namespace, name } = &service.id;
    let external = service.spec.external_host.as_ref();
    external.map_or_else(|| domain.host(name, namespace), |host| host.value.clone())
}

/// The namespace of the Service that has the clusters. For an alias, this is the namespace of the target.
#[must_use]
pub fn cluster_namespace(service: &Item<ServiceSpec>, domain: &ClusterDomain) -> String {
    let target = alias(service).and_then(|alias| domain.service(&alias.value, ""));
    target.map_or_else(|| service.id.namespace.clone(), |target| target.namespace)
}
