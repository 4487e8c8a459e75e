//! Canary rules that no request comes to, since an earlier rule takes all that they would take.

use mooring_policy::config::{self, MatchType};

use super::{match_config, source_config};
use crate::{
    api::{
        canary::{CanaryPolicySpec, CanaryRule},
        field::Field,
    },
    diagnostic::{Code, Diagnostic, Report},
    resources::Item,
};

/// Reports each rule that never decides. The rules are sound.
pub fn warn(item: &Item<CanaryPolicySpec>, report: &mut Report) {
    let rules = &item.spec.rules;
    for (position, rule) in rules.iter().enumerate() {
        let earlier = rules.iter().take(position).map(|earlier| &earlier.value);
        let Some(first) = earlier.into_iter().find(|earlier| takes_all(earlier, &rule.value)) else {
            continue;
        };
        let message = format!(
            "canary rule `{}` has no effect: rule `{}` comes first and takes every request that this one matches",
            rule.value.name.value, first.name.value
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(item.location_of(&rule.value.name));
        report.add(warning.with(item.location_of(&first.name), "this one comes first"));
    }
}

/// Whether a rule matches each request that another one matches, as far as that can be told from their texts.
fn takes_all(first: &CanaryRule, second: &CanaryRule) -> bool {
    let conditions = |rule: &CanaryRule| -> Vec<config::MatchConfig> {
        let matches = rule
            .matches
            .iter()
            .filter_map(|one: &Field<_>| match_config(&one.value));
        matches.collect()
    };
    let opt_in = |rule: &CanaryRule| rule.opt_in.as_ref().and_then(|source| source_config(&source.value));
    match (opt_in(first), opt_in(second)) {
        (Some(one), Some(other)) => is_same(&one, &other),
        // Two values of many.
        (Some(_), None) => false,
        (None, Some(on)) => {
            let any = |kind, value: Option<&str>| config::MatchConfig {
                on: on.clone(),
                match_type: kind,
                value: value.map(str::to_owned),
                compiled_size: None,
            };
            let present = any(MatchType::Present, None);
            conditions(first).iter().all(|one| implies(&present, one))
        }
        (None, None) => {
            let given = conditions(second);
            let wanted = conditions(first);
            wanted
                .iter()
                .all(|wanted| given.iter().any(|given| implies(given, wanted)))
        }
    }
}

/// Whether a request for which one condition holds is one for which the other does.
fn implies(given: &config::MatchConfig, wanted: &config::MatchConfig) -> bool {
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

/// Whether two sources are one: the case of letters counts in the names of cookies only.
fn is_same(one: &config::SourceConfig, other: &config::SourceConfig) -> bool {
    match (one, other) {
        (config::SourceConfig::Header(one), config::SourceConfig::Header(other)) => one.eq_ignore_ascii_case(other),
        (config::SourceConfig::Cookie(one), config::SourceConfig::Cookie(other)) => one == other,
        _ => false,
    }
}
