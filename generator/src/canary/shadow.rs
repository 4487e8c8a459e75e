//! Warns of rules that never match first, because an earlier rule matches all of their requests.

use mooring_policy::config::{MatchConfig, MatchRuleConfig, MatchType, SourceConfig};

use crate::{
    api::canary::CanaryPolicySpec,
    diagnostic::{Code, Diagnostic, Report},
    resources::Item,
};

/// Warns of each rule of a policy that has no effect. `rules` are those of the policy, in the same order.
pub fn warn(item: &Item<CanaryPolicySpec>, rules: &[MatchRuleConfig], report: &mut Report) {
    for (position, (rule, raw)) in rules.iter().zip(&item.spec.rules).enumerate() {
        let mut earlier = rules.iter().zip(&item.spec.rules).take(position);
        let Some((first, raw_first)) = earlier.find(|(earlier, _)| takes_all(earlier, rule)) else {
            continue;
        };
        let message = format!(
            "canary rule `{}` has no effect: rule `{}` comes first and takes every request that this one matches",
            rule.name, first.name
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(item.location_of(&raw.value.name));
        report.add(warning.with(item.location_of(&raw_first.value.name), "this one comes first"));
    }
}

/// Whether a rule certainly matches each request that another one matches.
fn takes_all(first: &MatchRuleConfig, second: &MatchRuleConfig) -> bool {
    match (&first.opt_in, &second.opt_in) {
        (Some(one), Some(other)) => is_same(one, other),
        // `optIn` matches two values only.
        (Some(_), None) => false,
        (None, Some(on)) => {
            let present = MatchConfig {
                on: on.clone(),
                match_type: MatchType::Present,
                value: None,
                compiled_size: None,
            };
            first.matches.iter().all(|one| implies(&present, one))
        }
        (None, None) => {
            let implied = |wanted: &MatchConfig| second.matches.iter().any(|given| implies(given, wanted));
            first.matches.iter().all(implied)
        }
    }
}

/// Whether one condition implies the other.
fn implies(given: &MatchConfig, wanted: &MatchConfig) -> bool {
    if !is_same(&given.on, &wanted.on) {
        return false;
    }
    let (known, value) = (
        given.value.as_deref().unwrap_or(""),
        wanted.value.as_deref().unwrap_or(""),
    );
    let (has_start, has_end) = match given.match_type {
        MatchType::Exact => (true, true),
        MatchType::Prefix => (true, false),
        MatchType::Suffix => (false, true),
        _ => (false, false),
    };
    let is_text = has_start || has_end || given.match_type == MatchType::Contains;
    match wanted.match_type {
        MatchType::Present => given.match_type != MatchType::Absent,
        MatchType::Exact => given.match_type == MatchType::Exact && known == value,
        MatchType::Prefix => has_start && known.starts_with(value),
        MatchType::Suffix => has_end && known.ends_with(value),
        MatchType::Contains => is_text && known.contains(value),
        MatchType::RegularExpression => given.match_type == wanted.match_type && known == value,
        MatchType::Absent => given.match_type == MatchType::Absent,
    }
}

/// Whether two sources are the same. The names of headers are case-insensitive.
fn is_same(one: &SourceConfig, other: &SourceConfig) -> bool {
    match (one, other) {
        (SourceConfig::Header(one), SourceConfig::Header(other)) => one.eq_ignore_ascii_case(other),
        (SourceConfig::Cookie(one), SourceConfig::Cookie(other)) => one == other,
        _ => false,
    }
}
