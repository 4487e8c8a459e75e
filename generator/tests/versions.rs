//! `versionLabel` of a `CanaryPolicy` and the annotation `version-label`: which versions the filter is told.

use serde_json::Value;
use snapbox::str;

use crate::common::{
    Generated,
    canary::{CANARY, canary_with},
    generate,
    istio_api::istio_api_with,
    mooring, passed_over, refused,
};

/// The policy with a label in its spec.
fn labelled(input: &str, label: &str) -> String {
    input.replacen(
        "  override: Never\n",
        &format!("  override: Never\n  versionLabel: {label}\n"),
        1,
    )
}

/// The Services, each with the selector of its pods.
fn with_selectors(input: &str) -> String {
    let mut output = input.to_owned();
    for number in 1..=3 {
        let service = format!(
            "metadata: {{name: reviews-v{number}, namespace: bookinfo, labels: {{istio.io/persistent-session: a}}}}\nspec: {{"
        );
        assert!(output.contains(&service));
        output = output.replace(&service, &format!("{service}selector: {{app: reviews-v{number}}}, "));
    }
    output
}

/// A workload of a kind whose pods have these labels.
fn workload(kind: &str, name: &str, labels: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: bookinfo}}\n\
         spec: {{template: {{metadata: {{labels: {{{labels}}}}}, spec: {{}}}}}}\n"
    )
}

/// The version of each backend of the first rule, with `!` if the filter is told that its weight is 0.
fn versions(run: &Generated) -> Vec<String> {
    let backends = run.rule(0)["backends"].as_array().unwrap().iter();
    let version = |backend: &Value| {
        let version = backend.get("version").map_or("-", |version| version.as_str().unwrap());
        let zero = backend.get("weightZero") == Some(&Value::Bool(true));
        format!("{version}{}", if zero { "!" } else { "" })
    };
    backends.map(version).collect()
}

/// Three workloads whose templates have the label `version`.
fn three() -> String {
    [
        workload("Deployment", "reviews-v1", "app: reviews-v1, version: '1.0'"),
        workload("StatefulSet", "reviews-v2", "app: reviews-v2, version: '2.0'"),
        workload("DaemonSet", "reviews-v3", "app: reviews-v3, version: '3.0'"),
    ]
    .concat()
}

#[test]
fn the_version_is_that_of_the_pod_templates_that_the_service_selects() {
    let input = labelled(&with_selectors(CANARY), "version") + &three();
    let run = Generated::istio(&input);
    assert_eq!(versions(&run), ["1.0", "2.0!", "3.0"]);
    assert_eq!(run.findings, [""; 0]);
    // Workloads of other pods and namespaces do not matter, and several that agree do not either.
    let others = [
        workload("Deployment", "other", "app: other, version: '9'"),
        workload("Deployment", "far", "app: reviews-v1, version: '9'").replace("bookinfo", "mall"),
        workload("Deployment", "second", "app: reviews-v1, version: '1.0', tier: web"),
    ];
    let run = Generated::istio(&(input + &others.concat()));
    assert_eq!(versions(&run), ["1.0", "2.0!", "3.0"]);
}

#[test]
fn validate_lists_the_versions() {
    let input = labelled(&with_selectors(CANARY), "version") + &three();
    let validate = |flags: &[&str]| {
        let run = mooring().args([&["validate", "-f", "-"], flags].concat()).stdin(&input);
        let output = run.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = validate(&[]);
    assert!(
        text.contains("90%, version 1.0\n") && text.contains("0%, version 2.0\n"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&validate(&["-o", "json"])).unwrap();
    let versions = json.pointer("/rules/0/backends/2/version");
    assert_eq!(versions, Some(&Value::from("3.0")));
}

#[test]
fn without_a_label_nothing_is_written() {
    let run = Generated::istio(&(with_selectors(CANARY) + &three()));
    assert_eq!(versions(&run), ["-", "-", "-"]);
}

#[test]
fn the_selector_of_the_service_comes_first() {
    // As Argo Rollouts writes it. Its ReplicaSets are not read.
    let hash = "rollouts-pod-template-hash";
    let mut input = labelled(&with_selectors(CANARY), hash);
    for (app, version) in [("reviews-v1", "6c5f"), ("reviews-v2", "7b9d"), ("reviews-v3", "6c5f")] {
        input = input.replace(
            &format!("{{app: {app}}}"),
            &format!("{{app: {app}, {hash}: {version}}}"),
        );
    }
    let templates = workload("Deployment", "reviews-v1", &format!("app: reviews-v1, {hash}: other"));
    let run = Generated::istio(&(input + &templates));
    assert_eq!(versions(&run), ["6c5f", "7b9d!", "6c5f"]);
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn the_labels_of_a_subset_are_its_version() {
    let input = istio_api_with("  sticky: {", "  versionLabel: version\n  sticky: {");
    let run = Generated::istio(&input);
    assert_eq!(versions(&run), ["v1", "v2", "v3"]);
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn the_pods_of_a_subset_are_those_with_all_of_its_labels() {
    let hash = "  versionLabel: hash\n  sticky: {";
    let input = istio_api_with("  sticky: {", hash).replace(
        "spec: {ports: [{name: http, port: 9080}]}",
        "spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}",
    );
    let templates: String = (1..=3)
        .map(|n| {
            workload(
                "Deployment",
                &format!("reviews-{n}"),
                &format!("app: reviews, version: v{n}, hash: h{n}"),
            )
        })
        .collect();
    let run = Generated::istio(&(input + &templates));
    assert_eq!(versions(&run), ["h1", "h2", "h3"]);
}

#[test]
fn a_backend_whose_version_is_not_known_has_none_and_a_warning_says_why() {
    let input = labelled(&with_selectors(CANARY), "version")
        + &workload("Deployment", "reviews-v1", "app: reviews-v1, version: '1.0'")
        + &workload("Deployment", "reviews-v1-old", "app: reviews-v1, version: '0.9'")
        + &workload("Deployment", "reviews-v2", "app: reviews-v2");
    let run = Generated::istio(&input);
    assert_eq!(versions(&run), ["-", "-!", "-"]);
    passed_over(
        generate(&input),
        str![[r#"
warning[NoEffect]: the label `version` does not tell the version of each backend of the rule HTTPRoute/bookinfo/reviews/everyone, so sessions stay on these backends whatever their version: reviews-v1.bookinfo:9080, because its pod templates have different values: `0.9`, `1.0`; reviews-v2.bookinfo:9080, because its pod templates do not have it; reviews-v3.bookinfo:9080, because no pod template that it selects is in the input
  --> <stdin>:60:17
   |
14 |   - name: everyone
   |     - the rule
...
60 |   versionLabel: version
   |                 ^^^^^^^
   |
   = help: the label must be in the selector of the Service, in the labels of the subset, or in the template of every Deployment, StatefulSet and DaemonSet whose pods the backend selects, and these must be in the input


"#]],
    );
}

#[test]
fn a_label_with_an_empty_value_or_only_on_some_pods_is_no_version() {
    let reasons = |templates: &str| {
        let input = labelled(&with_selectors(CANARY), "version") + templates;
        let run = Generated::istio(&input);
        (versions(&run), run.findings.concat())
    };
    let (found, reason) = reasons(&three().replace("'1.0'", "''"));
    assert_eq!(found, ["-", "2.0!", "3.0"]);
    assert!(reason.contains("its pod templates have the value ``"), "{reason}");
    let some = three() + &workload("Deployment", "second", "app: reviews-v1");
    let (found, reason) = reasons(&some);
    assert_eq!(found, ["-", "2.0!", "3.0"]);
    assert!(reason.contains("some of its pod templates do not have it"), "{reason}");
}

#[test]
fn an_annotation_names_the_label_for_the_sessions_of_a_policy() {
    let (route, _) = CANARY.split_once("---\napiVersion: mooring.dev/v1alpha1").unwrap();
    let own = with_selectors(&route.replace(
        "metadata: {name: reviews, namespace: bookinfo}",
        "metadata: {name: reviews, namespace: bookinfo, annotations: {mooring.dev/version-label: version}}",
    ))
    .replace(
        "  - name: everyone\n",
        "  - name: everyone\n    sessionPersistence: {sessionName: pods}\n",
    );
    let run = Generated::istio(&(own.clone() + &three()));
    assert_eq!(versions(&run), ["1.0", "2.0!", "3.0"]);
    refused(
        generate(&(own.replace("version-label: version}", "version-label: not a label}") + &three())),
        str![[r#"
error[Invalid]: `not a label` is not the name of a label, such as `version` or `app.kubernetes.io/version`
  --> <stdin>:10:89
   |
10 | metadata: {name: reviews, namespace: bookinfo, annotations: {mooring.dev/version-label: not a label}}
   |                                                                                         ^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_canary_policy_names_the_label_for_the_sessions_of_other_policies() {
    let (route, policy) = CANARY.split_once("---\napiVersion: mooring.dev/v1alpha1").unwrap();
    let own = route
        .replace(
            "metadata: {name: reviews, namespace: bookinfo}",
            "metadata: {name: reviews, namespace: bookinfo, annotations: {mooring.dev/version-label: other}}",
        )
        .replace(
            "  - name: everyone\n",
            "  - name: everyone\n    sessionPersistence: {sessionName: pods}\n",
        );
    let (target, _) = policy.split_once("  rules:\n").unwrap();
    let target = target.replace("  annotations: {mooring.dev/cookie-same-site: Strict}\n", "");
    let input = with_selectors(&own) + "---\napiVersion: mooring.dev/v1alpha1" + &target + "  versionLabel: version\n";
    let run = Generated::istio(&(input + &three()));
    assert_eq!(versions(&run), ["1.0", "2.0!", "3.0"]);
    let [finding] = run.findings.as_slice() else {
        panic!("{:?}", run.findings)
    };
    assert!(finding.contains("the version label `other` has no effect"), "{finding}");
}

#[test]
fn a_rule_without_sessions_has_no_versions() {
    let (before, _) = CANARY.split_once("  rules:\n  - name: testers").unwrap();
    let before = before.replace("  annotations: {mooring.dev/cookie-same-site: Strict}\n", "");
    passed_over(
        generate(&format!("{before}  versionLabel: version\n")),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

warning[NoEffect]: versionLabel of CanaryPolicy bookinfo/canary has no effect on the rule HTTPRoute/bookinfo/reviews/everyone, which keeps no sessions
  --> <stdin>:42:17
   |
14 |   - name: everyone
   |     - the rule
...
42 |   versionLabel: version
   |                 ^^^^^^^


"#]],
    );
}

#[test]
fn what_is_no_name_of_a_label() {
    refused(
        generate(&labelled(CANARY, "'example.com/'")),
        str![[r#"
error[Invalid]: `example.com/` is not the name of a label, such as `version` or `app.kubernetes.io/version`
  --> <stdin>:60:17
   |
60 |   versionLabel: 'example.com/'
   |                 ^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn all_references_to_a_backend_count_for_its_weight() {
    let twice = canary_with(
        "    - {name: reviews-v2, port: 9080, weight: 0}",
        "    - {name: reviews-v2, port: 9080, weight: 0}\n    - {name: reviews-v2, port: 9080, weight: 5}",
    );
    let run = Generated::istio(&(labelled(&with_selectors(&twice), "version") + &three()));
    assert_eq!(versions(&run), ["1.0", "2.0", "3.0"]);
}
