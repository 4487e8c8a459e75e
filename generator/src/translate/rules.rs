//! The rules of a route: what is read of each, and which sessions and canaries it has.

use super::{
    backends,
    binding::{gateway_api::Bindings, match_scopes::Reach},
    canaries::{Canaries, Choice, Target},
    checks::match_values,
    destinations::{self, Callers},
    draft::{self, Draft},
    gateways::{Gateways, Part},
    services,
};
use crate::{
    api::field::Field,
    attachment::Attachments,
    delegation::MergedRoute,
    diagnostic::Report,
    id::Id,
    ir::{AttachedCanary, Backend, Refused, Rule, Session, names, sections},
    kind::Kind,
    model::route::{self, RouteSpec},
    omissions::Omitted,
    policies::{self, Inline},
    resources::{Item, Resources},
    rule_id::rule_id,
    session::SessionPolicy,
};

/// What rules are made of.
#[derive(Clone, Copy)]
pub struct Input<'i, 'a> {
    /// The objects.
    pub resources: &'a Resources,
    /// The policies of Services.
    pub attachments: &'i Attachments<'i>,
    /// The policies of routes.
    pub canaries: &'i Canaries<'a>,
    /// The gateways.
    pub gateways: &'i Gateways<'a>,
    /// For which of them the route is generated.
    pub part: &'i Part,
}

/// A rule as it is written.
struct Written<'a> {
    /// The route.
    route: &'a Item<RouteSpec>,
    /// The object in which it stands.
    item: &'a Item<RouteSpec>,
    /// Its position there.
    position: usize,
    /// Its position in the route.
    index: usize,
    /// How the delegate and the route came together, if it stands in a delegate.
    delegated: Option<&'a MergedRoute>,
    /// What is written.
    spec: &'a Field<route::Rule>,
    /// What identifies it.
    id: String,
}

/// The rules of a route, each with where it is, if that is not everywhere the route is.
pub fn of_route<'a>(
    route: &'a Item<RouteSpec>,
    bindings: &Bindings,
    input: Input<'_, 'a>,
    report: &mut Report,
) -> Vec<(Rule<'a>, Option<Reach>)> {
    let before = report.errors();
    let mut inline = policies::inline(route, report).into_iter();
    if report.errors() > before && inline.as_slice().iter().flatten().all(|inline| inline.sound) {
        report.omit(Omitted::Annotations, route.name(route.spec.kind));
    }
    let written = written(route, input.resources);
    let callers = Callers::new(route, bindings, input.gateways);
    let resolved: Vec<(Vec<Option<Backend>>, Report)> = written
        .iter()
        .map(|one| one.references(&callers, input.resources))
        .collect();
    let all: Vec<Vec<Backend>> = resolved
        .iter()
        .map(|(references, _)| backends::merged(references))
        .collect();
    let mut drafts = Vec::new();
    for ((one, backends), (references, mut found)) in written.into_iter().zip(&all).zip(resolved) {
        let choice = Choice {
            own: backends,
            all: &all,
        };
        let routable = one.is_routable(&mut found);
        let mut policies = one.policies(inline.next().flatten(), choice, input, &mut found, report);
        let uses_mooring = policies.concern_us;
        let sound = policies.sound;
        let reach = match route.spec.kind {
            Kind::VirtualService => Reach::new(&one.spec.value, one.item, bindings, input.gateways, input.resources),
            _ => None,
        };
        let session = policies.session.take();
        let session = session.map(|(policy, from)| Session::new(&policy, from, &one.id, sound));
        let mut draft = Draft {
            rule: one.rule(session, policies, routable, input.part, references),
            reach,
            found,
            uses_mooring,
        };
        draft.check(!bindings.is_empty(), input.resources);
        if !sound {
            draft.rule.refuse();
        }
        drafts.push(draft);
    }
    draft::check_names(&mut drafts);
    drafts.into_iter().map(|draft| draft.settle(report)).collect()
}

/// The rules of a route in their order, with those of its delegates.
fn written<'a>(route: &'a Item<RouteSpec>, resources: &'a Resources) -> Vec<Written<'a>> {
    let rules = resources.rules_of(route).into_iter().enumerate();
    rules
        .map(|(index, rule)| {
            let name = rule.rule.value.name.as_ref().map(|name| name.value.as_str());
            Written {
                route,
                item: rule.item,
                position: rule.position,
                index,
                delegated: rule.delegated,
                spec: rule.rule,
                id: rule_id(route.spec.kind, &route.id, name, index),
            }
        })
        .collect()
}

/// The policies that hold for a rule.
struct Policies {
    /// How its sessions are kept, and the policy that says so, unless the rule itself does.
    session: Option<(SessionPolicy, Option<(Kind, Id)>)>,
    /// The canary policy.
    canary: Option<AttachedCanary>,
    /// The canary policy that would hold, were nothing wrong with it on this rule.
    wrong: Option<AttachedCanary>,
    /// Whether any policy is about the rule.
    concern_us: bool,
    /// Whether nothing is wrong with what the rule itself says.
    sound: bool,
}

impl<'a> Written<'a> {
    fn name(&self) -> Option<&'a str> {
        self.spec.value.name.as_ref().map(|name| name.value.as_str())
    }

    /// Where its references lead, and what is wrong with them.
    fn references(&self, callers: &Callers, resources: &'a Resources) -> (Vec<Option<Backend<'a>>>, Report) {
        let mut found = Report::default();
        let spec = &self.spec.value;
        let references = match self.route.spec.kind {
            Kind::VirtualService => destinations::resolve(self.item, spec, callers, resources, &mut found),
            _ => backends::resolve(self.item, spec, resources, &mut found),
        };
        (references, found)
    }

    /// Whether Envoy takes its matches.
    fn is_routable(&self, report: &mut Report) -> bool {
        let mut found = Report::default();
        if self.route.spec.kind != Kind::VirtualService {
            match_values::check(self.item, &self.spec.value, &mut found);
        }
        let routable = !found.has_errors();
        report.extend(found);
        routable
    }

    /// The policies that hold for it. `found` is what keeps it from having sessions and canaries.
    fn policies(
        &self,
        inline: Option<Inline>,
        choice: Choice,
        input: Input<'_, 'a>,
        found: &mut Report,
        report: &mut Report,
    ) -> Policies {
        let Input { attachments, .. } = input;
        let spec = &self.spec.value;
        let attached = match &inline {
            Some(_) => None,
            None => services::attached(self.item, self.spec, choice.own, attachments, found),
        };
        // Also where the Service is not there, or must not be used.
        let mut named = backends::all_named(self.item, spec, &input.resources.domain).into_iter();
        let meant = inline.is_some() || named.any(|service| attachments.of(&service).is_some());
        let sound = inline.as_ref().is_none_or(|inline| inline.sound);
        let (own, from) = match (inline, attached) {
            (Some(inline), _) => (Some(inline.policy), None),
            (None, Some(attached)) => {
                let from = (attached.policy.kind, attached.policy.id.clone());
                (attached.session, Some(from))
            }
            (None, None) => (None, None),
        };
        let sections = sections(self.route, self.item, self.position, self.delegated);
        let target = Target {
            kind: self.route.spec.kind,
            sections: &sections,
            named: self.name().is_some(),
            title: &format!("the rule {}", self.id),
            location: self.item.location_of(self.spec),
            leads_on: !spec.backend_refs.is_empty() || !spec.destinations.is_empty(),
        };
        let mut of_canary = Report::default();
        let canary = input.canaries.apply(target, own.as_ref(), choice, &mut of_canary);
        let concern_us = meant || canary.is_some();
        // A canary with which something is wrong on this rule costs the rule no sessions of its own.
        let (canary, wrong) = match canary {
            Some(canary) if !canary.sound => {
                let name = format!("{}/{} on {}", Kind::CanaryPolicy, canary.policy, self.id);
                of_canary.omit(Omitted::Attachment, name);
                (None, Some(canary))
            }
            canary => (canary, None),
        };
        report.extend(of_canary);
        let sticky = canary.as_ref().and_then(|canary| {
            Some((
                canary.sticky.clone()?,
                Some((Kind::CanaryPolicy, canary.policy.clone())),
            ))
        });
        Policies {
            session: own.map(|own| (own, from)).or(sticky),
            canary,
            wrong,
            concern_us,
            sound,
        }
    }

    fn rule(
        self,
        session: Option<Session>,
        policies: Policies,
        routable: bool,
        part: &Part,
        references: Vec<Option<Backend<'a>>>,
    ) -> Rule<'a> {
        Rule {
            route: self.route,
            written: self.item,
            position: self.position,
            index: self.index,
            delegated: self.delegated,
            spec: self.spec,
            matches: self.spec.value.matches.iter().collect(),
            name: match self.route.spec.kind {
                Kind::VirtualService => self.name().unwrap_or_default().to_owned(),
                _ => names::route_name(&self.route.id, self.name(), self.index),
            },
            session,
            id: self.id,
            canary: policies.canary,
            refused: Refused {
                canary: policies.wrong,
                ..Refused::default()
            },
            part: part.0.clone(),
            routable,
            backends: backends::merged(&references),
            references,
        }
    }
}
