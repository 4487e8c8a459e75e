//! The `DestinationRule`s for `upstream-hash-by`.

use serde_json::json;

use super::{hash_by::HashBy, ingress::Ingress, output::Objects, paths};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    resources::Resources,
};

/// A `DestinationRule` for each Service of an Ingress with consistent hashing.
pub fn translate(ingresses: &[Ingress], resources: &Resources, objects: &mut Objects, report: &mut Report) {
    for ingress in ingresses {
        let Some(by) = &ingress.hash_by else { continue };
        let mut silent = Report::default();
        let mut services: Vec<Id> = Vec::new();
        for written in paths::written(ingress.item, resources, &mut silent) {
            if !services.contains(&written.backend.service) {
                services.push(written.backend.service);
            }
        }
        for service in services {
            of_service(ingress, by, &service, resources, objects, report);
        }
    }
}

fn of_service(
    ingress: &Ingress,
    by: &HashBy,
    service: &Id,
    resources: &Resources,
    objects: &mut Objects,
    report: &mut Report,
) {
    let host = resources.domain.host(&service.name, &service.namespace);
    if let Some((_, rule)) = resources.destination_rules_for(&host).next() {
        let message = format!(
            "the Service {service} has a DestinationRule, so none is written: add this to its loadBalancer: consistentHash: {}",
            by.hash
        );
        let warning = Diagnostic::warning(Code::Conflicted, message).at(by.at);
        report.add(warning.with(rule.location(), "this one"));
        return;
    }
    let spec = json!({
        "host": host,
        "trafficPolicy": { "loadBalancer": { "consistentHash": by.hash } },
    });
    let name = format!("{}-hash", service.name);
    objects.add(
        ("networking.istio.io/v1", "DestinationRule"),
        &Id::new(&service.namespace, &name),
        json!({ "spec": spec }),
        &[ingress.item],
    );
}
