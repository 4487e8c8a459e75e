//! Which Ingresses belong to ingress-nginx.

use std::collections::BTreeSet;

use crate::{
    api::ingress::IngressSpec,
    diagnostic::{Code, Diagnostic, Report},
    resources::{Item, Resources},
};

/// The `controller` of the classes of ingress-nginx.
const CONTROLLER: &str = "k8s.io/ingress-nginx";

/// The usual name of its class.
const CLASS: &str = "nginx";

/// The annotation that is older than `ingressClassName`.
const OLD_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The Ingresses of ingress-nginx, the oldest first, as ingress-nginx sorts them. `named` are the classes of the command
/// line.
pub fn select<'a>(
    resources: &'a Resources,
    named: &BTreeSet<String>,
    report: &mut Report,
) -> Vec<&'a Item<IngressSpec>> {
    let ours = resources.ingresses.iter();
    let mut ours: Vec<&Item<IngressSpec>> = ours
        .filter(|ingress| is_ours(ingress, resources, named, report))
        .collect();
    ours.sort_by_key(|ingress| {
        let created = ingress.metadata.creation_timestamp.as_ref();
        (created.is_none(), created.map(|field| &field.value), &ingress.id)
    });
    ours
}

fn is_ours(ingress: &Item<IngressSpec>, resources: &Resources, named: &BTreeSet<String>, report: &mut Report) -> bool {
    let old = ingress.metadata.annotations.iter();
    let old = old.map(|(name, value)| (name.value == OLD_ANNOTATION).then_some(value));
    let class = ingress.spec.ingress_class_name.as_ref().or(old.flatten().next());
    // Without a class, the default class of the cluster counts, which is not known here.
    let Some(class) = class else { return true };
    let name = class.value.as_str();
    if named.contains(name) {
        return true;
    }
    let mut classes = resources.ingress_classes.iter();
    let controller = classes
        .find(|item| item.id.name == name)
        .and_then(|item| item.spec.controller.as_deref());
    let location = ingress.location_of(class);
    match controller {
        Some(CONTROLLER) => true,
        Some(other) => {
            let message = format!("the Ingress {} is skipped: its class belongs to `{other}`", ingress.id);
            report.add(Diagnostic::note(Code::Unsupported, message).at(location));
            false
        }
        None if name == CLASS => true,
        None => {
            let message = format!(
                "the Ingress {} is skipped: nothing says that its class `{name}` belongs to ingress-nginx",
                ingress.id
            );
            let help = format!("add the IngressClass to the input, or give --ingress-class {name}");
            report.add(Diagnostic::warning(Code::Unsupported, message).at(location).help(help));
            false
        }
    }
}
