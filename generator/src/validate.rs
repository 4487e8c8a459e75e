//! `mooring validate`: what becomes of each policy and each rule, in the words of GEP-713.
//!
//! Nothing is decided here: policies are read, attached and planned as for `mooring generate`, and this module tells what
//! came of it. `text` and `json` are the two ways of telling.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    attachment::Attachments,
    diagnostic::Report,
    document::{self, Outcome, RawObjects},
    emit::{envoy, target::Target},
    id::{DEFAULT_NAMESPACE, Id},
    ir::{Ir, Rule, Session},
    kind::Kind,
    location::SourceLocation,
    mesh::Mesh,
    policies::{self, Policy},
    resources::{Found, Resources},
    source::Sources,
    translate,
};

mod canary;
mod json;
mod text;

pub use json::json;
pub use text::text;

/// What became of a policy, on one target or one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It holds.
    Accepted,
    /// Another policy holds. It is named if it is known.
    Conflicted(Option<String>),
    /// Something more specific holds: this policy, or the rule's own `sessionPersistence`.
    Overridden(Option<String>),
    /// It is wrong.
    Invalid,
    /// There is no such target.
    TargetNotFound,
    /// It asks for no session.
    NoEffect,
}

impl Condition {
    /// The word of GEP-713.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Conflicted(_) => "Conflicted",
            Self::Overridden(_) => "Overridden",
            Self::Invalid => "Invalid",
            Self::TargetNotFound => "TargetNotFound",
            Self::NoEffect => "NoEffect",
        }
    }
}

/// What became of the input.
#[derive(Debug)]
pub struct Validation {
    /// The policies for Services, in the order of kinds and ids, then those for routes; those that cannot be read come last.
    pub policies: Vec<PolicyStatus>,
    /// The rules that keep sessions, in the order of the routes.
    pub rules: Vec<RuleStatus>,
}

/// What became of a policy.
#[derive(Debug)]
pub struct PolicyStatus {
    /// Its kind.
    pub kind: Kind,
    /// Who it is.
    pub id: Id,
    /// Where it stands; not known of a policy that cannot be read.
    pub location: Option<SourceLocation>,
    /// Each of its targets. None where the targets themselves are wrong.
    pub targets: Vec<TargetStatus>,
}

/// What became of a policy on one of its targets.
#[derive(Debug)]
pub struct TargetStatus {
    /// What kind of object it is.
    pub kind: Kind,
    /// The object.
    pub id: Id,
    /// The rule of it that is meant. None: it is meant as a whole.
    pub section: Option<String>,
    /// What became of it there.
    pub condition: Condition,
    /// The rules of that route, or that lead to that Service, and what became of it on each.
    pub rules: Vec<(String, Condition)>,
}

/// A rule that keeps sessions.
#[derive(Debug)]
pub struct RuleStatus {
    /// Its identity.
    pub id: String,
    /// The route that it is a rule of.
    pub route: (Kind, Id),
    /// Where it stands.
    pub location: SourceLocation,
    /// The gateways that it is on.
    pub gateways: Vec<Id>,
    /// The canary policy that holds for it.
    pub canary: Option<Id>,
    /// How it keeps them.
    pub session: Session,
    /// How many Envoy routes its session routes are in each of its virtual hosts.
    pub session_routes: usize,
    /// What became of its own `sessionPersistence`. None: it has none, a policy says so.
    pub own: Option<Condition>,
}

/// Finds out what becomes of every policy, and what the target cannot do.
pub fn validate(sources: &Sources, target: Target, mesh: &Mesh, report: &mut Report) -> Validation {
    let local = target == Target::Envoy;
    let mesh = Mesh { local, ..mesh.clone() };
    let outcomes = document::read(sources, report);
    let unread: Vec<PolicyStatus> = outcomes.iter().filter_map(unread).collect();
    let resources = Resources::new(outcomes, sources, mesh);
    let policies = policies::policies(&resources, report);
    let attachments = Attachments::new(&policies, &resources.services, report);
    let ir = translate::translate_attached(&resources, &attachments, report);
    match target {
        Target::Istio => translate::check_earlier(&ir, &resources, false, report),
        Target::Envoy => {
            // What comes of it is of no interest here, and what is said about it is.
            let raw = RawObjects::new(sources);
            let _bootstrap = envoy::emit(&ir, &resources, &raw, &envoy::Options::default(), report);
        }
    }
    let index = Index::new(&ir);
    let status = |policy: &Policy| PolicyStatus {
        kind: policy.kind,
        id: policy.id.clone(),
        location: Some(policy.location),
        targets: policy
            .targets
            .iter()
            .map(|target| {
                let service = Id::new(&policy.id.namespace, &target.value);
                target_status(policy, service, &resources, &attachments, &index)
            })
            .collect(),
    };
    let of_services = policies.iter().map(status);
    let of_routes = canary::statuses(&resources, &ir, &index);
    Validation {
        policies: of_services.chain(of_routes).chain(unread).collect(),
        rules: ir.rules.iter().filter_map(|rule| rule_status(rule, &index)).collect(),
    }
}

/// Where to look up what a plan has.
struct Index<'a> {
    by_service: BTreeMap<&'a Id, Vec<&'a Rule<'a>>>,
    by_route: BTreeMap<(Kind, &'a Id), Vec<&'a Rule<'a>>>,
    gateways: BTreeMap<&'a str, Vec<&'a Id>>,
}

impl<'a> Index<'a> {
    fn new(ir: &'a Ir) -> Self {
        let mut index = Self {
            by_service: BTreeMap::new(),
            by_route: BTreeMap::new(),
            gateways: BTreeMap::new(),
        };
        for rule in &ir.rules {
            let services: BTreeSet<&Id> = rule.backends.iter().map(|backend| &backend.service.id).collect();
            for service in services {
                index.by_service.entry(service).or_default().push(rule);
            }
            let route = (rule.route.spec.kind, &rule.route.id);
            index.by_route.entry(route).or_default().push(rule);
            if rule.delegated.is_some() {
                let delegate = (rule.route.spec.kind, &rule.written.id);
                index.by_route.entry(delegate).or_default().push(rule);
            }
        }
        let managed = ir.rules.iter().filter(|rule| rule.is_managed());
        let managed: BTreeSet<&str> = managed.map(|rule| rule.id.as_str()).collect();
        for gateway in &ir.gateways {
            // A rule that is left out on this gateway keeps no sessions there.
            let omissions = |rule: &Rule| managed.contains(rule.id.as_str()) && !rule.is_managed();
            for attached in gateway.rules.iter().filter(|attached| !omissions(&attached.rule)) {
                let gateways = index.gateways.entry(&attached.rule.id).or_default();
                // One whose pods are in several places is there several times.
                if !gateways.contains(&&gateway.item.id) {
                    gateways.push(&gateway.item.id);
                }
            }
        }
        index
    }
}

/// A policy that is there and cannot be read.
fn unread(outcome: &Outcome) -> Option<PolicyStatus> {
    let Outcome::Broken(broken) = outcome else {
        return None;
    };
    let (kind, name) = (broken.kind, broken.name.as_ref()?);
    if !kind.is_policy() {
        return None;
    }
    let namespace = name.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    Some(PolicyStatus {
        kind,
        id: Id::new(namespace, &name.name),
        location: None,
        targets: Vec::new(),
    })
}

fn target_status(
    policy: &Policy,
    service: Id,
    resources: &Resources,
    attachments: &Attachments,
    index: &Index,
) -> TargetStatus {
    let mut rules = Vec::new();
    let condition = if !policy.sound {
        Condition::Invalid
    } else if let Found::Nothing(_) = resources.services.find(&service) {
        Condition::TargetNotFound
    } else if policy.session.is_none() {
        Condition::NoEffect
    } else {
        match attachments.of(&service) {
            Some(established) if std::ptr::eq(established, policy) => {
                rules = on_rules(policy, &service, index);
                of_rules(&rules)
            }
            other => Condition::Conflicted(other.map(Policy::title)),
        }
    };
    TargetStatus {
        kind: Kind::Service,
        id: service,
        section: None,
        condition,
        rules,
    }
}

/// What became of an established policy on each rule that leads to the Service.
fn on_rules(policy: &Policy, service: &Id, index: &Index) -> Vec<(String, Condition)> {
    let status = |rule: &&Rule| {
        let session = rule.session.as_ref().or(rule.refused.session.as_ref());
        let condition = match session.map(|session| &session.policy) {
            Some(None) => Condition::Overridden(None),
            Some(Some((kind, id))) if (*kind, id) == (policy.kind, &policy.id) => Condition::Accepted,
            Some(Some((kind, id))) => Condition::Conflicted(Some(format!("{kind} {id}"))),
            None => Condition::Conflicted(None),
        };
        (rule.id.clone(), condition)
    };
    let rules = index.by_service.get(service).into_iter().flatten();
    rules.map(status).collect()
}

/// What became of it on the target as a whole: it is in conflict when it has lost every rule to others.
fn of_rules(rules: &[(String, Condition)]) -> Condition {
    let lost = |(_, condition): &&(String, Condition)| matches!(condition, Condition::Conflicted(_));
    match rules.iter().find(lost) {
        Some((_, first)) if rules.iter().filter(lost).count() == rules.len() => first.clone(),
        _ => Condition::Accepted,
    }
}

fn rule_status(rule: &Rule, index: &Index) -> Option<RuleStatus> {
    let session = rule.session.clone().or(rule.refused.session.clone())?;
    let gateways = index.gateways.get(rule.id.as_str()).into_iter().flatten();
    let condition = if session.sound && !rule.is_refused() {
        Condition::Accepted
    } else {
        Condition::Invalid
    };
    let own = session.policy.is_none().then_some(condition);
    Some(RuleStatus {
        id: rule.id.clone(),
        route: (rule.route.spec.kind, rule.route.id.clone()),
        location: rule.location_of(rule.spec),
        gateways: gateways.map(|gateway| (*gateway).clone()).collect(),
        canary: (rule.canary.as_ref().or(rule.refused.canary.as_ref())).map(|canary| canary.policy.clone()),
        session,
        session_routes: rule.session_route_count(),
        own,
    })
}
