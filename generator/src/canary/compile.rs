//! Compiles the rules and the split of a `CanaryPolicy`: checks them part by part, so that each error has its location.

use std::{collections::BTreeMap, rc::Rc};

use mooring_policy::{
    canary::{
        Canary, InvalidCanary, InvalidMatch, InvalidMatchRule, MAX_MATCHES, MAX_RULES, Match, MatchRule, Seed, Source,
    },
    config::{CanaryConfig, MatchConfig, MatchRuleConfig, SourceConfig},
    name::InvalidName,
};

use super::convert::{match_config, source_config};
use crate::{
    api::{
        canary::{CanaryPolicySpec, CanaryRule, Match as RawMatch, Source as RawSource, Split},
        field::Field,
    },
    diagnostic::{Code, Diagnostic, Report, Reported},
    kind::Kind,
    location::SourceLocation,
    resources::Item,
};

/// The canary of a policy, which all rules share that the policy applies to.
#[derive(Debug)]
pub struct CompiledCanary {
    /// Its configuration.
    pub config: CanaryConfig,
    /// The same, checked by the code of the filter.
    pub checked: Rc<Canary>,
    /// The location of the policy.
    pub location: SourceLocation,
}

/// Compiles the canary of a policy that targets a route of this kind, if the kind is known. Everything that is invalid is reported.
pub fn compile(
    item: &Item<CanaryPolicySpec>,
    kind: Option<Kind>,
    report: &mut Report,
) -> Result<CompiledCanary, Reported> {
    let found = Report::default();
    let mut compiler = Compiler { item, found };
    let canary = compiler.canary(kind);
    report.extend(compiler.found);
    canary
}

struct Compiler<'a> {
    item: &'a Item<CanaryPolicySpec>,
    found: Report,
}

impl Compiler<'_> {
    fn invalid(&mut self, message: impl Into<String>, location: SourceLocation) -> Reported {
        self.found.error(Code::Invalid, message, location)
    }

    fn canary(&mut self, kind: Option<Kind>) -> Result<CompiledCanary, Reported> {
        let spec = &self.item.spec;
        self.check_rules();
        let mut rules = Vec::with_capacity(spec.rules.len());
        for rule in &spec.rules {
            self.check_backend(&rule.value, kind);
            rules.push(self.rule(&rule.value));
        }
        let split = spec.split.as_ref().map(|split| self.split(split)).transpose();
        self.found.result()?;
        let rules = rules.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (rule_configs, rules): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
        let (hash_on, seed) = split?.unzip();
        let (hash_on_config, hash_on) = hash_on.unzip();
        let override_session = spec.override_session.as_ref();
        let override_session = override_session.map_or_else(Default::default, |field| field.value);
        let seed_text = spec.split.as_ref().and_then(|split| split.value.seed.as_ref());
        let config = CanaryConfig {
            name: self.item.id.to_string(),
            rules: rule_configs,
            override_session,
            hash_on: hash_on_config,
            seed: seed_text.map(|seed| seed.value.clone()),
        };
        match Canary::from_parts(rules, override_session, hash_on, seed.flatten()) {
            Ok(canary) => Ok(CompiledCanary {
                config,
                checked: Rc::new(canary),
                location: self.item.location(),
            }),
            Err(invalid) => {
                let location = self.location_of_expression(&invalid).unwrap_or(self.item.location());
                Err(self.invalid(invalid.to_string(), location))
            }
        }
    }

    /// Checks what concerns the rules as a list: their number, and that their names are unique.
    fn check_rules(&mut self) {
        let spec = &self.item.spec;
        let about_sessions = spec.sticky.is_some()
            || spec.when_weight_zero.is_some()
            || spec.rebalance.is_some()
            || spec.version_label.is_some();
        if spec.rules.is_empty() && spec.split.is_none() && !about_sessions {
            let message = format!(
                "{} says nothing: it needs at least one of rules, split, sticky, whenWeightZero, rebalance and versionLabel",
                self.item.id
            );
            self.invalid(message, self.item.location());
        }
        if let Some(rule) = spec.rules.get(MAX_RULES) {
            let message = format!(
                "a policy may have {MAX_RULES} rules at most, and this one has {}",
                spec.rules.len()
            );
            self.invalid(message, self.item.location_of(rule));
        }
        let mut seen = BTreeMap::new();
        for rule in &spec.rules {
            let name = &rule.value.name;
            if let Some(first) = seen.insert(name.value.as_str(), self.item.location_of(name)) {
                let message = format!(
                    "two rules of CanaryPolicy {} have the name `{}`",
                    self.item.id, name.value
                );
                let error = Diagnostic::error(Code::Duplicate, message).at(self.item.location_of(name));
                self.found.add(error.with(first, "the first one"));
            }
        }
    }

    /// Checks that a rule names its backend in the field for this kind of target.
    fn check_backend(&mut self, rule: &CanaryRule, kind: Option<Kind>) {
        let name = &rule.name;
        let Some(kind) = kind else { return };
        let backend_ref = rule.backend_ref.as_ref().map(|field| self.item.location_of(field));
        let destination = rule.destination.as_ref().map(|field| self.item.location_of(field));
        let (field, expected, other) = match kind {
            Kind::VirtualService => ("destination", destination, backend_ref),
            _ => ("backendRef", backend_ref, destination),
        };
        if let Some(location) = other {
            let message = format!("a canary rule names its backend in {field} where the target is of the kind {kind}");
            self.invalid(message, location);
        } else if expected.is_none() {
            let message = format!("canary rule `{}` has no {field}, so it leads nowhere", name.value);
            self.invalid(message, self.item.location_of(name));
        }
    }

    fn rule(&mut self, rule: &CanaryRule) -> Result<(MatchRuleConfig, MatchRule), Reported> {
        let name = &rule.name.value;
        let count = match rule.matches.get(MAX_MATCHES) {
            None => Ok(()),
            Some(one) => {
                let message = format!(
                    "a rule may have {MAX_MATCHES} matches at most, and this one has {}",
                    rule.matches.len()
                );
                Err(self.invalid(message, self.item.location_of(one)))
            }
        };
        let matches: Vec<_> = rule.matches.iter().map(|one| self.one_match(name, one)).collect();
        let opt_in = rule.opt_in.as_ref().map(|source| self.source(source)).transpose();
        count?;
        let matches = matches.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (match_configs, matches): (Vec<_>, Vec<_>) = matches.into_iter().unzip();
        let (opt_in_config, opt_in) = opt_in?.unzip();
        let config = MatchRuleConfig {
            name: name.clone(),
            matches: match_configs,
            opt_in: opt_in_config,
        };
        let rule = MatchRule::from_parts(name, matches, opt_in).map_err(|invalid| {
            let location = match (&invalid, &rule.opt_in) {
                (InvalidMatchRule::MatchesAndOptIn(_), Some(source)) => self.item.location_of(source),
                _ => self.item.location_of(&rule.name),
            };
            self.invalid(invalid.to_string(), location)
        });
        Ok((config, rule?))
    }

    fn one_match(&mut self, rule: &str, one: &Field<RawMatch>) -> Result<(MatchConfig, Match), Reported> {
        let (Some(config), Some(raw)) = (
            match_config(&one.value),
            one.value.header.as_ref().or(one.value.cookie.as_ref()),
        ) else {
            let message = "a match needs exactly one of header and cookie";
            return Err(self.invalid(message, self.item.location_of(one)));
        };
        let checked = Match::new(&config).map_err(|reason| {
            let raw = &raw.value;
            let name = self.item.location_of(&raw.name);
            if let InvalidMatch::Source(invalid) = &reason {
                return self.invalid(invalid_name(invalid, &config.on), name);
            }
            let value = raw.value.as_ref().map(|field| self.item.location_of(field));
            let match_type = raw.kind.as_ref().map(|field| self.item.location_of(field));
            let rule = rule.to_owned();
            let message = InvalidMatchRule::Match { rule, reason }.to_string();
            self.invalid(message, value.or(match_type).unwrap_or(name))
        });
        let checked = checked?;
        Ok((config, checked))
    }

    fn split(&mut self, split: &Field<Split>) -> Result<((SourceConfig, Source), Option<Seed>), Reported> {
        let Split { hash_on, seed } = &split.value;
        let source = match (hash_on, seed) {
            (Some(source), _) => self.source(source),
            (None, Some(seed)) => {
                let message = "seed has no effect without hashOn, by which clients are told apart";
                Err(self.invalid(message, self.item.location_of(seed)))
            }
            (None, None) => Err(self.invalid("the field `hashOn` is missing", self.item.location_of(split))),
        };
        let seed = seed.as_ref().map(|seed| {
            let checked = Seed::new(&seed.value);
            checked.map_err(|invalid| self.invalid(invalid.to_string(), self.item.location_of(seed)))
        });
        let seed = seed.transpose();
        Ok((source?, seed?))
    }

    fn source(&mut self, source: &Field<RawSource>) -> Result<(SourceConfig, Source), Reported> {
        let name = source.value.header.as_ref().or(source.value.cookie.as_ref());
        let (Some(config), Some(name)) = (source_config(&source.value), name) else {
            let message = "exactly one of header and cookie must be specified";
            return Err(self.invalid(message, self.item.location_of(source)));
        };
        let checked = Source::try_from(&config)
            .map_err(|invalid| self.invalid(invalid_name(&invalid, &config), self.item.location_of(name)))?;
        Ok((config, checked))
    }

    /// The location of the expression with which a policy exceeds its memory.
    fn location_of_expression(&self, invalid: &InvalidCanary) -> Option<SourceLocation> {
        let InvalidCanary::Memory { rule, position, .. } = invalid else {
            return None;
        };
        let mut rules = self.item.spec.rules.iter();
        let rule = rules.find(|other| other.value.name.value == *rule)?;
        let one = &rule.value.matches.get(*position)?.value;
        let value = one.header.as_ref().or(one.cookie.as_ref())?.value.value.as_ref()?;
        Some(self.item.location_of(value))
    }
}

fn invalid_name(invalid: &InvalidName, source: &SourceConfig) -> String {
    let what = match source {
        SourceConfig::Header(_) => "header",
        SourceConfig::Cookie(_) => "cookie",
    };
    match invalid {
        InvalidName::Character { name, character } => format!(
            "`{name}` is not the name of a {what}: {character:?} is not allowed; letters, digits and !#$%&'*+-.^_`|~ are"
        ),
        InvalidName::Empty => format!("the name of a {what} is empty"),
        other => other.to_string(),
    }
}
