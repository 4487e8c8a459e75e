//! Builds the rules of a route with their backends, sessions and canaries.

use super::{
    backends,
    binding::{Bindings, match_scopes::Reach},
    canaries::{Canaries, RouteBackends, Target},
    checks::match_values,
    destinations::{self, Callers},
    draft::{self, Draft},
    proxies::{ChosenGateways, Proxies},
    services, unnamed_http_routes, versions,
};
use crate::{
    api::field::Field,
    attachment::Attachments,
    delegation::MergedRoute,
    diagnostic::{Report, Reported},
    ir::{AttachedCanary, Backend, Refused, Rule, names, sections},
    kind::Kind,
    location::Spanned,
    model::route::{self, RouteSpec},
    omissions::Omitted,
    policies,
    resources::{Item, Resources},
    rule_id::rule_id,
    session::Session,
};

/// The inputs for building rules.
#[derive(Clone, Copy)]
pub struct Input<'i, 'a> {
    /// The objects.
    pub resources: &'a Resources,
    /// The policies of Services.
    pub attachments: &'i Attachments<'i>,
    /// The policies of routes.
    pub canaries: &'i Canaries<'a>,
    /// The proxies.
    pub proxies: &'i Proxies<'a>,
    /// The gateways of the route that this run generates for.
    pub chosen: &'i ChosenGateways,
}

/// A rule in the source, before policies are applied.
struct SourceRule<'a> {
    /// The route.
    route: &'a Item<RouteSpec>,
    /// The object that contains the rule.
    item: &'a Item<RouteSpec>,
    /// The position of the rule in that object.
    position: usize,
    /// The position of the rule among all rules of the route, including those of delegates.
    index: usize,
    /// The merge of the route and its delegate, if a delegate contains the rule.
    delegated: Option<&'a MergedRoute>,
    /// The content of the rule.
    spec: &'a Field<route::Rule>,
    /// The identity of the rule.
    id: String,
}

/// Builds the rules of a route. Each has its reach, or `None` if it is everywhere its route is.
pub fn of_route<'a>(
    route: &'a Item<RouteSpec>,
    bindings: &Bindings,
    input: Input<'_, 'a>,
    report: &mut Report,
) -> Vec<(Rule<'a>, Option<Reach>)> {
    let mut inline = policies::inline(route, report).into_iter();
    let sources = source_rules(route, input.resources);
    let callers = Callers::new(route, bindings, input.proxies);
    let resolved: Vec<(Vec<Option<Backend>>, Report)> = sources
        .iter()
        .map(|one| one.references(&callers, input.resources))
        .collect();
    let all: Vec<Vec<Backend>> = resolved
        .iter()
        .map(|(references, _)| backends::merged(references))
        .collect();
    let mut drafts = Vec::new();
    for ((one, backends), (references, mut found)) in sources.into_iter().zip(&all).zip(resolved) {
        let backends = RouteBackends {
            own: backends,
            all: &all,
        };
        let routable = one.is_routable(&mut found);
        let policies = one.policies(inline.next().flatten(), backends, input, &mut found, report);
        let uses_mooring = policies.any;
        let version_label = policies.version_label.clone();
        let refused = matches!(policies.session, Some(Err(_)));
        let reach = match route.spec.kind {
            Kind::VirtualService => Reach::new(&one.spec.value, one.item, bindings, input.proxies, input.resources),
            _ => None,
        };
        let mut draft = Draft {
            rule: one.rule(policies, routable, input.chosen, references),
            reach,
            found,
            uses_mooring,
        };
        if let Some(label) = version_label {
            versions::set(&mut draft.rule, &label, input.resources, &mut draft.found);
        }
        draft.check(input.resources);
        if refused {
            draft.rule.refuse();
        }
        drafts.push(draft);
    }
    draft::check_names(&mut drafts);
    if !bindings.is_empty() {
        unnamed_http_routes::check(&mut drafts);
    }
    drafts.into_iter().map(|draft| draft.finish(report)).collect()
}

/// The rules of a route in their order, with those of its delegates.
fn source_rules<'a>(route: &'a Item<RouteSpec>, resources: &'a Resources) -> Vec<SourceRule<'a>> {
    let rules = resources.rules_of(route);
    let numbers = match route.spec.kind {
        Kind::VirtualService => unnamed_http_routes::numbers(rules.iter().map(|rule| &rule.rule.value)),
        _ => (0..rules.len()).collect(),
    };
    let rules = rules.into_iter().zip(numbers).enumerate();
    rules
        .map(|(index, (rule, number))| {
            let name = rule.rule.value.name.as_ref().map(|name| name.value.as_str());
            SourceRule {
                route,
                item: rule.item,
                position: rule.position,
                index,
                delegated: rule.delegated,
                spec: rule.rule,
                id: rule_id(route.spec.kind, &route.id, name, number),
            }
        })
        .collect()
}

/// What policies set for a rule.
struct Policies {
    /// Its session. An error if its own `sessionPersistence` is invalid.
    session: Option<Result<Session, Reported>>,
    /// The canary policy.
    canary: Option<AttachedCanary>,
    /// The canary policy that applies to the rule but is invalid for it.
    refused_canary: Option<AttachedCanary>,
    /// The label whose value is the version of a backend.
    version_label: Option<Spanned<String>>,
    /// Whether any policy applies to the rule, or is meant to.
    any: bool,
}

impl<'a> SourceRule<'a> {
    fn name(&self) -> Option<&'a str> {
        self.spec.value.name.as_ref().map(|name| name.value.as_str())
    }

    /// Resolves the references of the rule, and returns the errors in them.
    fn references(&self, callers: &Callers, resources: &'a Resources) -> (Vec<Option<Backend<'a>>>, Report) {
        let mut found = Report::default();
        let spec = &self.spec.value;
        let references = match self.route.spec.kind {
            Kind::VirtualService => destinations::resolve(self.item, spec, callers, resources, &mut found),
            _ => backends::resolve(self.item, spec, resources, &mut found),
        };
        (references, found)
    }

    /// Whether Envoy accepts its matches. Reports invalid ones.
    fn is_routable(&self, report: &mut Report) -> bool {
        let mut found = Report::default();
        if self.route.spec.kind != Kind::VirtualService {
            match_values::check(self.item, &self.spec.value, &mut found);
        }
        let routable = !found.has_errors();
        report.extend(found);
        routable
    }

    /// Applies the policies to the rule. Errors in `found` keep the rule from having sessions and canaries.
    fn policies(
        &self,
        inline: Option<Result<Session, Reported>>,
        backends: RouteBackends,
        input: Input<'_, 'a>,
        found: &mut Report,
        report: &mut Report,
    ) -> Policies {
        let Input { attachments, .. } = input;
        let spec = &self.spec.value;
        // A policy also counts if its Service is not in the input or the reference to it is not permitted.
        let mut named = backends::all_named(self.item, spec, &input.resources.domain).into_iter();
        let meant = inline.is_some() || named.any(|service| attachments.of(&service).is_some());
        let own = inline.or_else(|| services::attached(self.item, self.spec, backends.own, attachments, found).map(Ok));
        let sections = sections(self.route, self.item, self.position, self.delegated);
        let target = Target {
            kind: self.route.spec.kind,
            sections: &sections,
            named: self.name().is_some(),
            title: &format!("the rule {}", self.id),
            location: self.item.location_of(self.spec),
            has_backends: !spec.backend_refs.is_empty() || !spec.destinations.is_empty(),
        };
        let canary = input.canaries.apply(target, own.as_ref(), backends, report);
        let any = meant || canary.is_some();
        // A rule keeps its own session if a canary policy is invalid for it.
        let error = canary
            .as_ref()
            .and_then(|canary| canary.routing.as_ref().err().copied());
        let (canary, refused_canary) = match (canary, error) {
            (Some(canary), Some(error)) => {
                let name = format!("{}/{} on {}", Kind::CanaryPolicy, canary.policy, self.id);
                report.omit_because(error, Omitted::Attachment, name);
                (None, Some(canary))
            }
            (canary, _) => (canary, None),
        };
        let sticky = canary.as_ref().and_then(|canary| canary.sticky.clone());
        let session = own.or(sticky.map(Ok));
        let version_label = versions::label(target, session.as_ref(), canary.as_ref(), found);
        Policies {
            session,
            canary,
            refused_canary,
            version_label,
            any,
        }
    }

    fn rule(
        self,
        policies: Policies,
        routable: bool,
        chosen: &ChosenGateways,
        references: Vec<Option<Backend<'a>>>,
    ) -> Rule<'a> {
        let (session, invalid) = match policies.session {
            Some(Ok(session)) => (
                Some(session.with_default_name(names::default_session_name(&self.id))),
                None,
            ),
            Some(Err(reported)) => (None, Some(Err(reported))),
            None => (None, None),
        };
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
            version_label: policies.version_label.map(|label| label.value),
            refused: Refused {
                whole: invalid.is_some(),
                session: invalid,
                canary: policies.refused_canary,
            },
            chosen_gateways: chosen.0.clone(),
            routable,
            backends: backends::merged(&references),
            references,
        }
    }
}
