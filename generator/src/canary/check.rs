//! What is wrong with a `CanaryPolicy` in itself.

use std::collections::BTreeMap;

use mooring_policy::{
    canary::{self, InvalidCanary, InvalidMatch, InvalidMatchRule, MAX_MATCHES, MAX_RULES},
    config,
    name::InvalidName,
};

use super::{CompiledCanary, match_config, rule_config, source_config};
use crate::{
    api::{
        canary::{CanaryPolicySpec, CanaryRule, Match, Source, Split},
        field::Field,
    },
    diagnostic::{Code, Diagnostic, Report},
    kind::Kind,
    location::SourceLocation,
    resources::Item,
};

/// Reports everything that is wrong. Returns what the filter is told, if nothing is.
pub fn check(item: &Item<CanaryPolicySpec>, kind: Option<Kind>, report: &mut Report) -> Option<CompiledCanary> {
    let mut checker = Checker {
        item,
        problems: 0,
        report,
    };
    let spec = &item.spec;
    let about_sessions = spec.sticky.is_some() || spec.when_weight_zero.is_some();
    if spec.rules.is_empty() && spec.split.is_none() && !about_sessions {
        let message = format!(
            "{} says nothing: it needs at least one of rules, split, sticky and whenWeightZero",
            item.id
        );
        checker.invalid(message, item.location());
    }
    if let Some(rule) = spec.rules.get(MAX_RULES) {
        let message = format!(
            "a policy may have {MAX_RULES} rules at most, and this one has {}",
            spec.rules.len()
        );
        checker.invalid(message, item.location_of(rule));
    }
    checker.unique_names();
    let mut rules = Vec::with_capacity(spec.rules.len());
    for rule in &spec.rules {
        checker.backend(&rule.value, kind);
        rules.extend(checker.rule(&rule.value));
    }
    if let Some(split) = &spec.split {
        checker.split(split);
    }
    (checker.problems == 0).then(|| checker.whole(rules)).flatten()
}

struct Checker<'a> {
    item: &'a Item<CanaryPolicySpec>,
    problems: usize,
    report: &'a mut Report,
}

impl Checker<'_> {
    fn invalid(&mut self, message: impl Into<String>, location: SourceLocation) {
        self.problems = self.problems.saturating_add(1);
        self.report.add(Diagnostic::error(Code::Invalid, message).at(location));
    }

    fn unique_names(&mut self) {
        let mut seen = BTreeMap::new();
        for rule in &self.item.spec.rules {
            let name = &rule.value.name;
            if let Some(first) = seen.insert(name.value.as_str(), self.item.location_of(name)) {
                self.problems = self.problems.saturating_add(1);
                let message = format!(
                    "two rules of CanaryPolicy {} have the name `{}`",
                    self.item.id, name.value
                );
                let diagnostic = Diagnostic::error(Code::Duplicate, message).at(self.item.location_of(name));
                self.report.add(diagnostic.with(first, "the first one"));
            }
        }
    }

    /// Where a rule sends to, as far as it depends on the kind of the target alone.
    fn backend(&mut self, rule: &CanaryRule, kind: Option<Kind>) {
        let name = &rule.name;
        let (field, stray) = match kind {
            None => return,
            Some(Kind::VirtualService) => (
                "destination",
                rule.backend_ref.as_ref().map(|f| self.item.location_of(f)),
            ),
            Some(_) => (
                "backendRef",
                rule.destination.as_ref().map(|f| self.item.location_of(f)),
            ),
        };
        let kind = kind.map_or(String::new(), |kind| kind.to_string());
        if let Some(location) = stray {
            let message = format!("a canary rule names its backend in {field} where the target is of the kind {kind}");
            self.invalid(message, location);
        } else if rule.destination.is_none() && rule.backend_ref.is_none() {
            let message = format!("canary rule `{}` has no {field}, so it leads nowhere", name.value);
            self.invalid(message, self.item.location_of(name));
        }
    }

    /// The conditions of a rule: first each alone, so that its place is known, then all together.
    fn rule(&mut self, rule: &CanaryRule) -> Option<config::MatchRuleConfig> {
        let before = self.problems;
        if let Some(one) = rule.matches.get(MAX_MATCHES) {
            let message = format!(
                "a rule may have {MAX_MATCHES} matches at most, and this one has {}",
                rule.matches.len()
            );
            self.invalid(message, self.item.location_of(one));
        }
        for one in &rule.matches {
            self.one_match(rule, one);
        }
        if let Some(source) = &rule.opt_in {
            self.source(source);
        }
        if self.problems != before {
            return None;
        }
        let config = rule_config(rule);
        if let Some(refusal) = probe_rule(config.clone()) {
            let location = match (&refusal, &rule.opt_in) {
                (InvalidCanary::Rule(InvalidMatchRule::MatchesAndOptIn(_)), Some(source)) => {
                    self.item.location_of(source)
                }
                (InvalidCanary::Rule(InvalidMatchRule::OptIn { .. }), Some(source)) => self.source_name(source).1,
                // Alone or with others, the policy takes too much; that is told once.
                (InvalidCanary::Memory { .. }, _) => return Some(config),
                _ => self.item.location_of(&rule.name),
            };
            let what = rule.opt_in.as_ref().map_or("", |source| self.source_name(source).0);
            self.invalid(message(&refusal, what), location);
        }
        Some(config)
    }

    /// All rules together, each of which is right.
    fn whole(&mut self, rules: Vec<config::MatchRuleConfig>) -> Option<CompiledCanary> {
        let spec = &self.item.spec;
        let split = spec.split.as_ref().map(|split| &split.value);
        let hash_on = split.and_then(|split| split.hash_on.as_ref());
        let seed = split.and_then(|split| split.seed.as_ref());
        let override_session = spec.override_session.as_ref();
        let config = config::CanaryConfig {
            name: self.item.id.to_string(),
            rules,
            override_session: override_session.map_or_else(Default::default, |field| field.value),
            hash_on: hash_on.and_then(|source| source_config(&source.value)),
            seed: seed.map(|seed| seed.value.clone()),
        };
        match canary::Canary::new(&config) {
            Ok(canary) => Some(CompiledCanary {
                config,
                memory: canary.memory(),
                location: self.item.location(),
            }),
            Err(refusal) => {
                let location = self.location_of_expression(&refusal).unwrap_or(self.item.location());
                self.invalid(message(&refusal, ""), location);
                None
            }
        }
    }

    /// The location of the expression with which a policy takes too much.
    fn location_of_expression(&self, refusal: &InvalidCanary) -> Option<SourceLocation> {
        let InvalidCanary::Memory { rule, position, .. } = refusal else {
            return None;
        };
        let mut rules = self.item.spec.rules.iter();
        let rule = rules.find(|other| other.value.name.value == *rule)?;
        let one = &rule.value.matches.get(*position)?.value;
        let value = one.header.as_ref().or(one.cookie.as_ref())?.value.value.as_ref()?;
        Some(self.item.location_of(value))
    }

    fn one_match(&mut self, rule: &CanaryRule, one: &Field<Match>) {
        let (what, value) = match (&one.value.header, &one.value.cookie) {
            (Some(header), None) => ("header", header),
            (None, Some(cookie)) => ("cookie", cookie),
            _ => {
                return self.invalid(
                    "a match needs exactly one of header and cookie",
                    self.item.location_of(one),
                );
            }
        };
        let alone = config::MatchRuleConfig {
            name: rule.name.value.clone(),
            matches: match_config(&one.value).into_iter().collect(),
            opt_in: None,
        };
        let Some(refusal) = probe_rule(alone) else {
            return;
        };
        let raw = &value.value;
        let location_of_value = raw.value.as_ref().map(|field| self.item.location_of(field));
        let location = match &refusal {
            InvalidCanary::Rule(InvalidMatchRule::Match {
                reason: InvalidMatch::Source(_),
                ..
            }) => Some(self.item.location_of(&raw.name)),
            InvalidCanary::Rule(InvalidMatchRule::Match { .. }) => {
                location_of_value.or_else(|| raw.kind.as_ref().map(|field| self.item.location_of(field)))
            }
            // The rule's own trouble, which is told once.
            InvalidCanary::Rule(InvalidMatchRule::Name(_)) => return,
            _ => None,
        };
        self.invalid(
            message(&refusal, what),
            location.unwrap_or(self.item.location_of(&raw.name)),
        );
    }

    fn split(&mut self, split: &Field<Split>) {
        let Split { hash_on, seed } = &split.value;
        match (hash_on, seed) {
            (Some(source), _) => self.hash_on(source),
            (None, Some(seed)) => {
                let message = "seed has no effect without hashOn, by which clients are told apart";
                self.invalid(message, self.item.location_of(seed));
            }
            (None, None) => self.invalid("the field `hashOn` is missing", self.item.location_of(split)),
        }
        let refusal = |seed: &String| {
            probe(config::CanaryConfig {
                seed: Some(seed.clone()),
                ..config::CanaryConfig::default()
            })
        };
        if let Some(seed) = seed
            && let Some(refusal) = refusal(&seed.value)
        {
            self.invalid(refusal.to_string(), self.item.location_of(seed));
        }
    }

    fn hash_on(&mut self, source: &Field<Source>) {
        if !self.source(source) {
            return;
        }
        let refusal = probe(config::CanaryConfig {
            hash_on: source_config(&source.value),
            ..config::CanaryConfig::default()
        });
        if let Some(refusal) = refusal {
            let (what, location) = self.source_name(source);
            self.invalid(message(&refusal, what), location);
        }
    }

    /// Whether a source is one.
    fn source(&mut self, source: &Field<Source>) -> bool {
        let one = source_config(&source.value).is_some();
        if !one {
            self.invalid(
                "exactly one of header and cookie is needed here",
                self.item.location_of(source),
            );
        }
        one
    }

    fn source_name(&self, source: &Field<Source>) -> (&'static str, SourceLocation) {
        match (&source.value.header, &source.value.cookie) {
            (Some(name), _) => ("header", self.item.location_of(name)),
            (None, Some(name)) => ("cookie", self.item.location_of(name)),
            (None, None) => ("header", self.item.location_of(source)),
        }
    }
}

/// What the filter would say of a rule alone.
fn probe_rule(rule: config::MatchRuleConfig) -> Option<InvalidCanary> {
    probe(config::CanaryConfig {
        rules: vec![rule],
        ..config::CanaryConfig::default()
    })
}

/// What the filter would say.
fn probe(canary: config::CanaryConfig) -> Option<InvalidCanary> {
    canary::Canary::new(&canary).err()
}

fn message(refusal: &InvalidCanary, what: &str) -> String {
    let name = match refusal {
        InvalidCanary::Rule(InvalidMatchRule::Match {
            reason: InvalidMatch::Source(name),
            ..
        })
        | InvalidCanary::Rule(InvalidMatchRule::OptIn { reason: name, .. })
        | InvalidCanary::HashOn(name) => name,
        other => return other.to_string(),
    };
    match name {
        InvalidName::Character { name, character } => format!(
            "`{name}` is not the name of a {what}: {character:?} is not allowed; letters, digits and !#$%&'*+-.^_`|~ are"
        ),
        InvalidName::Empty => format!("the name of a {what} is empty"),
        other => other.to_string(),
    }
}
