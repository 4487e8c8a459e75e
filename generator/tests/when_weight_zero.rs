//! `whenWeightZero` of a `CanaryPolicy`: which backends the filter is told to release the sessions of.

use crate::common::{
    Generated,
    canary::{CANARY, canary_with},
    generate,
    istio_api::istio_api_with,
    passed_over, refused,
};
use snapbox::str;

/// The policy with this line in its spec.
fn with_field(input: &str, line: &str) -> String {
    input.replacen("  override: Never\n", &format!("  override: Never\n  {line}\n"), 1)
}

fn releasing(input: &str) -> String {
    with_field(input, "whenWeightZero: Release")
}

/// The policy without anything but its target and this line.
fn alone(line: &str) -> String {
    let (before, _) = CANARY.split_once("  rules:\n  - name: testers").unwrap();
    let before = before.replace("  annotations: {mooring.dev/cookie-same-site: Strict}\n", "");
    format!("{before}  {line}\n")
}

/// The same rule with sessions of its own, bound to hosts.
fn with_sessions(input: &str) -> String {
    let name = "  - name: everyone\n";
    input.replacen(
        name,
        &format!("{name}    sessionPersistence: {{sessionName: pods}}\n"),
        1,
    )
}

/// The Services of the backends that are released in the first rule.
fn released(run: &Generated) -> Vec<String> {
    let backends = run.rule(0)["backends"].as_array().unwrap().iter();
    let released = backends.filter(|backend| backend["released"] == true);
    let key = |backend: &serde_json::Value| backend["key"].as_str().unwrap().to_owned();
    released.map(key).collect()
}

#[test]
fn a_backend_of_weight_0_is_released() {
    let run = Generated::istio(&releasing(CANARY));
    assert_eq!(released(&run), ["reviews-v2.bookinfo:9080"]);
    assert_eq!(run.findings, [""; 0]);
    let raised = releasing(&canary_with("weight: 0", "weight: 1"));
    assert_eq!(released(&Generated::istio(&raised)), [""; 0]);
}

#[test]
fn sessions_are_kept_by_default_and_nothing_is_written_for_it() {
    for input in [CANARY, &with_field(CANARY, "whenWeightZero: Keep")] {
        let run = Generated::istio(input);
        let backends = run.rule(0)["backends"].as_array().unwrap();
        assert!(
            backends.iter().all(|backend| backend.get("released").is_none()),
            "{backends:?}"
        );
    }
}

#[test]
fn where_no_backend_has_a_weight_sessions_stay() {
    let none = CANARY
        .replace("weight: 90", "weight: 0")
        .replace("weight: 10", "weight: 0");
    assert_eq!(released(&Generated::istio(&releasing(&none))), [""; 0]);
}

#[test]
fn two_references_to_one_backend_count_together() {
    let twice = canary_with(
        "    - {name: reviews-v2, port: 9080, weight: 0}",
        "    - {name: reviews-v2, port: 9080, weight: 0}\n    - {name: reviews-v2, port: 9080, weight: 5}",
    );
    assert_eq!(released(&Generated::istio(&releasing(&twice))), [""; 0]);
}

#[test]
fn sessions_of_another_policy_are_released_too() {
    let run = Generated::istio(&with_sessions(&alone("whenWeightZero: Release")));
    assert_eq!(released(&run), ["reviews-v2.bookinfo:9080"]);
    assert_eq!(run.session(0)["name"], "pods");
    assert!(run.rule(0).get("canary").is_none());
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn a_destination_without_a_weight_among_others_has_the_weight_0() {
    let input = istio_api_with("  sticky: {", "  whenWeightZero: Release\n  sticky: {");
    assert_eq!(released(&Generated::istio(&input)), [""; 0]);
    let without = input.replace("subset: v3}, weight: 10}", "subset: v3}}");
    assert_eq!(released(&Generated::istio(&without)), ["reviews.bookinfo:9080/v3"]);
}

#[test]
fn a_rule_without_sessions_has_nothing_to_release() {
    let input = alone("whenWeightZero: Release");
    passed_over(
        generate(&input),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

warning[NoEffect]: whenWeightZero of CanaryPolicy bookinfo/canary has no effect on the rule HTTPRoute/bookinfo/reviews/everyone, which keeps no sessions
  --> <stdin>:42:19
   |
14 |   - name: everyone
   |     - the rule
...
42 |   whenWeightZero: Release
   |                   ^^^^^^^


"#]],
    );
    passed_over(
        generate(&input.replace(", sectionName: everyone", "")),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

note[NoEffect]: CanaryPolicy bookinfo/canary targets the whole HTTPRoute bookinfo/reviews but skips the rule HTTPRoute/bookinfo/reviews/everyone, which keeps no sessions, with whenWeightZero
  --> <stdin>:14:5
   |
14 |   - name: everyone
   |     ^
...
41 |   targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews}
   |                                                                        ------- the policy
   |
   = help: to target one rule of the route, name it in the sectionName of targetRef


"#]],
    );
}

#[test]
fn another_value() {
    refused(
        generate(&with_field(CANARY, "whenWeightZero: Drain")),
        str![[r#"
error[Invalid]: `Drain` is not allowed here; allowed: Keep, Release
  --> <stdin>:60:19
   |
60 |   whenWeightZero: Drain
   |                   ^^^^^


"#]],
    );
}
