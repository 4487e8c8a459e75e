//! Limits how much of a gateway's plugin configuration a route and a namespace may take, so that one author cannot use
//! up the space that all share.
//!
//! Each route has a fixed budget. If all rules together are larger than an object can be, each namespace gets a fair
//! share of the space (max-min fairness): a namespace that needs less than an equal part gets what it needs, and the
//! others share the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::{AttachedRule, ProxyGroup},
    object_size::{KIB, MAX_STORED, json_len, kibibytes},
    omissions::Omitted,
};

/// The maximum size, as JSON, of the rules of a route in the plugin configuration of a gateway.
pub const OF_ROUTE: usize = 64 * KIB;

/// The maximum size of all rules of a gateway: the largest object, less the other fields of a `WasmPlugin`.
pub const OF_GATEWAY: usize = MAX_STORED - 16 * KIB;

/// A placeholder for the position of a canary that is not known yet, with the maximum number of digits.
const LARGE_POSITION: usize = 10_000;

/// A rule and its size.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The namespace of its route.
    pub namespace: &'a str,
    /// Its route.
    pub route: &'a str,
    /// The size of its configuration.
    pub size: usize,
}

/// Rules that are left out: the first rule of a route or a namespace that exceeds its budget, and all that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// The route, or the namespace.
    pub whose: Whose<'a>,
    /// The size of all its rules.
    pub size: usize,
    /// The maximum size of all its rules.
    pub budget: usize,
    /// The number of its rules.
    pub of: usize,
    /// The positions of the rules that are left out, in order.
    pub rules: Vec<usize>,
}

/// The owner of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose<'a> {
    /// A route, by its title.
    Route(&'a str),
    /// A namespace, by its name.
    Namespace(&'a str),
}

/// Finds the rules that do not fit: first the rules that exceed the budgets of their routes, then, of the remaining
/// rules, those that exceed the shares of their namespaces.
#[must_use]
pub fn cuts<'a>(entries: &[Entry<'a>], of_route: usize, of_gateway: usize) -> Vec<Cut<'a>> {
    let mut cuts = Vec::new();
    let all = || entries.iter().enumerate();
    for (route, rules) in grouped(all().map(|(position, entry)| (entry.route, position, entry.size))) {
        cuts.extend(cut(Whose::Route(route), &rules, of_route));
    }
    let gone: BTreeSet<usize> = cuts.iter().flat_map(|cut| &cut.rules).copied().collect();
    let left = all().filter(|(position, _)| !gone.contains(position));
    let namespaces = grouped(left.map(|(position, entry)| (entry.namespace, position, entry.size)));
    let share = share(namespaces.values().map(|rules| sum(rules)).collect(), of_gateway);
    for (namespace, rules) in namespaces {
        cuts.extend(cut(Whose::Namespace(namespace), &rules, share));
    }
    cuts
}

type Group = Vec<(usize, usize)>;

fn grouped<'a>(entries: impl Iterator<Item = (&'a str, usize, usize)>) -> BTreeMap<&'a str, Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (key, position, size) in entries {
        groups.entry(key).or_default().push((position, size));
    }
    groups
}

fn sum(rules: &[(usize, usize)]) -> usize {
    rules.iter().fold(0, |sum, (_, size)| sum.saturating_add(*size))
}

/// The largest share with which all namespaces fit. A namespace that needs less gets what it needs.
pub(super) fn share(mut needs: Vec<usize>, room: usize) -> usize {
    needs.sort_unstable();
    let mut room = room;
    let mut others = needs.len();
    for need in needs {
        let equal = room.checked_div(others).unwrap_or(room);
        if need > equal {
            return equal;
        }
        room = room.saturating_sub(need);
        others = others.saturating_sub(1);
    }
    usize::MAX
}

/// The first rule that does not fit, and all that follow it.
fn cut<'a>(whose: Whose<'a>, rules: &[(usize, usize)], budget: usize) -> Option<Cut<'a>> {
    let mut taken = 0_usize;
    let fits = |(_, size): &&(usize, usize)| {
        taken = taken.saturating_add(*size);
        taken <= budget
    };
    let fitting = rules.iter().take_while(fits).count();
    let beyond: Vec<usize> = rules.iter().skip(fitting).map(|(position, _)| *position).collect();
    (!beyond.is_empty()).then(|| Cut {
        whose,
        size: sum(rules),
        budget,
        of: rules.len(),
        rules: beyond,
    })
}

/// Removes sessions and canaries from the rules that do not fit on a gateway.
pub fn enforce(group: &mut ProxyGroup, report: &mut Report) {
    let managed = group.rules.iter().enumerate();
    let managed = managed.filter(|(_, attached)| attached.rule.is_managed());
    let mut with_policy = BTreeSet::new();
    let sized: Vec<(usize, String, usize)> = managed
        .map(|(position, attached)| {
            let route = &attached.rule.route;
            let mut size = size(attached, group);
            // The configuration contains each canary once. Its size counts for the first rule of each route that has
            // it.
            if let Some(canary) = &attached.rule.canary
                && let Ok(Some(routing)) = &canary.routing
                && with_policy.insert((route.spec.kind, &route.id, &canary.policy))
            {
                size = size.saturating_add(length(&routing.compiled.config));
            }
            (position, route.title(), size)
        })
        .collect();
    let attached = |position: usize| group.rules.get(position);
    let entries = sized.iter().filter_map(|(position, route, size)| {
        Some(Entry {
            namespace: &attached(*position)?.rule.route.id.namespace,
            route,
            size: *size,
        })
    });
    let entries: Vec<Entry> = entries.collect();
    let on = group.name();
    let mut victims = Vec::new();
    for cut in cuts(&entries, OF_ROUTE, OF_GATEWAY) {
        let positions: Vec<usize> = cut.rules.iter().filter_map(|rule| Some(sized.get(*rule)?.0)).collect();
        if let Some(first) = positions.first().and_then(|first| attached(*first)) {
            report.add(too_large(group, first, &cut));
        }
        for rule in positions.iter().filter_map(|position| Some(&attached(*position)?.rule)) {
            report.omit(Omitted::Rule, format!("{} on {on}", rule.id));
        }
        victims.extend(positions);
    }
    for victim in victims {
        if let Some(attached) = group.rules.get_mut(victim) {
            attached.refuse();
        }
    }
}

/// The size of a rule in the configuration, with the names of its session routes on a waypoint.
fn size(attached: &AttachedRule, group: &ProxyGroup) -> usize {
    let hosts = attached.virtual_hosts.iter().map(|host| group.virtual_host_name(host));
    let configs = attached.configs(hosts.collect(), LARGE_POSITION);
    let names = attached
        .rule
        .session_route_names()
        .filter(|_| group.waypoint().is_some());
    let sizes = configs
        .map(|config| length(&config))
        .chain(names.map(|name| length(&name)));
    sizes.fold(0, usize::saturating_add)
}

/// The length of one element of the configuration as JSON, with the comma after it.
fn length(element: &impl serde::Serialize) -> usize {
    json_len(element).saturating_add(1)
}

fn too_large(group: &ProxyGroup, first: &AttachedRule, cut: &Cut) -> Diagnostic {
    let (whose, limit, help) = match cut.whose {
        Whose::Route(route) => (
            route.to_owned(),
            format!("a route may take {}", kibibytes(cut.budget)),
            "give the route fewer rules, or its canary policy fewer and shorter conditions",
        ),
        Whose::Namespace(namespace) => (
            format!("the namespace {namespace}"),
            format!(
                "its share of the {} that Kubernetes stores in an object is {}",
                kibibytes(MAX_STORED),
                kibibytes(cut.budget)
            ),
            "spread the routes over several Gateways: each has its own WasmPlugin",
        ),
    };
    let message = format!(
        "the rules of {whose} would take {} of the WasmPlugin of {}, but {limit}: {} of its {} rules, from {} on, are \
         left out",
        kibibytes(cut.size),
        group.title(),
        cut.rules.len(),
        cut.of,
        first.rule.id
    );
    let location = first.rule.location_of(first.rule.spec);
    Diagnostic::error(Code::TooLarge, message).at(location).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(namespace: &'a str, route: &'a str, size: usize) -> Entry<'a> {
        Entry { namespace, route, size }
    }

    fn omissions(entries: &[Entry], of_route: usize, of_gateway: usize) -> Vec<usize> {
        let cuts = cuts(entries, of_route, of_gateway);
        let mut rules: Vec<usize> = cuts.into_iter().flat_map(|cut| cut.rules).collect();
        rules.sort_unstable();
        rules
    }

    #[test]
    fn what_fits_stays() {
        let entries = [entry("a", "a/1", 10), entry("b", "b/1", 10)];
        assert_eq!(omissions(&entries, 10, 20), Vec::<usize>::new());
        assert_eq!(omissions(&[], 10, 0), Vec::<usize>::new());
    }

    #[test]
    fn a_route_loses_what_is_beyond_its_budget_and_no_other_route_does() {
        let entries = [
            entry("a", "a/1", 6),
            entry("a", "a/1", 6),
            entry("a", "a/1", 1),
            entry("a", "a/2", 6),
        ];
        // In order: a later rule that would fit does not replace an earlier one.
        assert_eq!(omissions(&entries, 10, 100), [1, 2]);
        let cuts = cuts(&entries, 10, 100);
        assert_eq!(
            cuts,
            [Cut {
                whose: Whose::Route("a/1"),
                size: 13,
                budget: 10,
                of: 3,
                rules: vec![1, 2],
            }]
        );
    }

    #[test]
    fn a_namespace_that_wants_all_leaves_the_others_what_they_need() {
        let mut entries = vec![entry("small", "small/1", 5), entry("modest", "modest/1", 20)];
        entries.extend([entry("greedy", "greedy/1", 10); 10]);
        // Of 60, small takes 5 and modest 20: greedy gets 35, three rules of 10.
        let expected: Vec<usize> = (5..12).collect();
        assert_eq!(omissions(&entries, 1_000, 60), expected);
    }

    #[test]
    fn what_a_route_loses_does_not_count_for_its_namespace() {
        let mut entries = vec![entry("b", "b/1", 30)];
        entries.extend([entry("a", "a/1", 20); 10]);
        // Two rules of a/1 remain, and both namespaces fit.
        assert_eq!(omissions(&entries, 40, 70), (3..=10).collect::<Vec<usize>>());
    }

    #[test]
    fn several_greedy_namespaces_share_alike() {
        assert_eq!(share(vec![100, 100, 10], 110), 50);
        assert_eq!(share(vec![10, 20, 30], 60), usize::MAX);
        assert_eq!(share(vec![1], 0), 0);
    }
}
