//! Services of the type `ExternalName`: to Istio each is another name of the host that it stands for, and only that host has clusters
//! (istiod: `ENABLE_EXTERNAL_NAME_ALIAS`, `GetDestinationCluster`).

use super::destinations::service_of;
use crate::{
    api::{field::Field, service::ServiceSpec},
    diagnostic::{Code, Diagnostic, Report},
    dns::ClusterDomain,
    id::Id,
    location::SourceLocation,
    resources::{Found, Item, Resources},
};

/// The host that a Service stands for, if it is one of another host.
pub fn alias(service: &Item<ServiceSpec>) -> Option<&Field<String>> {
    let kind = service.spec.service_type.as_ref();
    let is_alias = kind.is_some_and(|kind| kind.value == "ExternalName");
    let name = service.spec.external_name.as_ref();
    name.filter(|name| is_alias && !name.value.is_empty())
}

/// The host in the names of the clusters of a Service.
#[must_use]
pub fn cluster_host(service: &Item<ServiceSpec>, domain: &ClusterDomain) -> String {
    alias(service).map_or_else(|| host(service, domain), |alias| alias.value.clone())
}

/// The host name of a Service.
pub fn host(service: &Item<ServiceSpec>, domain: &ClusterDomain) -> String {
    let Id { namespace, name } = &service.id;
    let external = service.spec.external_host.as_ref();
    external.map_or_else(|| domain.host(name, namespace), |host| host.value.clone())
}

/// The namespace of what has the clusters of a Service.
pub fn owner(service: &Item<ServiceSpec>, domain: &ClusterDomain) -> String {
    let target = alias(service).and_then(|alias| service_of(&alias.value, "", domain));
    target.map_or_else(|| service.id.namespace.clone(), |target| target.namespace)
}

/// What has the ports and endpoints of a Service: itself, or what it stands for. Where that is not in the input, which is reported,
/// it counts for its own. None: Istio has no cluster for it. `place` is where the Service is named.
pub fn concrete<'a>(
    service: &'a Item<ServiceSpec>,
    location: &dyn Fn() -> SourceLocation,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<&'a Item<ServiceSpec>> {
    let Some(name) = alias(service) else {
        return Some(service);
    };
    let target = resources.external_service(&name.value).or_else(|| {
        let id = service_of(&name.value, "", &resources.domain).filter(|_| name.value.contains('.'))?;
        match resources.services.find(&id) {
            Found::Item(target) => Some(target),
            _ => None,
        }
    });
    let Some(target) = target else {
        let message = format!(
            "the Service {} stands for the host `{}`, which no Service and no ServiceEntry of the input has: without one, Istio has no \
             cluster for it and answers 503",
            service.id, name.value
        );
        let warning = Diagnostic::warning(Code::BackendNotFound, message).at(service.location_of(name));
        report.add(warning.help("add the Service, or a ServiceEntry with this host"));
        return Some(service);
    };
    let Some(next) = alias(target) else { return Some(target) };
    let message = format!(
        "the Service {} stands for the Service {}, which stands for `{}` itself: Istio follows one step only, has no cluster for it and \
         answers 503",
        service.id, target.id, next.value
    );
    let diagnostic = Diagnostic::error(Code::BackendNotFound, message).at(location());
    let diagnostic = diagnostic.with(service.location_of(name), "the first step");
    let diagnostic = diagnostic.with(target.location_of(next), "the second step");
    report.add(diagnostic.help(format!("let the Service {} stand for `{}`", service.id, next.value)));
    None
}
