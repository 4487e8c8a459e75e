//! Canary routing: what the rules say of a request is what they say when they are read slowly; a split by client is stable.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mooring_fuzz::{
    reference::{self, Letter, Pattern},
    shape,
};
use mooring_policy::{
    canary::Verdict,
    config,
    rule::{Backend, RouteTable, Rule},
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
        Input::Rules(canary, backends, requests) => check_rules(canary.into(), backends.into(), &requests),
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
            let text = str::from_utf8(&value).ok().filter(|text| text.len() <= 4_096);
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

fn check_rules(canary: config::Canary, backends: Vec<config::Backend>, requests: &[shape::Headers]) {
    let Some(table) = accept(canary.clone(), backends.clone()) else {
        return;
    };
    let rule = only(&table);
    let compiled = rule.canary().expect("it has canary routing");
    for shape::Headers(lines) in requests {
        let verdict = compiled.judge(&lines.as_slice().into());
        assert_eq!(
            verdict,
            reference::judge(&canary, &backends, lines),
            "{canary:?}: {lines:?}"
        );
        if let Verdict::To { rule, .. } | Verdict::Not { rule, .. } = verdict {
            assert_eq!(compiled.rule_name(rule), Some(canary.rules[rule].name.as_str()));
        }
        let hash = compiled.client_hash(&lines.as_slice().into());
        let source = canary.hash_on.as_ref();
        let client = source.and_then(|source| {
            reference::values(lines, source)
                .into_iter()
                .find(|value| !value.is_empty())
        });
        assert_eq!(hash.is_some(), client.is_some(), "{source:?}: {lines:?}");
        if let (Some(hash), Some(client)) = (hash, client) {
            // The same client by another way.
            let weights = weights(&backends);
            let other = place(&client, &weights, canary.seed.as_deref());
            assert_eq!(other.is_some(), weights.iter().any(|weight| *weight > 0));
            assert!(other.is_none_or(|other| weights[other] > 0));
            assert_eq!(hash.place(rule.backends()), other);
        }
    }
}

fn weights(backends: &[config::Backend]) -> Vec<u32> {
    backends.iter().map(|backend| backend.weight.unwrap_or(0)).collect()
}

/// The only rule of a table.
fn only(table: &RouteTable) -> &Rule {
    table.rules().next().expect("there is one")
}

/// Whether an expression, if it is accepted, matches a value.
fn matches(expression: &str, value: &[u8]) -> Option<bool> {
    let on = config::Source::Header("x-text".to_owned());
    let one = config::Match {
        on,
        kind: config::MatchType::RegularExpression,
        value: Some(expression.to_owned()),
    };
    let rule = config::CanaryRule {
        name: "only".to_owned(),
        backend: shape::KEYS[0].to_owned(),
        matches: vec![one],
        opt_in: None,
    };
    let canary = config::Canary {
        rules: vec![rule],
        override_session: config::Override::Always,
        hash_on: None,
        seed: None,
    };
    let table = accept(canary, backends(&[1]))?;
    let lines = [("X-Text", value)];
    Some(only(&table).canary()?.judge(&lines.as_slice().into()) != Verdict::Free)
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
    let source = config::Source::Header("x-client".to_owned());
    let canary = config::Canary {
        rules: Vec::new(),
        override_session: config::Override::Never,
        hash_on: Some(source),
        seed: seed.map(str::to_owned),
    };
    let table = accept(canary, backends(weights)).expect("there is nothing wrong with it");
    let rule = only(&table);
    let lines = [("x-client", client)];
    let hash = rule
        .canary()
        .and_then(|canary| canary.client_hash(&lines.as_slice().into()));
    let backends: &[Backend] = rule.backends();
    hash.expect("there is a client").place(backends)
}

fn backends(weights: &[u32]) -> Vec<config::Backend> {
    let keys = shape::KEYS.into_iter();
    keys.zip(weights)
        .map(|(key, weight)| config::Backend {
            key: key.to_owned(),
            weight: Some(*weight),
            released: false,
        })
        .collect()
}

/// The table of one rule with this canary routing, if it is accepted.
fn accept(canary: config::Canary, backends: Vec<config::Backend>) -> Option<RouteTable> {
    let rule = config::Rule {
        route: "route".to_owned(),
        virtual_hosts: vec!["shop.example:80".to_owned()],
        id: "HTTPRoute/shop/web#0".to_owned(),
        session: None,
        backends,
        canary: Some(canary),
    };
    RouteTable::try_from(config::Config {
        version: config::VERSION,
        rules: vec![rule],
    })
    .ok()
}
