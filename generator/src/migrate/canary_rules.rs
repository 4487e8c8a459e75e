//! The canary of a canary Ingress: the weight, and the header and cookie that select it.

use mooring_policy::{
    canary::Canary,
    config::{CanaryConfig, MatchConfig, MatchRuleConfig, MatchType, SourceConfig},
    name,
};
use serde_json::{Value, json};

use super::annotations::Annotations;
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    location::SourceLocation,
};

/// The total of the weights without `canary-weight-total`, and the least total.
const DEFAULT_TOTAL: u32 = 100;

/// The largest weight of a backend (Gateway API: `BackendRef`).
const MAX_WEIGHT: u32 = 1_000_000;

/// The annotations that have no effect without `canary: "true"`.
pub(super) const OF_CANARY: [&str; 6] = [
    "canary-by-cookie",
    "canary-by-header",
    "canary-by-header-pattern",
    "canary-by-header-value",
    "canary-weight",
    "canary-weight-total",
];

/// What selects the canary.
#[derive(Clone, Debug)]
pub struct CanaryRules {
    /// Its weight.
    pub weight: u32,
    /// The sum of its weight and that of the main backend.
    pub total: u32,
    /// The `rules` of the `CanaryPolicy`, without their backend.
    pub rules: Vec<Value>,
    /// The location of `affinity-canary-behavior: legacy`.
    pub legacy: Option<SourceLocation>,
}

/// Whether it is a canary Ingress, and its rules.
pub fn read(annotations: &Annotations, report: &mut Report) -> Option<CanaryRules> {
    let enabled = annotations.boolean("canary", report);
    if !enabled.is_some_and(|enabled| enabled.value) {
        for name in OF_CANARY {
            annotations.no_effect(name, "there is no `canary: \"true\"`", report);
        }
        return None;
    }
    let behavior = annotations.word("affinity-canary-behavior", ["sticky", "legacy"], report);
    let (weight, total) = weights(annotations, report);
    let rules = by_header(annotations, report)
        .into_iter()
        .chain(by_cookie(annotations, report))
        .collect();
    Some(CanaryRules {
        weight,
        total,
        rules,
        legacy: behavior
            .filter(|behavior| behavior.value == "legacy")
            .map(|behavior| behavior.location),
    })
}

fn weights(annotations: &Annotations, report: &mut Report) -> (u32, u32) {
    let allowed = format!("allowed: a whole number from {DEFAULT_TOTAL} to {MAX_WEIGHT}");
    let total = "canary-weight-total";
    let small = "ingress-nginx uses 100 instead of a total below 100";
    let given = annotations.parsed(total, &allowed, report, |text| {
        text.parse::<u32>().ok().filter(|total| *total <= MAX_WEIGHT)
    });
    let given = given.map(|total| total.value);
    if given.is_some_and(|total| total < DEFAULT_TOTAL) {
        annotations.no_effect(total, small, report);
    }
    let total = given.unwrap_or_default().max(DEFAULT_TOTAL);
    let allowed = format!("allowed: a whole number from 0 to {total}, the total");
    let weight = annotations.parsed("canary-weight", &allowed, report, |text| {
        text.parse::<u32>().ok().filter(|weight| *weight <= total)
    });
    (weight.map_or(0, |weight| weight.value), total)
}

fn by_header(annotations: &Annotations, report: &mut Report) -> Option<Value> {
    let (by_header, by_value, by_pattern) = ("canary-by-header", "canary-by-header-value", "canary-by-header-pattern");
    let Some(header) = annotations.text(by_header, report) else {
        for name in [by_value, by_pattern] {
            annotations.no_effect(name, "there is no canary-by-header", report);
        }
        return None;
    };
    if name::check_header(&header.value).is_err() {
        annotations.invalid(by_header, &header, "allowed: the name of a request header", report);
        return None;
    }
    let (value, pattern) = (annotations.text(by_value, report), annotations.text(by_pattern, report));
    if value.is_some() && pattern.is_some() {
        annotations.no_effect(by_pattern, "canary-by-header-value has precedence", report);
    }
    let header = &header.value;
    let condition = match (value, pattern) {
        (Some(value), _) => {
            let condition = condition(header, MatchType::Exact, &value.value);
            check(annotations, by_value, condition, value.location, report)?;
            json!({ "name": header, "value": value.value })
        }
        (None, Some(pattern)) => {
            let whole = whole(&pattern.value);
            let condition = condition(header, MatchType::RegularExpression, &whole);
            check(annotations, by_pattern, condition, pattern.location, report)?;
            json!({ "name": header, "type": "RegularExpression", "value": whole })
        }
        (None, None) => return Some(json!({ "name": "by-header", "optIn": { "header": header } })),
    };
    Some(json!({ "name": "by-header", "matches": [{ "header": condition }] }))
}

fn by_cookie(annotations: &Annotations, report: &mut Report) -> Option<Value> {
    let cookie = annotations.text("canary-by-cookie", report)?;
    if name::check_token(&cookie.value).is_err() {
        annotations.invalid("canary-by-cookie", &cookie, "allowed: the name of a cookie", report);
        return None;
    }
    Some(json!({ "name": "by-cookie", "optIn": { "cookie": cookie.value } }))
}

/// An expression for a whole value from one that matches anywhere in a value, as ingress-nginx searches for it.
fn whole(pattern: &str) -> String {
    let anchored = pattern.starts_with('^') && pattern.ends_with('$') && !pattern.ends_with("\\$");
    if anchored && !pattern.contains('|') {
        return pattern.to_owned();
    }
    format!("(?s:.*)(?:{pattern})(?s:.*)")
}

/// Checks that the module can compare a header in this way.
fn check(
    annotations: &Annotations,
    name: &str,
    condition: MatchConfig,
    at: SourceLocation,
    report: &mut Report,
) -> Option<()> {
    let is_expression = condition.match_type == MatchType::RegularExpression;
    let rule = MatchRuleConfig {
        name: "by-header".to_owned(),
        matches: vec![condition],
        opt_in: None,
    };
    let config = CanaryConfig {
        rules: vec![rule],
        ..CanaryConfig::default()
    };
    let Err(invalid) = Canary::new(&config) else {
        return Some(());
    };
    let message = format!("`{}` cannot be translated: {invalid}", annotations.full(name));
    let error = Diagnostic::error(Code::Unsupported, message).at(at);
    report.add(if is_expression {
        error.help("Mooring's expressions take linear time: they have no look-around and no references to groups")
    } else {
        error
    });
    None
}

fn condition(header: &str, match_type: MatchType, value: &str) -> MatchConfig {
    MatchConfig {
        on: SourceConfig::Header(header.to_owned()),
        match_type,
        value: Some(value.to_owned()),
        compiled_size: None,
    }
}
