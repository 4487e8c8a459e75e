//! Detects conflicts between rules on one gateway: Envoy routes with the same name in one virtual host, and cookies
//! with the same name.
//!
//! The Envoy route of a named rule has only the name of the rule, without namespace and route. So Envoy cannot distinguish two rules
//! with the same name in one virtual host.

use std::collections::{BTreeMap, BTreeSet};

use mooring_policy::config::Transport;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::{AttachedRule, ProxyGroup, VirtualHost},
    location::SourceLocation,
    omissions::Omitted,
    session::domain,
};

/// Reports rules that the filter cannot distinguish. If two managed rules conflict, the later one is left out. If a managed one conflicts with
/// one that is not, its own sessions are left out.
pub fn resolve(group: &mut ProxyGroup, report: &mut Report) {
    let mut by_name: BTreeMap<String, Vec<(usize, &AttachedRule)>> = BTreeMap::new();
    for (position, attached) in group.rules.iter().enumerate() {
        // The metadata of a route without a name tells its VirtualService.
        for name in attached.rule.envoy_names().filter(|name| !name.is_empty()) {
            by_name.entry(name).or_default().push((position, attached));
        }
    }
    let mut victims = namesakes_of_session_routes(group, report);
    let on = group.name();
    for (name, namesakes) in by_name.into_iter().filter(|(_, rules)| rules.len() > 1) {
        victims.extend(report_collisions(&name, &on, namesakes, report));
    }
    for victim in victims {
        if let Some(attached) = group.rules.get_mut(victim) {
            attached.refuse();
        }
    }
}

/// Reports the rules on a waypoint that have the name of a session route, and returns their positions. The filter takes
/// their requests for those of clients that selected the session route themselves.
fn namesakes_of_session_routes(group: &ProxyGroup, report: &mut Report) -> BTreeSet<usize> {
    let mut victims = BTreeSet::new();
    if group.waypoint().is_none() {
        return victims;
    }
    let owners = group.managed_rules();
    let owners = owners.flat_map(|attached| attached.rule.session_route_names().map(move |name| (name, attached)));
    let owners: BTreeMap<String, &AttachedRule> = owners.collect();
    let managed = group
        .rules
        .iter()
        .enumerate()
        .filter(|(_, attached)| attached.rule.is_managed());
    for (position, attached) in managed {
        let mut names = attached.rule.envoy_names();
        let Some((name, owner)) = names.find_map(|name| owners.get_key_value(&name)) else {
            continue;
        };
        let message = format!(
            "the rule {} has the name `{name}` of a session route of {}, and Envoy cannot tell them apart",
            attached.rule.id, owner.rule.id
        );
        let error = Diagnostic::error(Code::Duplicate, message).at(location(attached));
        report.add(
            error
                .with(location(owner), "the other one")
                .help("give the rule another name"),
        );
        report.omit(Omitted::Rule, format!("{} on {}", attached.rule.id, group.name()));
        victims.insert(position);
    }
    victims
}

/// Reports each rule that has the name of a managed rule in the same virtual host of the proxies `on`. Returns the positions of the rules that
/// are left out. The sessions of a managed rule would take the requests of a namesake that is not managed to its own backends, because a
/// session route need not match less than the namesake.
fn report_collisions(
    name: &str,
    on: &str,
    namesakes: Vec<(usize, &AttachedRule)>,
    report: &mut Report,
) -> BTreeSet<usize> {
    let mut victims = BTreeSet::new();
    let mut first: BTreeMap<&VirtualHost, (usize, &AttachedRule)> = BTreeMap::new();
    let (mut managed, others): (Vec<_>, Vec<_>) = namesakes
        .into_iter()
        .partition(|(_, attached)| attached.rule.is_managed());
    // The older route keeps the name, if the ages are known.
    managed.sort_by_key(|(_, attached)| age(attached));
    for (position, attached) in managed.into_iter().chain(others) {
        let found = attached
            .virtual_hosts
            .iter()
            .find_map(|host| Some((host, *first.get(host)?)));
        // Two rules with the same name in one route have been reported.
        if let Some((host, (position_of_other, other))) =
            found.filter(|(_, (_, other))| other.rule.id != attached.rule.id)
        {
            let is_managed = attached.rule.is_managed();
            let (position, victim, reason) = if is_managed {
                (position, attached, collision(name, other, attached, &host.name()))
            } else {
                (position_of_other, other, collision(name, attached, other, &host.name()))
            };
            if victims.insert(position) {
                report.add(reason);
                report.omit(Omitted::Rule, format!("{} on {on}", victim.rule.id));
            }
        }
        if attached.rule.is_managed() {
            for host in &attached.virtual_hosts {
                first.entry(host).or_insert((position, attached));
            }
        }
    }
    victims
}

/// Warns of cookies that replace each other in the browser. Rules do not share sessions, but a browser keeps only one
/// cookie for a name, a host and a path.
pub fn warn_of_cookies(group: &ProxyGroup, report: &mut Report) {
    let mut seen: BTreeMap<_, &AttachedRule> = BTreeMap::new();
    for (attached, session) in group.session_rules() {
        let session = &session.config;
        if session.transport != Transport::Cookie {
            continue;
        }
        for host in &attached.virtual_hosts {
            // RFC 6265, section 5.3, step 11.
            let domain = session.cookie.domain.as_deref().map(domain::canonical);
            let on = domain.as_ref().map_or_else(
                || "on the same host".to_owned(),
                |domain| format!("for the cookie Domain `{domain}`"),
            );
            let scope = domain.unwrap_or_else(|| host.hostname.to_ascii_lowercase());
            let cookie = (scope, &session.name, &session.cookie.path);
            let Some(other) = seen.insert(cookie, attached) else {
                continue;
            };
            if other.rule.id == attached.rule.id {
                continue;
            }
            let message = format!(
                "the rules {} and {} have the session name `{}` {on}: they do not share sessions, and each \
                 replaces the other's cookie",
                other.rule.id, attached.rule.id, session.name
            );
            report.add(
                Diagnostic::warning(Code::Conflicted, message)
                    .at(attached.rule.location_of(attached.rule.spec))
                    .with(other.rule.location_of(other.rule.spec), "the other rule")
                    .help("give them different session names, or none: each rule then gets its own default name"),
            );
        }
    }
}

/// A sort key: the creation time of the route. Routes of unknown age are last.
fn age<'a>(attached: &'a AttachedRule) -> (bool, Option<&'a str>) {
    let created = attached.rule.route.metadata.creation_timestamp.as_ref();
    (created.is_none(), created.map(|field| field.value.as_str()))
}

fn location(attached: &AttachedRule) -> SourceLocation {
    let name = attached.rule.spec.value.name.as_ref();
    name.map_or(attached.rule.route.location(), |name| attached.rule.location_of(name))
}

fn collision(name: &str, first: &AttachedRule, second: &AttachedRule, virtual_host: &str) -> Diagnostic {
    let message = format!(
        "two rules with the name `{name}` are in the virtual host `{virtual_host}`, and Envoy cannot tell them apart: {} and \
         {}",
        first.rule.id, second.rule.id
    );
    Diagnostic::error(Code::Duplicate, message)
        .at(location(second))
        .with(location(first), "the other one")
        .help("give one of them another name")
}
