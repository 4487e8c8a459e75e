//! Parses `CanaryPolicy`, as far as that does not depend on its target.
//!
//! `mooring_policy::canary`, the code that the filter runs, decides what is valid; this module adds the locations.
//! `crate::translate` decides which rules a policy applies to.

use std::rc::Rc;

use crate::{
    api::canary::CanaryPolicySpec,
    conflict::{self, Candidate},
    diagnostic::{Code, Diagnostic, Report, Reported},
    id::Id,
    kind::{GATEWAY_API, Kind, NETWORKING_ISTIO, shown_group},
    location::{SourceLocation, Spanned},
    omissions::Omitted,
    resources::Item,
    session::{Session, version_label},
};

mod compile;
mod convert;
mod shadow;
mod sticky;

pub use compile::CompiledCanary;

/// The groups and kinds that a policy can target.
const TARGETS: [(&str, Kind); 3] = [
    (GATEWAY_API, Kind::HttpRoute),
    (GATEWAY_API, Kind::GrpcRoute),
    (NETWORKING_ISTIO, Kind::VirtualService),
];

/// A policy.
#[derive(Debug)]
pub struct Canary<'a> {
    /// The object.
    pub item: &'a Item<CanaryPolicySpec>,
    /// When it was created, if that is known.
    pub created: Option<String>,
    /// The kind of the route that it targets.
    pub target_kind: Kind,
    /// The route that it targets.
    pub target: Spanned<Id>,
    /// The rule of it that it targets. None: all.
    pub section: Option<Spanned<String>>,
    /// What it sets. An invalid policy sets nothing and does not take part in conflicts (GEP-713).
    pub settings: Result<Settings, Reported>,
}

/// What a valid policy sets.
#[derive(Debug)]
pub struct Settings {
    /// The session that it keeps.
    pub sticky: Option<Session>,
    /// Its canary.
    pub compiled: Rc<CompiledCanary>,
}

/// Those of the policies whose target is of a known kind. Everything that is invalid is reported.
pub fn policies<'a>(items: impl Iterator<Item = &'a Item<CanaryPolicySpec>>, report: &mut Report) -> Vec<Canary<'a>> {
    items.filter_map(|item| parse(item, report)).collect()
}

fn parse<'a>(item: &'a Item<CanaryPolicySpec>, report: &mut Report) -> Option<Canary<'a>> {
    let mut found = Report::default();
    let created = conflict::created(item, &mut found);
    let sticky = sticky::parse(item, &mut found);
    let target_kind = target_kind(item, &mut found);
    let compiled = compile::compile(item, target_kind, &mut found);
    check_version_label(item, &mut found);
    let settings = found.result().and_then(|()| {
        Ok(Settings {
            sticky: sticky?,
            compiled: Rc::new(compiled?),
        })
    });
    match &settings {
        Ok(settings) => shadow::warn(item, &settings.compiled.config.rules, &mut found),
        Err(_) => found.omit(Omitted::Policy, item.name(Kind::CanaryPolicy)),
    }
    report.extend(found);
    let target = &item.spec.target_ref.value;
    let section = target.section_name.as_ref();
    Some(Canary {
        item,
        created,
        target_kind: target_kind?,
        target: Spanned {
            value: Id::new(&item.id.namespace, &target.name.value),
            location: item.location_of(&target.name),
        },
        section: section.map(|name| item.spanned(name)),
        settings,
    })
}

/// Reports a `versionLabel` that cannot be the name of a label.
fn check_version_label(item: &Item<CanaryPolicySpec>, report: &mut Report) {
    if let Some(field) = &item.spec.version_label
        && let Some(problem) = version_label::problem(&field.value)
    {
        report.add(Diagnostic::error(Code::Invalid, problem).at(item.location_of(field)));
    }
}

/// The route that a policy targets. None: its target is of another kind.
pub(crate) fn target(item: &Item<CanaryPolicySpec>) -> Option<(Kind, Id)> {
    let kind = target_kind(item, &mut Report::default())?;
    let name = &item.spec.target_ref.value.name.value;
    Some((kind, Id::new(&item.id.namespace, name)))
}

fn target_kind(item: &Item<CanaryPolicySpec>, report: &mut Report) -> Option<Kind> {
    let target = &item.spec.target_ref.value;
    let (group, kind) = (target.group.value.as_str(), target.kind.value.as_str());
    let mut targets = TARGETS.into_iter();
    let found = targets.find(|(other, target)| *other == group && target.to_string() == kind);
    if found.is_none() {
        let allowed = TARGETS.map(|(group, kind)| format!("{kind} of {group}"));
        let message = format!(
            "a CanaryPolicy can target {}, not a {kind} of the group {}",
            allowed.join(" or "),
            shown_group(group)
        );
        report.add(Diagnostic::error(Code::Invalid, message).at(item.location_of(&target.kind)));
    }
    found.map(|(_, kind)| kind)
}

impl Canary<'_> {
    /// Kind, namespace and name.
    #[must_use]
    pub fn title(&self) -> String {
        format!("CanaryPolicy {}", self.item.id)
    }
}

impl Candidate for Canary<'_> {
    fn created(&self) -> Option<&str> {
        self.created.as_deref()
    }

    fn kind(&self) -> Kind {
        Kind::CanaryPolicy
    }

    fn id(&self) -> &Id {
        &self.item.id
    }

    fn location(&self) -> SourceLocation {
        self.item.location()
    }

    fn has_effect(&self) -> bool {
        true
    }
}
