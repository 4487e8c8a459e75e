//! Selects the endpoints of a subset: those whose pods have its labels. An `EndpointSlice` does not contain the labels
//! of its pods, so the pods must be in the input.

use crate::{
    api::service::{Endpoint, EndpointSlice},
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::Backend,
    kind::Kind,
    omissions::Omitted,
    resources::{Found, Item, Resources},
};

/// Whether an endpoint belongs to the subset of a backend. If that is unknown, the endpoint is reported.
pub fn selects(
    backend: &Backend,
    slice: &Item<EndpointSlice>,
    endpoint: &Endpoint,
    resources: &Resources,
    report: &mut Report,
) -> bool {
    let Some(subset) = backend.subset.filter(|subset| subset.labels.iter().next().is_some()) else {
        return true;
    };
    let pod = endpoint
        .target_ref
        .as_ref()
        .filter(|target| target.kind.as_deref() == Some("Pod"));
    let pod = pod.and_then(|target| target.name.as_deref());
    let found = pod.map(|name| resources.pods.find(&Id::new(&slice.id.namespace, name)));
    if let Some(Found::Item(pod)) = found {
        let mut labels = subset.labels.iter();
        return labels.all(|(name, value)| pod.metadata.labels.get(&name.value) == Some(&value.value));
    }
    let problem = match pod {
        Some(name) => format!("the Pod {}/{name} is not in the input", slice.id.namespace),
        None => "this endpoint has no targetRef to a Pod".to_owned(),
    };
    let message = format!(
        "cannot tell whether this endpoint is in the subset `{}`: subsets select pods by their labels, and {problem}",
        subset.name.value
    );
    let location = endpoint
        .addresses
        .first()
        .map_or(slice.location(), |address| slice.location_of(address));
    let address = endpoint.addresses.first().map_or("", |address| &address.value);
    report.add(
        Diagnostic::error(Code::BackendNotFound, message)
            .at(location)
            .with(backend.service.location(), "the Service")
            .help("add the Pods to the input, with their labels, and refer to them in the targetRef of each endpoint"),
    );
    report.omit(
        Omitted::Endpoints,
        format!(
            "{address} of {} in the subset {}",
            slice.name(Kind::EndpointSlice),
            subset.name.value
        ),
    );
    false
}
