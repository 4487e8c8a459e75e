//! Rules on one gateway that get in each other's way: Envoy routes of one name, cookies of one name.
//!
//! A rule with a name of its own has just that name in Envoy, without namespace and route. Where two such rules are in
//! different virtual hosts, the virtual host tells them apart; where they share one, nothing does.

use std::collections::{BTreeMap, BTreeSet};

use mooring_policy::config::Transport;

use super::{Gateway, Placed, VirtualHost};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    kind::Kind,
    left_out::What,
};

/// Marks rules that need their virtual hosts to be found. Of those that cannot be told apart, the later one is left out, or
/// the one with which the filter has to do.
pub fn resolve(gateway: &mut Gateway, report: &mut Report) {
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (position, placed) in gateway.rules.iter().enumerate() {
        for name in placed.rule.envoy_names() {
            by_name.entry(name).or_default().push(position);
        }
    }
    by_name.retain(|_, positions| positions.len() > 1);
    let mut victims = BTreeSet::new();
    for (name, namesakes) in &by_name {
        let namesakes = namesakes
            .iter()
            .filter_map(|position| Some((*position, gateway.rules.get(*position)?)));
        victims.extend(report_collisions(name, namesakes, report));
    }
    let on = gateway.item.name(Kind::Gateway);
    for victim in victims {
        if let Some(placed) = gateway.rules.get_mut(victim) {
            report.leave_out(What::Rule, format!("{} on {on}", placed.rule.id));
            placed.refuse();
        }
    }
    for placed in &mut gateway.rules {
        let mut names = placed.rule.envoy_names();
        placed.ambiguous = placed.rule.is_managed() && names.any(|name| by_name.contains_key(&name));
    }
}

/// Reports each rule that shares a virtual host with an earlier one of its name, if the filter has to do with one of them.
/// Returns those that are left out.
fn report_collisions<'a>(
    name: &str,
    namesakes: impl Iterator<Item = (usize, &'a Placed<'a>)>,
    report: &mut Report,
) -> Vec<usize> {
    let mut victims = Vec::new();
    let mut first: BTreeMap<(&VirtualHost, bool), (usize, &Placed)> = BTreeMap::new();
    for (position, placed) in namesakes {
        let managed = placed.rule.is_managed();
        // One with which the filter has nothing to do only gets in the way of one with which it has.
        let other = |host| {
            first
                .get(&(host, true))
                .or(first.get(&(host, false)).filter(|_| managed))
        };
        let found = placed.virtual_hosts.iter().find_map(|host| Some((host, other(host)?)));
        // Two rules of one name in one route have been reported.
        if let Some((host, (earlier, other))) = found.filter(|(_, (_, other))| other.rule.id != placed.rule.id) {
            report.add(collision(name, other, placed, &host.name()));
            victims.push(if managed { position } else { *earlier });
        }
        for host in &placed.virtual_hosts {
            first.entry((host, managed)).or_insert((position, placed));
        }
    }
    victims
}

/// Warns of cookies that replace each other in the browser: rules share no sessions, but a browser has one cookie for a
/// name, a host and a path.
pub fn warn_of_cookies(gateway: &Gateway, report: &mut Report) {
    let mut seen: BTreeMap<_, &Placed> = BTreeMap::new();
    for (placed, session) in gateway.session_rules() {
        let session = &session.config;
        if session.transport != Transport::Cookie {
            continue;
        }
        for host in &placed.virtual_hosts {
            let cookie = (
                &host.hostname,
                &session.name,
                &session.cookie.path,
                &session.cookie.domain,
            );
            let Some(other) = seen.insert(cookie, placed) else {
                continue;
            };
            if other.rule.id == placed.rule.id {
                continue;
            }
            let message = format!(
                "the rules {} and {} have the session name `{}` on the same host: they do not share sessions, and each \
                 replaces the other's cookie",
                other.rule.id, placed.rule.id, session.name
            );
            report.add(
                Diagnostic::warning(Code::Conflicted, message)
                    .at(placed.rule.route.place_of(placed.rule.wire))
                    .with(other.rule.route.place_of(other.rule.wire), "the other rule")
                    .help("give them different session names, or none: then each rule gets a name of its own"),
            );
        }
    }
}

fn collision(name: &str, first: &Placed, second: &Placed, virtual_host: &str) -> Diagnostic {
    let place = |placed: &Placed| {
        let name = placed.rule.wire.value.name.as_ref();
        name.map_or(placed.rule.route.place(), |name| placed.rule.route.place_of(name))
    };
    let message = format!(
        "two rules with the name `{name}` are in the virtual host `{virtual_host}`, and Envoy cannot tell them apart: {} and \
         {}",
        first.rule.id, second.rule.id
    );
    Diagnostic::error(Code::Duplicate, message)
        .at(place(second))
        .with(place(first), "the other one")
        .help("give one of them another name")
}
