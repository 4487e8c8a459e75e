//! The session and the canary of a rule, and where they are written.

use mooring_policy::{
    config::{BoundTo, MatchConfig, MatchRuleConfig, MatchType, RuleConfig, SourceConfig, Transport},
    decision::Reason,
};

use super::{
    explanation::{CanaryReport, Location, SessionReport, Written},
    subject::{Context, Subject},
};
use crate::{
    ir::Rule,
    simulate::{Exchange, Route},
};

/// The session of a rule, if it keeps one.
pub fn describe(rule: &Rule, subject: &Subject, context: &Context) -> Option<SessionReport> {
    let config = rule_config(subject, rule)?.session.as_ref()?;
    let written = rule.session.as_ref();
    let set_by = match written {
        Some(session) => Written {
            name: match &session.policy {
                Some((kind, id)) => format!("{kind} {id}"),
                None => format!("sessionPersistence of {}", rule.id),
            },
            location: Some(context.location(session.locations.whole)),
        },
        None => Written {
            name: "only the applied configuration".to_owned(),
            location: subject.configuration.location.clone(),
        },
    };
    Some(SessionReport {
        set_by,
        r#type: match config.transport {
            Transport::Cookie => "cookie",
            Transport::Header => "header",
        },
        name: config.name.clone(),
        bound_to: match config.bound_to {
            BoundTo::Host => "host",
            BoundTo::Backend => "backend",
        },
        absolute_timeout: config.absolute_timeout.map(|timeout| timeout.to_string()),
        idle_timeout: config.idle_timeout.map(|timeout| timeout.to_string()),
        strict: config.strict,
    })
}

/// The canary of the rule of a route, if it has one.
pub fn canary(subject: &Subject, route: &Route, exchange: &Exchange, context: &Context) -> Option<CanaryReport> {
    let rule = rule_config(subject, route.rule)?;
    let used = rule.canary.as_ref()?;
    let config = subject.config.canaries.get(used.position)?;
    let policies = context.ir.canaries.iter();
    let mut policies = policies.filter(|one| one.policy.item.id.to_string() == config.name);
    let item = policies.next().map(|targeted| targeted.policy.item);
    let decision = exchange.decision.as_ref();
    let position = decision.and_then(|decision| match decision.reason() {
        Reason::CanaryRule(position) => Some(position),
        _ => None,
    });
    let selected = position.and_then(|position| config.rules.get(position));
    let place = |name: &str| -> Option<Location> {
        let item = item?;
        let rule = item.spec.rules.iter().find(|rule| rule.value.name.value == name)?;
        Some(context.location(item.location_of(&rule.value.name)))
    };
    Some(CanaryReport {
        policy: Written {
            name: format!("CanaryPolicy {}", config.name),
            location: item.map(|item| context.location(item.location())),
        },
        rule: selected.map(|rule| Written {
            name: rule.name.clone(),
            location: place(&rule.name),
        }),
        conditions: selected.map(conditions).unwrap_or_default(),
        hash_on: config.hash_on.as_ref().map(source),
    })
}

/// The applied configuration of a rule.
pub fn rule_config<'e>(subject: &'e Subject, rule: &Rule) -> Option<&'e RuleConfig> {
    subject.config.rules.iter().find(|one| one.id == rule.id)
}

/// The conditions of a match rule, in words.
fn conditions(rule: &MatchRuleConfig) -> Vec<String> {
    let opt_in = rule
        .opt_in
        .iter()
        .map(|on| format!("{} is `always` or `never`", source(on)));
    rule.matches.iter().map(condition).chain(opt_in).collect()
}

fn condition(one: &MatchConfig) -> String {
    let on = source(&one.on);
    let value = one.value.as_deref().unwrap_or_default();
    match one.match_type {
        MatchType::Exact => format!("{on} is `{value}`"),
        MatchType::Prefix => format!("{on} begins with `{value}`"),
        MatchType::Suffix => format!("{on} ends with `{value}`"),
        MatchType::Contains => format!("{on} contains `{value}`"),
        MatchType::RegularExpression => format!("{on} matches `{value}`"),
        MatchType::Present => format!("{on} is present"),
        MatchType::Absent => format!("{on} is absent"),
    }
}

fn source(on: &SourceConfig) -> String {
    match on {
        SourceConfig::Header(name) => format!("the header `{name}`"),
        SourceConfig::Cookie(name) => format!("the cookie `{name}`"),
    }
}
