//! `rebalance` of a `CanaryPolicy`: the weights that the filter gets for it, and at which changes.

use serde_json::{Value, json};
use snapbox::str;

use crate::common::{Generated, canary::CANARY, generate, passed_over, refused};

/// The policy without anything but its target and this line.
fn alone(line: &str) -> String {
    let (before, _) = CANARY.split_once("  rules:\n  - name: testers").unwrap();
    let before = before.replace("  annotations: {mooring.dev/cookie-same-site: Strict}\n", "");
    format!("{before}  {line}\n")
}

/// The same with sessions of the rule's own, bound to hosts.
fn with_sessions(line: &str) -> String {
    let name = "  - name: everyone\n";
    let sessions = format!("{name}    sessionPersistence: {{sessionName: pods}}\n");
    alone(line).replacen(name, &sessions, 1)
}

fn weights(run: &Generated) -> Vec<Value> {
    let backends = run.rule(0)["backends"].as_array().unwrap().clone();
    backends.iter().map(|backend| backend["weight"].clone()).collect()
}

#[test]
fn the_filter_gets_the_weights_and_the_setting() {
    let run = Generated::istio(&with_sessions("rebalance: OnWeightIncrease"));
    assert_eq!(run.rule(0)["rebalance"], true);
    let written = weights(&run);
    assert!(written.len() > 1 && written.iter().all(Value::is_number), "{written:?}");
    // A policy that only keeps sessions adds no canary.
    assert!(run.rule(0).get("canary").is_none());
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn sessions_stay_by_default_and_nothing_is_written_for_it() {
    for input in [with_sessions("rebalance: Never"), with_sessions("whenWeightZero: Keep")] {
        let run = Generated::istio(&input);
        assert!(run.rule(0).get("rebalance").is_none());
        assert!(weights(&run).iter().all(Value::is_null));
    }
}

#[test]
fn a_step_of_a_release_changes_the_plugin_only_with_rebalance() {
    let step = |line: &str| {
        let input = with_sessions(line);
        let later = input.replace("weight: 90", "weight: 70");
        assert_ne!(input, later);
        [input, later].map(|input| Generated::istio(&input).first("WasmPlugin")["spec"].clone())
    };
    let [before, after] = step("rebalance: OnWeightIncrease");
    assert_ne!(before, after);
    let [before, after] = step("rebalance: Never");
    assert_eq!(before, after);
}

#[test]
fn a_rule_without_sessions_has_nothing_to_rebalance() {
    passed_over(
        generate(&alone("rebalance: OnWeightIncrease")),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

warning[NoEffect]: rebalance of CanaryPolicy bookinfo/canary has no effect on the rule HTTPRoute/bookinfo/reviews/everyone, which keeps no sessions
  --> <stdin>:42:14
   |
14 |   - name: everyone
   |     - the rule
...
42 |   rebalance: OnWeightIncrease
   |              ^^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn another_value() {
    refused(
        generate(&with_sessions("rebalance: Always")),
        str![[r#"
error[Invalid]: `Always` is not allowed here; allowed: Never, OnWeightIncrease
  --> <stdin>:43:14
   |
43 |   rebalance: Always
   |              ^^^^^^


"#]],
    );
}

#[test]
fn a_policy_for_rebalance_alone_says_something() {
    let run = Generated::istio(&with_sessions("rebalance: Never"));
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(run.session(0)["name"], json!("pods"));
}
