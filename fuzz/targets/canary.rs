//! Canary routing: what the rules say of a request is what they say when they are read slowly; a split by client is stable.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mooring_fuzz::{
    reference::{self, Letter, Pattern},
    shape,
};
use mooring_policy::{
    backend::Backend,
    canary::{Budget, MAX_EXPRESSION_INPUT, MAX_HASH_STEPS, MAX_STEPS, RuleCanary, Selection, expression_size},
    config,
    routes::RouteTable,
    rule::Rule,
};

#[derive(Debug, Arbitrary)]
enum Input {
    /// Rules for a request.
    Rules(shape::Canary, shape::Backends, Vec<shape::Headers>),
    /// A regular expression for a text.
    Pattern(Pattern, Vec<Letter>),
    /// Any text as a regular expression, and any value.
    Text(shape::Question),
    /// A split by this, before and after a change of weights, under one of these seeds.
    Split(Vec<u8>, [u16; 4], [u16; 4], u8),
}

fuzz_target!(|input: Input| {
    match input {
        Input::Rules(canary, backends, requests) => check_rules(&canary, backends.into(), &requests),
        Input::Pattern(pattern, letters) => {
            let (expression, letters) = (pattern.text(), &letters[..letters.len().min(64)]);
            if expression.len() > 256 {
                return;
            }
            let text: String = letters.iter().map(|letter| letter.character()).collect();
            if let Some(found) = matches(&expression, text.as_bytes()) {
                assert_eq!(found, pattern.matches(letters), "{expression:?} on {text:?}");
            }
        }
        Input::Text(shape::Question(expression, value)) => {
            let text = str::from_utf8(&value)
                .ok()
                .filter(|text| text.len() <= MAX_EXPRESSION_INPUT);
            match (matches(&expression, &value), text) {
                (Some(matched), Some(text)) => {
                    let regex = regex_lite::Regex::new(&expression).expect("it was accepted");
                    let found = regex.find(text).map(|found| found.len());
                    assert!(!matched || found.is_some(), "{expression:?} on {text:?}");
                    // What is found first need not be the longest.
                    assert!(matched || found != Some(text.len()), "{expression:?} on {text:?}");
                }
                (matched, None) => assert_ne!(matched, Some(true), "{expression:?} on {value:?}"),
                (None, _) => {}
            }
        }
        Input::Split(client, before, after, seed) => {
            let seed = (seed > 0).then(|| seed.to_string());
            check_split(&client, before, after, seed.as_deref());
        }
    }
});

fn check_rules(
    shape::Canary {
        config: canary,
        of_rule,
    }: &shape::Canary,
    backends: Vec<config::BackendConfig>,
    requests: &[shape::Headers],
) {
    let Some(table) = accept(canary.clone(), of_rule.clone(), backends.clone()) else {
        return;
    };
    let rule = only(&table);
    let compiled = rule.canary().expect("it has canary routing");
    for shape::Headers(lines) in requests {
        let Some(selection) = select(compiled, lines) else {
            continue;
        };
        assert_eq!(
            selection,
            reference::select(canary, of_rule, lines),
            "{canary:?}: {lines:?}"
        );
        if let Selection::Only { rule, .. } | Selection::Except { rule, .. } = selection {
            assert_eq!(compiled.rule_name(rule), Some(canary.rules[rule].name.as_str()));
        }
        let hash = compiled.client_hash(&lines.as_slice().into(), backends.len());
        let source = canary.hash_on.as_ref();
        let client = source.and_then(|source| {
            reference::values(lines, source)
                .into_iter()
                .find(|value| !value.is_empty())
        });
        let length: usize = lines.iter().map(|(name, value)| name.len() + value.len() + 1).sum();
        // Without white space and signs that mean something, a byte costs no more than this many steps.
        let affordable = length * (backends.len() + 50) + 1_000 < MAX_HASH_STEPS.try_into().unwrap();
        assert!(client.is_some() || hash.is_none(), "{source:?}: {lines:?}");
        assert!(
            client.is_none() || hash.is_some() || !affordable,
            "{source:?}: {lines:?}"
        );
        if let (Some(hash), Some(client)) = (hash, client) {
            // The same client by another way.
            let weights = weights(&backends);
            let other = place(&client, &weights, canary.seed.as_deref());
            assert_eq!(other.is_some(), weights.iter().any(|weight| *weight > 0));
            assert!(other.is_none_or(|other| weights[other] > 0));
            assert_eq!(hash.select(rule.backends(), |_| true), other);
        }
    }
}

/// What a canary says of a request. None: the budget did not suffice. Never is more spent than there is, and with less than is
/// needed the canary says nothing.
fn select(canary: &RuleCanary, lines: &reference::Lines) -> Option<Selection> {
    let headers = lines.into();
    let with = |steps: u32| {
        let mut budget = Budget::new(steps);
        let selection = canary.select(&headers, &mut budget);
        assert!(budget.spent() <= steps);
        assert!(!budget.is_exhausted() || selection == Selection::Any);
        (selection, budget)
    };
    let (selection, budget) = with(MAX_STEPS);
    if budget.is_exhausted() {
        return None;
    }
    let spent = budget.spent();
    let (again, exact) = with(spent);
    assert_eq!((again, exact.is_exhausted(), exact.spent()), (selection, false, spent));
    for less in [spent / 2, spent.saturating_sub(1)] {
        assert_eq!(with(less).1.is_exhausted(), less < spent);
    }
    Some(selection)
}

fn weights(backends: &[config::BackendConfig]) -> Vec<u32> {
    backends.iter().map(|backend| backend.weight.unwrap_or(0)).collect()
}

/// The only rule of a table.
fn only(table: &RouteTable) -> &Rule {
    table.rules().next().expect("there is one")
}

/// Whether an expression, if it is accepted, matches a value.
fn matches(expression: &str, value: &[u8]) -> Option<bool> {
    let on = config::SourceConfig::Header("x-text".to_owned());
    let one = config::MatchConfig {
        on,
        match_type: config::MatchType::RegularExpression,
        value: Some(expression.to_owned()),
        compiled_size: expression_size(expression).ok(),
    };
    let rule = config::MatchRuleConfig {
        name: "only".to_owned(),
        matches: vec![one],
        opt_in: None,
    };
    let canary = config::CanaryConfig {
        name: "shop/text".to_owned(),
        rules: vec![rule],
        override_session: config::Override::Always,
        hash_on: None,
        seed: None,
    };
    let of_rule = config::RuleCanaryConfig {
        position: 0,
        backends: vec![Some(0)],
    };
    let table = accept(canary, of_rule, backends(&[1]))?;
    let lines = [("X-Text".to_owned(), value.to_vec())];
    Some(select(only(&table).canary()?, &lines)? != Selection::Any)
}

/// A change of weights moves clients only to backends that gain on the one they leave.
fn check_split(client: &[u8], before: [u16; 4], after: [u16; 4], seed: Option<&str>) {
    let positive = |weights: [u16; 4]| weights.iter().any(|weight| *weight > 0);
    if client.is_empty() || !positive(before) || !positive(after) {
        return;
    }
    let [before, after] = [before, after].map(|weights| weights.map(u32::from));
    let [old, new] = [&before, &after].map(|weights| place(client, weights, seed).expect("one has a weight"));
    assert!(before[old] > 0 && after[new] > 0, "{before:?} {after:?}");
    if old != new {
        let [old_before, new_before, old_after, new_after] =
            [before[old], before[new], after[old], after[new]].map(u64::from);
        assert!(
            old_before * new_after >= new_before * old_after,
            "{before:?} {after:?}: {old} to {new}"
        );
    }
}

/// The place of a client, found by a header. None where no backend has a weight.
fn place(client: &[u8], weights: &[u32], seed: Option<&str>) -> Option<usize> {
    let source = config::SourceConfig::Header("x-client".to_owned());
    let canary = config::CanaryConfig {
        name: "shop/split".to_owned(),
        rules: Vec::new(),
        override_session: config::Override::Never,
        hash_on: Some(source),
        seed: seed.map(str::to_owned),
    };
    let of_rule = config::RuleCanaryConfig {
        position: 0,
        backends: Vec::new(),
    };
    let table = accept(canary, of_rule, backends(weights)).expect("there is nothing wrong with it");
    let rule = only(&table);
    let lines = [("x-client", client)];
    let hash = rule
        .canary()
        .and_then(|canary| canary.client_hash(&lines.as_slice().into(), weights.len()));
    let backends: &[Backend] = rule.backends();
    hash.expect("there is a client").select(backends, |_| true)
}

fn backends(weights: &[u32]) -> Vec<config::BackendConfig> {
    let keys = shape::KEYS.into_iter();
    keys.zip(weights)
        .map(|(key, weight)| config::BackendConfig {
            key: key.to_owned(),
            weight: Some(*weight),
            ..config::BackendConfig::default()
        })
        .collect()
}

/// The table of one rule with this canary routing, if it is accepted.
fn accept(
    canary: config::CanaryConfig,
    of_rule: config::RuleCanaryConfig,
    backends: Vec<config::BackendConfig>,
) -> Option<RouteTable> {
    let rule = config::RuleConfig {
        route: "route".to_owned(),
        virtual_hosts: vec!["shop.example:80".to_owned()],
        id: "HTTPRoute/shop/web#0".to_owned(),
        session: None,
        backends,
        canary: Some(of_rule),
        rebalance: false,
    };
    RouteTable::new(&config::Config {
        version: config::VERSION,
        session_routes: Vec::new(),
        access_log: false,
        weight_metric: false,
        canaries: vec![canary],
        rules: vec![rule],
    })
    .ok()
}
