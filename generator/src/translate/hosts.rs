//! Finds the Service or the host of a `ServiceEntry` that a route names by its host name.

use crate::{
    api::field::Field,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::Kind,
    model::{route::RouteSpec, service::ServiceSpec},
    resources::{Found, Instead, Item, Resources},
};

/// The Service or host with this name. A name without dots is a Service in the namespace of the route. Reports a name
/// that nothing in the input has.
pub fn find<'a>(
    route: &Item<RouteSpec>,
    host: &Field<String>,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<&'a Item<ServiceSpec>> {
    let full = resources.domain.full_name(&host.value, &route.id.namespace);
    if let Some(external) = resources.external_service(&full) {
        return Some(external);
    }
    // It may be a host of a ServiceEntry that could not be read.
    let mut missing = |instead: Option<&Instead>, help: Option<String>| {
        report.miss(Kind::ServiceEntry, &Id::new("", &full));
        let message = format!("no Service and no ServiceEntry of the input has the host `{full}`");
        let diagnostic = Diagnostic::error(Code::BackendNotFound, message).at(route.location_of(host));
        let diagnostic = instead.into_iter().fold(diagnostic, Diagnostic::instead);
        report.add(help.into_iter().fold(diagnostic, Diagnostic::help));
    };
    let in_full = |id: &Id| {
        let host = resources.domain.host(&id.name, &id.namespace);
        format!("a Service in another namespace is named in full: `{host}`")
    };
    let Some(id) = resources.domain.service(&full, &route.id.namespace) else {
        let service = full.split_once('.').map(|(name, namespace)| Id::new(namespace, name));
        let service = service.filter(|id| matches!(resources.services.find(id), Found::Item(_)));
        missing(None, service.as_ref().map(in_full));
        return None;
    };
    match resources.services.find(&id) {
        Found::Item(service) => Some(service),
        Found::Unknown => {
            report.miss(Kind::Service, &id);
            None
        }
        Found::Nothing(instead) => {
            missing(Some(&instead), instead.elsewhere().next().map(in_full));
            None
        }
    }
}
