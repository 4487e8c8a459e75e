//! Parses `targetRefs` of a policy (GEP-713, GEP-2648).

use std::collections::BTreeSet;

use crate::{
    api::{field::Field, policy::TargetRef},
    diagnostic::{Code, Diagnostic, Report},
    kind::{CORE_GROUP, CORE_GROUP_HELP, shown_group},
    location::Spanned,
    resources::Item,
};

/// How many targets a policy may have (Gateway API: `maxItems`).
const MAX_TARGETS: usize = 16;

/// The names of the Services that a policy targets.
pub fn parse<S>(targets: &[Field<TargetRef>], item: &Item<S>, report: &mut Report) -> Vec<Spanned<String>> {
    if targets.is_empty() {
        let message = format!("{} has no targetRefs, so it has no effect", item.id);
        report.add(Diagnostic::error(Code::Invalid, message).at(item.location()));
    }
    if let Some(field) = targets.get(MAX_TARGETS) {
        let message = format!(
            "a policy may have {MAX_TARGETS} targetRefs at most, and this one has {}",
            targets.len()
        );
        report.add(Diagnostic::error(Code::Invalid, message).at(item.location_of(field)));
    }
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for target in targets {
        if !is_service(&target.value, item, report) {
            continue;
        }
        let name = &target.value.name;
        if !seen.insert(name.value.as_str()) {
            let message = format!("the Service `{}` is targeted twice", name.value);
            report.add(Diagnostic::error(Code::Duplicate, message).at(item.location_of(name)));
            continue;
        }
        names.push(item.spanned(name));
    }
    names
}

fn is_service<S>(target: &TargetRef, item: &Item<S>, report: &mut Report) -> bool {
    if target.group.is_none() {
        let message = "this targetRef has no group; Mooring assumes the core group";
        report.add(
            Diagnostic::warning(Code::Invalid, message)
                .at(item.location_of(&target.kind))
                .help("write `group: \"\"`: Gateway API requires it, and the API server refuses a policy without it"),
        );
    }
    let group = target.group.as_ref().map_or("", |group| &group.value);
    if (group, target.kind.value.as_str()) == ("", "Service") {
        return true;
    }
    let message = format!(
        "a policy can target Services of the core group, not a {} of the group {}",
        target.kind.value,
        shown_group(group)
    );
    let diagnostic = Diagnostic::error(Code::Invalid, message).at(item.location_of(&target.kind));
    let misnamed = (group, target.kind.value.as_str()) == (CORE_GROUP, "Service");
    let help = misnamed.then_some(CORE_GROUP_HELP);
    report.add(help.into_iter().fold(diagnostic, Diagnostic::help));
    false
}
