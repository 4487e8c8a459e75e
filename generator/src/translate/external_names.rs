//! Resolves Services of the type `ExternalName`: Istio treats them as aliases of another host, and only that host has clusters
//! (istiod: `ENABLE_EXTERNAL_NAME_ALIAS`, `GetDestinationCluster`).

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::service_host,
    location::SourceLocation,
    model::service::ServiceSpec,
    resources::{Found, Item, Resources},
};

/// The Service that has the ports and endpoints: the Service itself, or, if it is an alias, its target. If the target
/// is not in the input, reports this and returns the Service itself. Returns `None` if Istio has no cluster for the
/// alias. `location` is the location of the reference.
pub fn concrete<'a>(
    service: &'a Item<ServiceSpec>,
    location: &dyn Fn() -> SourceLocation,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<&'a Item<ServiceSpec>> {
    let Some(name) = service_host::alias(service) else {
        return Some(service);
    };
    let target = resources.external_service(&name.value).or_else(|| {
        let id = resources
            .domain
            .service(&name.value, "")
            .filter(|_| name.value.contains('.'))?;
        match resources.services.find(&id) {
            Found::Item(target) => Some(target),
            _ => None,
        }
    });
    let Some(target) = target else {
        let message = format!(
            "the Service {} is an alias of the host `{}`, which no Service and no ServiceEntry of the input has: \
             without one, Istio has no cluster for it and answers 503",
            service.id, name.value
        );
        let warning = Diagnostic::warning(Code::BackendNotFound, message).at(service.location_of(name));
        report.add(warning.help("add the Service, or a ServiceEntry with this host"));
        return Some(service);
    };
    let Some(next) = service_host::alias(target) else {
        return Some(target);
    };
    let message = format!(
        "the Service {} is an alias of the Service {}, which is itself an alias of `{}`: Istio follows only one \
         alias, has no cluster for it and answers 503",
        service.id, target.id, next.value
    );
    let diagnostic = Diagnostic::error(Code::BackendNotFound, message).at(location());
    let diagnostic = diagnostic.with(service.location_of(name), "the first alias");
    let diagnostic = diagnostic.with(target.location_of(next), "the second alias");
    report.add(diagnostic.help(format!("make the Service {} an alias of `{}`", service.id, next.value)));
    None
}
