//! Rules as long as it is not known whether they can be generated: what is wrong with each is its own business.

use std::collections::{BTreeMap, BTreeSet};

use mooring_policy::{
    config::{self, Config},
    rule::{InvalidConfig, RouteTable},
};

use super::{Rule, names};
use crate::{
    attachment::Attachments,
    diagnostic::{Code, Diagnostic, Report},
    inventory::{Id, Inventory, Unread},
    kind::Kind,
    left_out::What,
};

/// A rule, and what was found about it.
pub struct Draft<'a> {
    /// The rule.
    pub rule: Rule<'a>,
    /// What was found.
    pub found: Report,
    /// Whether it should keep sessions or has canaries.
    pub concerns_us: bool,
}

impl<'a> Draft<'a> {
    /// The rule as it can be generated: one with which something is wrong keeps no sessions and has no canaries. Where it was
    /// not to have any, nothing is wrong that would matter.
    pub fn settle(mut self, report: &mut Report) -> Rule<'a> {
        if !self.concerns_us {
            report.extend_harmless(self.found);
            return self.rule;
        }
        if !self.found.forbids()
            && self.rule.is_managed()
            && let Err(refusal) = accepted(&self.rule.config(self.rule.name.clone(), Vec::new()))
        {
            let message = format!("the filter would refuse the rule {}: {refusal}", self.rule.id);
            let place = self.rule.route.place_of(self.rule.wire);
            self.found.add(Diagnostic::error(Code::Invalid, message).at(place));
        }
        if self.found.forbids() || self.rule.is_refused() {
            self.found.leave_out(What::Rule, &self.rule.id);
            self.rule.refuse();
        }
        report.extend(self.found);
        self.rule
    }
}

/// What the filter says of a rule.
fn accepted(rule: &config::Rule) -> Result<(), InvalidConfig> {
    let mut rule = rule.clone();
    if rule.route.is_empty() {
        // A route that is on no gateway needs no name.
        "unnamed".clone_into(&mut rule.route);
    }
    RouteTable::try_from(Config {
        version: config::VERSION,
        rules: vec![rule],
    })
    .map(|_| ())
}

/// The names of rules are names of objects, and unique in a route (Gateway API: `SectionName`, CEL rule). Of two rules of one
/// name the later one is left out, or the one that concerns us.
pub fn check_names(drafts: &mut [Draft]) {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for position in 0..drafts.len() {
        let Some((rule, concerns_us)) = drafts.get(position).map(|draft| (&draft.rule, draft.concerns_us)) else {
            continue;
        };
        let Some(name) = &rule.wire.value.name else { continue };
        // Where the filter has nothing to do, the names of a VirtualService are Istio's business.
        let counts = concerns_us || rule.route.spec.kind != Kind::VirtualService;
        let wrong = names::wrong_rule_name(rule).filter(|_| counts);
        let other = first.get(&name.value).copied();
        let twice = other.and_then(|other| Some((other, drafts.get(other)?)));
        let twice = twice.map(|(other, draft)| {
            let victim = if draft.concerns_us && !concerns_us {
                other
            } else {
                position
            };
            (victim, names::same_name(rule, &draft.rule), counts || draft.concerns_us)
        });
        first.entry(name.value.clone()).or_insert(position);
        if let Some(draft) = drafts.get_mut(position) {
            wrong.into_iter().for_each(|diagnostic| draft.found.add(diagnostic));
        }
        if let Some((victim, diagnostic, true)) = twice
            && let Some(draft) = drafts.get_mut(victim)
        {
            draft.found.add(diagnostic);
        }
    }
}

/// Reports the objects that could not be read. Such a thing is an error if it is a policy, or if there are sessions or canaries
/// that need it.
pub fn judge_unread(inventory: &Inventory, attachments: &Attachments, rules: &[&Rule], report: &mut Report) {
    if inventory.unread.is_empty() {
        return;
    }
    let needed: BTreeSet<(Kind, &Id)> = rules
        .iter()
        .filter(|rule| rule.concerns_us())
        .flat_map(|rule| {
            let services = rule.backends.iter().map(|backend| (Kind::Service, &backend.service.id));
            services.chain([(rule.route.spec.kind, &rule.route.id)])
        })
        .collect();
    for unread in &inventory.unread {
        let diagnostic = unread.diagnostic.clone();
        if !is_needed(unread, &needed, inventory, attachments, report) {
            report.add(diagnostic.harmless());
            continue;
        }
        report.add(diagnostic);
        let what = if unread.kind.is_policy() {
            What::Policy
        } else {
            What::Object
        };
        report.leave_out(what, &unread.label);
    }
}

fn is_needed(
    unread: &Unread,
    needed: &BTreeSet<(Kind, &Id)>,
    inventory: &Inventory,
    attachments: &Attachments,
    report: &Report,
) -> bool {
    let missed = |kind: Kind| report.missed().iter().any(|(other, _)| *other == kind);
    let kind = unread.kind;
    if kind.is_route() && !wants_us(unread, inventory, attachments) {
        return unread
            .id
            .as_ref()
            .is_some_and(|id| needed.contains(&(kind, id)) || report.missed().contains(&(kind, id.clone())));
    }
    match (kind, &unread.id) {
        (kind, _) if kind.is_policy() || kind.is_route() => true,
        (Kind::EndpointSlice | Kind::Pod, _) => inventory.needs_endpoints,
        (Kind::ServiceEntry | Kind::ReferenceGrant | Kind::DestinationRule, _) | (_, None) => missed(kind),
        (kind, Some(id)) => needed.contains(&(kind, id)) || report.missed().contains(&(kind, id.clone())),
    }
}

/// Whether a route that could not be read has sessions, as far as that can be told.
fn wants_us(unread: &Unread, inventory: &Inventory, attachments: &Attachments) -> bool {
    let Some(id) = &unread.id else { return true };
    let Some(wants) = &unread.wants else {
        // The second document of a route is as important as the first.
        return !inventory.has_route(unread.kind, id);
    };
    wants.persistence
        || wants.backends.iter().any(|(namespace, name)| {
            let service = match unread.kind {
                Kind::VirtualService => super::destinations::service_of(name, &id.namespace),
                _ => Some(Id::new(namespace.as_deref().unwrap_or(&id.namespace), name)),
            };
            service.is_some_and(|service| attachments.of(&service).is_some())
        })
}
