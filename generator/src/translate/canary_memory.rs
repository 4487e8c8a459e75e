//! Limits the memory for the regular expressions of all canary policies on a gateway, so that one author cannot use up
//! what all share. Each namespace gets a fair share, as with the plugin configuration (see `super::budget`).

use std::collections::{BTreeMap, BTreeSet};

use mooring_policy::canary::MAX_MEMORY_OF_GATEWAY;

use super::budget::share;
use crate::{
    canary::CompiledCanary,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::ProxyGroup,
    kind::Kind,
    object_size::kibibytes,
    omissions::Omitted,
};

/// The policies of a namespace that do not fit: in the order of their names, the first that exceeds the share, and all
/// that follow it.
#[derive(Debug, PartialEq, Eq)]
struct Cut<'a> {
    namespace: &'a str,
    /// The memory for all its policies.
    memory: usize,
    /// The maximum memory for all its policies.
    share: usize,
    /// The number of its policies.
    of: usize,
    /// The policies that are left out.
    policies: Vec<&'a Id>,
}

/// Removes the policies that do not fit from the rules of a gateway.
pub fn enforce(group: &mut ProxyGroup, report: &mut Report) {
    let canaries = group.canaries();
    let sizes: Vec<(&Id, usize)> = canaries
        .iter()
        .map(|(id, compiled)| (*id, compiled.checked.memory()))
        .collect();
    let mut victims: BTreeSet<Id> = BTreeSet::new();
    let on = group.name();
    for cut in cuts(&sizes, MAX_MEMORY_OF_GATEWAY) {
        if let Some(first) = cut.policies.first()
            && let Some(compiled) = canaries.get(first)
        {
            report.add(too_large(group, compiled, first, &cut));
        }
        for victim in &cut.policies {
            report.omit(Omitted::Attachment, format!("{}/{victim} on {on}", Kind::CanaryPolicy));
        }
        victims.extend(cut.policies.into_iter().cloned());
    }
    for attached in &mut group.rules {
        let policy = attached.rule.canary.as_ref().map(|canary| &canary.policy);
        if policy.is_some_and(|policy| victims.contains(policy)) {
            attached.refuse_canary();
        }
    }
}

fn cuts<'a>(policies: &[(&'a Id, usize)], room: usize) -> Vec<Cut<'a>> {
    let mut of_namespaces: BTreeMap<&str, Vec<(&Id, usize)>> = BTreeMap::new();
    for (id, memory) in policies {
        of_namespaces.entry(&id.namespace).or_default().push((id, *memory));
    }
    let sum = |policies: &[(&Id, usize)]| {
        policies
            .iter()
            .fold(0_usize, |sum, (_, memory)| sum.saturating_add(*memory))
    };
    let share = share(of_namespaces.values().map(|policies| sum(policies)).collect(), room);
    let cut = |(namespace, policies): (&'a str, Vec<(&'a Id, usize)>)| {
        let mut taken = 0_usize;
        let fits = |(_, memory): &&(&Id, usize)| {
            taken = taken.saturating_add(*memory);
            taken <= share
        };
        let fitting = policies.iter().take_while(fits).count();
        let beyond: Vec<&Id> = policies.iter().skip(fitting).map(|(id, _)| *id).collect();
        (!beyond.is_empty()).then(|| Cut {
            namespace,
            memory: sum(&policies),
            share,
            of: policies.len(),
            policies: beyond,
        })
    };
    of_namespaces.into_iter().filter_map(cut).collect()
}

fn too_large(group: &ProxyGroup, compiled: &CompiledCanary, first: &Id, cut: &Cut) -> Diagnostic {
    let message = format!(
        "the regular expressions of the canary policies of the namespace {} would take {} of the memory of {}, but its share \
         of the {} that all may take is {}: {} of its {} policies, from CanaryPolicy {first} on, are left out",
        cut.namespace,
        kibibytes(cut.memory),
        group.title(),
        kibibytes(MAX_MEMORY_OF_GATEWAY),
        kibibytes(cut.share),
        cut.policies.len(),
        cut.of,
    );
    let diagnostic = Diagnostic::error(Code::TooLarge, message).at(compiled.location);
    diagnostic.help("write shorter expressions: repetitions with counts and groups in brackets make them large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_wants_all_leaves_the_others_what_they_need() {
        let ids = ["calm/a", "loud/a", "loud/b", "loud/c", "loud/d"].map(|name| {
            let (namespace, name) = name.split_once('/').unwrap();
            Id::new(namespace, name)
        });
        let [calm, a, b, c, d] = &ids;
        let policies = [(calm, 30), (a, 30), (b, 40), (c, 1), (d, 30)];
        assert_eq!(cuts(&policies, 200), []);
        // In order: a later policy that would fit does not take the location of an earlier one.
        let cut = Cut {
            namespace: "loud",
            memory: 101,
            share: 70,
            of: 4,
            policies: vec![c, d],
        };
        assert_eq!(cuts(&policies, 100), [cut]);
    }
}
