//! Paths that a route of the input already has, such as one of ingress2gateway, which leaves affinity out. The route stays as
//! it is: its sessions become policies for its Services, and its canaries become `CanaryPolicy`s.

use std::collections::BTreeMap;

use super::{
    checks,
    entry::Entry,
    ingress::Ingress,
    options::Options,
    output::Objects,
    paths::Backend,
    policies::{self, CanaryOf},
    sessions,
    sessions::Sessions,
};
use crate::{
    api::field::Field,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    model::route::{RouteSpec, Rule},
    omissions::Omitted,
    resources::{Item, Resources},
};

/// A rule of a route.
#[derive(Clone, Copy)]
struct Existing<'a> {
    route: &'a Item<RouteSpec>,
    rule: &'a Field<Rule>,
}

/// The sessions of a Service.
struct OfService<'a> {
    sessions: &'a Sessions,
    path: String,
    ingresses: Vec<&'a Ingress<'a>>,
}

/// Translates the paths that a route has, and returns the others.
pub fn translate<'a>(
    entries: Vec<Entry<'a>>,
    options: &Options,
    resources: &Resources,
    objects: &mut Objects,
    report: &mut Report,
) -> Vec<Entry<'a>> {
    let mut rest = Vec::new();
    let mut known = Vec::new();
    for entry in entries {
        match find(&entry, resources) {
            Some(existing) => known.push((entry, existing)),
            None => rest.push(entry),
        }
    }
    for (entry, existing) in &known {
        let message = format!(
            "the HTTPRoute {} has the path {} already, and stays as it is",
            existing.route.id,
            entry.written.shown()
        );
        let note = Diagnostic::note(Code::Accepted, message).at(entry.written.at);
        report.add(note.with(existing.route.location(), "this one"));
    }
    canaries(&known, objects, report);
    for (service, of) in of_services(&known, resources, report) {
        let origins = of.ingresses.iter().map(|ingress| {
            let item = ingress.item;
            (format!("Ingress {}", item.id), item.location())
        });
        let origins: Vec<_> = origins.collect();
        let persistence = sessions::persistence(&of.sessions.name, of.sessions.max_age);
        let annotations = sessions::annotations(of.sessions, &of.path);
        policies::add_sessions(
            &service,
            &persistence,
            annotations,
            options.policy_kind,
            &origins,
            objects,
        );
    }
    rest
}

fn find<'a>(entry: &Entry, resources: &'a Resources) -> Option<Existing<'a>> {
    let host = entry.written.host.as_str();
    let of_namespace = resources.http_routes.of_namespace(&entry.ingress.item.id.namespace);
    let mut routes = of_namespace.filter(|route| {
        let mut hosts = route.spec.hostnames.iter();
        match host {
            "" => route.spec.hostnames.is_empty(),
            host => hosts.any(|own| own.value.eq_ignore_ascii_case(host)),
        }
    });
    routes.find_map(|route| {
        let rule = route.spec.rules.iter().find(|rule| {
            let matches = &rule.value.matches;
            let all = matches.is_empty() && entry.one.value == "/";
            all || matches.iter().any(|one| entry.one.equals(&one.value, &entry.written))
        })?;
        Some(Existing { route, rule })
    })
}

fn has_backend(existing: Existing, backend: &Backend) -> bool {
    let namespace = &existing.route.id.namespace;
    existing.rule.value.backend_refs.iter().any(|one| {
        let one = &one.value;
        let of = one.namespace.as_ref().map_or(namespace, |field| &field.value);
        one.name.value == backend.service.name
            && *of == backend.service.namespace
            && one.port.as_ref().is_none_or(|port| port.value.get() == backend.port)
    })
}

fn canaries(known: &[(Entry, Existing)], objects: &mut Objects, report: &mut Report) {
    let mut done: Vec<(&Id, Option<&str>, &Id)> = Vec::new();
    for (entry, existing) in known {
        let Some((canary, backend)) = &entry.canary else {
            continue;
        };
        let location = canary.item.location();
        if !has_backend(*existing, backend) {
            let weight = canary.canary.as_ref().map_or(0, |rules| rules.weight);
            let message = format!(
                "the canary Ingress {} is not translated: the HTTPRoute {} has no backend {}:{} for {}",
                canary.item.id,
                existing.route.id,
                backend.service.name,
                backend.port,
                entry.written.shown()
            );
            let error = Diagnostic::error(Code::BackendNotFound, message).at(location);
            let rule = existing.route.location_of(existing.rule);
            report.add(error.with(rule, "this rule").help(format!(
                "add it to the backendRefs of the rule, with the weight {weight}"
            )));
            report.omit(
                Omitted::Rule,
                format!("Ingress/{} {}", canary.item.id, entry.written.shown()),
            );
            continue;
        }
        check_weight(*existing, entry, canary, backend, report);
        let named = existing.rule.value.name.as_ref();
        let named = named.filter(|_| existing.route.spec.rules.len() > 1);
        if let Some(name) = named
            && let Err(message) = checks::rule_name(&name.value)
        {
            report.error(Code::Invalid, message, existing.route.location_of(name));
            report.omit(
                Omitted::Rule,
                format!("Ingress/{} {}", canary.item.id, entry.written.shown()),
            );
            continue;
        }
        let section = named.map(|name| name.value.as_str());
        let key = (&existing.route.id, section, &canary.item.id);
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        let of = CanaryOf {
            canary,
            backend,
            route: &existing.route.id,
            section,
            sessions: entry.ingress.affinity.is_some() || existing.rule.value.session_persistence.is_some(),
        };
        policies::add_canary(&of, entry.ingress, objects, report);
    }
}

/// Warns of a rule whose weights give the canary another part of the requests than its Ingress.
fn check_weight(existing: Existing, entry: &Entry, canary: &Ingress, backend: &Backend, report: &mut Report) {
    let Some(rules) = &canary.canary else { return };
    let refs = existing.rule.value.backend_refs.iter();
    let weights = refs.map(|one| {
        let weight = one.value.weight.as_ref().map_or(1, |weight| weight.value);
        (one.value.name.value == backend.service.name, u64::from(weight))
    });
    let (of_canary, all) = weights.fold((0_u64, 0_u64), |(of_canary, all), (ours, weight)| {
        let more = if ours { weight } else { 0 };
        (of_canary.saturating_add(more), all.saturating_add(weight))
    });
    let (weight, total) = (u64::from(rules.weight), u64::from(rules.total));
    if of_canary.saturating_mul(total) == weight.saturating_mul(all) {
        return;
    }
    let message = format!(
        "the HTTPRoute {} gives the canary {of_canary} of {all} requests for {}, and the Ingress {} gives it {weight} of {total}",
        existing.route.id,
        entry.written.shown(),
        canary.item.id
    );
    let warning = Diagnostic::warning(Code::Accepted, message).at(canary.item.location());
    report.add(warning.with(existing.route.location_of(existing.rule), "this rule counts"));
}

/// The sessions of the Services, except for those that have a policy and the rules that have sessions.
fn of_services<'a>(
    known: &'a [(Entry<'a>, Existing)],
    resources: &Resources,
    report: &mut Report,
) -> BTreeMap<Id, OfService<'a>> {
    let mut services: BTreeMap<Id, OfService> = BTreeMap::new();
    for (entry, existing) in known {
        let Some(affinity) = &entry.ingress.affinity else {
            continue;
        };
        if existing.rule.value.session_persistence.is_some() {
            continue;
        }
        if affinity.sessions.stays_on_failure {
            let message = format!(
                "`session-cookie-change-on-failure: \"false\"` is not translated: the HTTPRoute {} stays as it is",
                existing.route.id
            );
            let warning = Diagnostic::warning(Code::Unsupported, message).at(affinity.at);
            let rule = existing.route.location_of(existing.rule);
            let warning = warning.with(rule, "this rule");
            report.add(warning.help("add `retry: {attempts: 0}` to the rule"));
        }
        let path = entry.cookie_path(&affinity.sessions, report);
        let main = std::iter::once(&entry.written.backend);
        let backends = main.chain(entry.canary.iter().map(|(_, backend)| backend));
        for backend in backends {
            let service = &backend.service;
            if has_policy(service, resources) {
                let message = format!("the Service {service} has a session policy already, so none is written");
                report.add(Diagnostic::note(Code::Accepted, message).at(affinity.at));
                continue;
            }
            let Some(other) = services.get_mut(service) else {
                let of = OfService {
                    sessions: &affinity.sessions,
                    path: path.clone(),
                    ingresses: vec![entry.ingress],
                };
                services.insert(service.clone(), of);
                continue;
            };
            if *other.sessions != affinity.sessions {
                let message = format!("the Service {service} gets other sessions from an older Ingress, which count");
                report.error(Code::Conflicted, message, affinity.at);
                continue;
            }
            if other.path != path {
                // One policy has one path, and the root is sent with the requests of all.
                "/".clone_into(&mut other.path);
            }
            if !other.ingresses.iter().any(|known| std::ptr::eq(*known, entry.ingress)) {
                other.ingresses.push(entry.ingress);
            }
        }
    }
    services
}

/// Whether a policy of the input targets a Service.
pub fn has_policy(service: &Id, resources: &Resources) -> bool {
    let named = |targets: &[Field<crate::api::policy::TargetRef>]| {
        targets.iter().any(|target| target.value.name.value == service.name)
    };
    let mut old = resources.backend_lb_policies.of_namespace(&service.namespace);
    let mut new = resources.x_backend_traffic_policies.of_namespace(&service.namespace);
    old.any(|policy| named(&policy.spec.target_refs)) || new.any(|policy| named(&policy.spec.target_refs))
}
