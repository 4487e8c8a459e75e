//! `CanaryPolicy`: what it says, and what is wrong with it whatever its target is.
//!
//! What is valid is decided by `mooring_policy::canary`, the code that the filter runs; here each of its refusals is given
//! its place. Which rule a policy holds for is decided by `crate::ir`.

use std::sync::Arc;

use mooring_policy::{canary::expression_size, config};

use crate::{
    api::canary::{CanaryPolicySpec, CanaryRule, Match, Source, ValueMatch},
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::{GATEWAY_API, Kind, NETWORKING_ISTIO, shown_group},
    location::{SourceLocation, Spanned},
    omissions::Omitted,
    policies,
    resources::{Item, Resources},
    session::SessionPolicy,
};

mod check;
mod shadow;

/// What the target of a policy can be.
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
    /// The session that it keeps.
    pub sticky: Option<SessionPolicy>,
    /// Whether nothing is wrong with it as a whole, whatever its target is.
    pub valid: bool,
    /// What the filter is told. None: something is wrong with its rules.
    pub compiled: Option<Arc<CompiledCanary>>,
}

/// What the filter is told of a policy, for all rules for which it holds.
#[derive(Debug)]
pub struct CompiledCanary {
    /// That.
    pub config: config::CanaryConfig,
    /// What its regular expressions take of a VM's memory, in bytes, at most.
    pub memory: usize,
    /// Where the policy stands.
    pub location: SourceLocation,
}

/// Every policy in the input whose target is known, in the order of ids. Whatever is wrong with one is reported.
pub fn policies<'a>(resources: &'a Resources, report: &mut Report) -> Vec<Canary<'a>> {
    let mut policies = Vec::new();
    for item in resources.canary_policies.iter() {
        let errors = report.errors();
        let created = policies::created(item, report);
        let sticky = policies::sticky(item, report);
        let kind = target_kind(item, report);
        let compiled = check::check(item, kind, report).map(Arc::new);
        let valid = report.errors() == errors;
        if valid {
            shadow::warn(item, report);
        } else {
            report.omit(Omitted::Policy, item.name(Kind::CanaryPolicy));
        }
        let target = &item.spec.target_ref.value;
        let section = target.section_name.as_ref();
        policies.extend(kind.map(|target_kind| Canary {
            item,
            created,
            target_kind,
            target: Spanned {
                value: Id::new(&item.id.namespace, &target.name.value),
                location: item.location_of(&target.name),
            },
            section: section.map(|name| policies::spanned(name, item.offset)),
            sticky,
            valid,
            compiled,
        }));
    }
    policies
}

fn target_kind(item: &Item<CanaryPolicySpec>, report: &mut Report) -> Option<Kind> {
    let target = &item.spec.target_ref.value;
    let (group, kind) = (target.group.value.as_str(), target.kind.value.as_str());
    let mut targets = TARGETS.into_iter();
    let found = targets.find(|(other, target)| *other == group && target.to_string() == kind);
    if found.is_none() {
        let allowed = TARGETS.map(|(group, kind)| format!("{kind} of {group}"));
        let message = format!(
            "a CanaryPolicy can target {}, and this is a {kind} of the group {}",
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

/// A forcing rule as the filter is told of it, with the sizes of its regular expressions.
fn rule_config(rule: &CanaryRule) -> config::MatchRuleConfig {
    let matches = rule.matches.iter().filter_map(|one| match_config(&one.value));
    config::MatchRuleConfig {
        name: rule.name.value.clone(),
        matches: matches.map(sized).collect(),
        opt_in: rule.opt_in.as_ref().and_then(|source| source_config(&source.value)),
    }
}

fn sized(one: config::MatchConfig) -> config::MatchConfig {
    let pattern = one
        .value
        .as_deref()
        .filter(|_| one.match_type == config::MatchType::RegularExpression);
    config::MatchConfig {
        compiled_size: pattern.and_then(|pattern| expression_size(pattern).ok()),
        ..one
    }
}

fn match_config(one: &Match) -> Option<config::MatchConfig> {
    let (on, raw): (fn(String) -> config::SourceConfig, &ValueMatch) = match (&one.header, &one.cookie) {
        (Some(header), None) => (config::SourceConfig::Header, &header.value),
        (None, Some(cookie)) => (config::SourceConfig::Cookie, &cookie.value),
        _ => return None,
    };
    Some(config::MatchConfig {
        on: on(raw.name.value.clone()),
        match_type: raw.kind.as_ref().map_or(config::MatchType::Exact, |kind| kind.value),
        value: raw.value.as_ref().map(|value| value.value.clone()),
        compiled_size: None,
    })
}

fn source_config(source: &Source) -> Option<config::SourceConfig> {
    match (&source.header, &source.cookie) {
        (Some(header), None) => Some(config::SourceConfig::Header(header.value.clone())),
        (None, Some(cookie)) => Some(config::SourceConfig::Cookie(cookie.value.clone())),
        _ => None,
    }
}
