//! Finds the backend of a route rule that a canary rule names.

use super::destinations;
use crate::{
    api::{
        canary::{CanaryRule, Destination},
        field::Field,
    },
    canary::Canary,
    id::Id,
    ir::Backend,
    location::SourceLocation,
};

/// Whether any rule of the route has the backend of a canary rule.
pub fn any_has(policy: &Canary, rule: &CanaryRule, all: &[Vec<Backend>]) -> bool {
    all.iter().any(|backends| find(policy, rule, backends).is_ok())
}

/// The message for a missing backend, and the location of its name.
type NotFound = (String, Option<SourceLocation>);

/// The backend of a canary rule.
pub fn find<'b, 'a>(
    policy: &Canary,
    rule: &CanaryRule,
    backends: &'b [Backend<'a>],
) -> Result<&'b Backend<'a>, NotFound> {
    if let Some(destination) = &rule.destination {
        return find_destination(policy, destination, backends);
    }
    let Some(reference) = &rule.backend_ref else {
        return Err(("has no backend".to_owned(), None));
    };
    let raw = &reference.value;
    let namespace = raw
        .namespace
        .as_ref()
        .map_or(&policy.item.id.namespace, |field| &field.value);
    let service = Id::new(namespace, &raw.name.value);
    let named = backends.iter().filter(|backend| backend.service.id == service);
    let named: Vec<&Backend> = named
        .filter(|backend| {
            raw.port
                .as_ref()
                .is_none_or(|port| port.value == backend.port.port.value)
        })
        .collect();
    let location = Some(policy.item.location_of(&raw.name));
    let port = raw
        .port
        .as_ref()
        .map_or(String::new(), |port| format!(" on port {}", port.value));
    let known: Vec<String> = backends.iter().map(|backend| format!("`{}`", backend.key())).collect();
    let known = known.join(", ");
    match named.as_slice() {
        [one] => Ok(one),
        [] => Err((format!("has no backend {service}{port}; it has {known}"), location)),
        _ => Err((
            format!("has several backends {service}, so the port is needed; it has {known}"),
            location,
        )),
    }
}

/// The backend of a canary rule that names a destination.
fn find_destination<'b, 'a>(
    policy: &Canary,
    destination: &Field<Destination>,
    backends: &'b [Backend<'a>],
) -> Result<&'b Backend<'a>, NotFound> {
    let raw = &destination.value;
    let meant = |backend: &&Backend| destinations::means(raw, &policy.item.id.namespace, backend);
    let meant: Vec<&Backend> = backends.iter().filter(meant).collect();
    let known: Vec<String> = backends.iter().map(|backend| format!("`{}`", backend.key())).collect();
    let known = known.join(", ");
    let subset = raw.subset.as_ref();
    let subset = subset.map_or(String::new(), |subset| format!(" with the subset {}", subset.value));
    let port = raw.port.as_ref();
    let port = port.map_or(String::new(), |port| format!(" on port {}", port.value.number.value));
    let full_name = |backend: &Backend| backend.domain.full_name(&raw.host.value, &policy.item.id.namespace);
    let host = backends.first().map_or_else(|| raw.host.value.clone(), full_name);
    let location = Some(policy.item.location_of(raw.subset.as_ref().unwrap_or(&raw.host)));
    match meant.as_slice() {
        [one] => Ok(one),
        [] => Err((
            format!("has no destination {host}{subset}{port}; it has {known}"),
            location,
        )),
        _ => Err((
            format!("has several destinations {host}{subset}, so the port is needed; it has {known}"),
            location,
        )),
    }
}
