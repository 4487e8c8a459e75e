//! Which canary Ingress belongs to which path: one with the same host, path and type of path.

use std::collections::BTreeMap;

use super::{
    ingress::Ingress,
    paths::{self, Backend, Written},
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    location::SourceLocation,
    omissions::Omitted,
    resources::Resources,
};

/// A canary Ingress and its backend.
type Canary<'a> = (&'a Ingress<'a>, Backend);

/// The canaries, by the positions of their paths in `main`. Of two canaries for one path, the older one counts.
pub fn find<'a>(
    ingresses: &'a [Ingress<'a>],
    main: &[(&'a Ingress<'a>, Written)],
    resources: &Resources,
    report: &mut Report,
) -> BTreeMap<usize, Canary<'a>> {
    let mut found: BTreeMap<usize, Canary> = BTreeMap::new();
    let mut first: BTreeMap<usize, SourceLocation> = BTreeMap::new();
    for canary in ingresses.iter().filter(|ingress| ingress.canary.is_some()) {
        for written in paths::written(canary.item, resources, report) {
            let omitted = format!("Ingress/{} {}", canary.item.id, written.shown());
            match position(&written, main) {
                Ok(position) => {
                    if let Some(other) = first.get(&position) {
                        report.add(second(&written, *other));
                        report.omit(Omitted::Rule, omitted);
                        continue;
                    }
                    first.insert(position, written.at);
                    found.insert(position, (canary, written.backend));
                }
                Err(error) => {
                    report.reject(*error);
                    report.omit(Omitted::Rule, omitted);
                }
            }
        }
    }
    found
}

fn second(written: &Written, other: SourceLocation) -> Diagnostic {
    let message = format!(
        "there are two canaries for {}: ingress-nginx supports one, and uses the older",
        written.shown()
    );
    Diagnostic::error(Code::Conflicted, message)
        .at(written.at)
        .with(other, "this one counts")
}

/// The position of the main path of a canary.
fn position(written: &Written, main: &[(&Ingress, Written)]) -> Result<usize, Box<Diagnostic>> {
    let same = main.iter().position(|(_, main)| main.key() == written.key());
    let Some(position) = same else {
        let similar = main
            .iter()
            .find(|(_, main)| main.host == written.host && main.path == written.path);
        let message = format!(
            "the canary for {} has no main Ingress: one with the same host, path and pathType",
            written.shown()
        );
        let error = Diagnostic::error(Code::TargetNotFound, message).at(written.at);
        return Err(Box::new(match similar {
            Some((_, main)) => error.with(main.at, format!("this path has the pathType {:?}", main.path_type)),
            None => error,
        }));
    };
    let Some((ingress, main)) = main.get(position) else {
        return Ok(position);
    };
    if main.backend == written.backend {
        let message = format!(
            "the canary for {} has the same backend as its main Ingress",
            written.shown()
        );
        let error = Diagnostic::error(Code::Invalid, message).at(written.at);
        return Err(Box::new(error.with(main.at, "the main path")));
    }
    if main.backend.service.namespace != written.backend.service.namespace {
        let message = format!(
            "the canary for {} is in another namespace than its main Ingress {}: such a split is not translated",
            written.shown(),
            ingress.item.id
        );
        let error = Diagnostic::error(Code::RefNotPermitted, message).at(written.at);
        let help = "add the backend to the HTTPRoute, and a ReferenceGrant to the namespace of the canary";
        return Err(Box::new(error.with(main.at, "the main path").help(help)));
    }
    Ok(position)
}
