//! Checks the names of rules.

use std::collections::BTreeMap;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::Rule,
    kind::Kind,
    location::SourceLocation,
    resources::wrong_name,
};

/// The managed rules without a name in routes with several rules. Their identity changes when another rule is inserted or removed
/// before them.
pub fn unnamed(rules: &[&Rule]) -> BTreeMap<String, SourceLocation> {
    let unnamed = rules
        .iter()
        .filter(|rule| rule.is_managed() && rule.is_known_by_position());
    unnamed
        .map(|rule| (rule.id.clone(), rule.location_of(rule.spec)))
        .collect()
}

/// Notes these rules.
pub fn note_unnamed(unnamed: &BTreeMap<String, SourceLocation>, report: &mut Report) {
    let mut rules = unnamed.iter();
    let Some((first, location)) = rules.next() else {
        return;
    };
    let message = match rules.len() {
        0 => format!(
            "the rule {first} has no name and is identified by its position: its sessions end when a rule is inserted \
             before it"
        ),
        more => format!(
            "{} rules (this and {more} more) have no name and are identified by their positions: their sessions end \
             when a rule is inserted before them",
            more.saturating_add(1)
        ),
    };
    let note = Diagnostic::note(Code::Unnamed, message).at(*location);
    report.add(note.help("give the rule a `name`; this ends its current sessions once"));
}

/// An error if the name of a rule is invalid. An http route of a `VirtualService` may have any name.
pub fn wrong_rule_name(rule: &Rule) -> Option<Diagnostic> {
    if rule.route.spec.kind == Kind::VirtualService {
        return None;
    }
    wrong_name(rule.spec.value.name.as_ref()?, rule.route.offset)
}

/// The error for the second of two rules with the same name in a route.
pub fn same_name(rule: &Rule, first: &Rule) -> Diagnostic {
    let location = |rule: &Rule| {
        let name = rule.spec.value.name.as_ref();
        name.map_or(rule.location_of(rule.spec), |name| rule.location_of(name))
    };
    let name = rule.spec.value.name.as_ref().map_or("", |name| &name.value);
    let message = format!("two rules of {} have the name `{name}`", rule.route.title());
    Diagnostic::error(Code::Duplicate, message)
        .at(location(rule))
        .with(location(first), "the first one")
}
