//! A `CanaryPolicy` for a whole route of which not every rule is one to choose in.

use serde_json::json;

use crate::{
    common::{Generated, mooring},
    istiod::shop::{SPLIT, managed, said, service, shop, virtual_service},
};

const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
";

const BOTH: &str = "backendRefs: [{name: web, port: 80, weight: 90}, {name: web-canary, port: 80, weight: 10}]";
const REDIRECT: &str = "matches: [{path: {value: /old}}]\n    filters: [{type: RequestRedirect, requestRedirect: {path: {type: \
                        ReplaceFullPath, replaceFullPath: /new}}}]";

/// A policy with these fields for a route with these rules.
fn with_rules(fields: &str, rules: &[&str]) -> String {
    let rules = rules.iter().fold(String::new(), |all, rule| all + "  - " + rule + "\n");
    format!(
        "{GATEWAY}{}{}{}apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web}}\nspec:\n  parentRefs: [{{name: \
         gw}}]\n  rules:\n{rules}---\napiVersion: mooring.dev/v1alpha1\nkind: CanaryPolicy\nmetadata: {{name: c}}\nspec:\n  targetRef: \
         {{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}}\n{fields}",
        service("web"),
        service("web-canary"),
        service("beta")
    )
}

const STICKY: &str = "  sticky: {type: Cookie}\n";
const TESTERS: &str =
    "  rules: [{name: testers, matches: [{header: {name: x-test, type: Present}}], backendRef: {name: web-canary}}]\n";

/// What is said, but for the names that the rules do not have.
fn notes(run: &Generated) -> Vec<&str> {
    let findings = run.findings.iter().map(String::as_str);
    findings
        .filter(|finding| !finding.starts_with("note[Unnamed]"))
        .collect()
}

#[test]
fn a_rule_without_backends_is_passed_over() {
    let input = with_rules(STICKY, &[REDIRECT, BOTH]);
    let run = Generated::istio(&input);
    assert_eq!(managed(&run), ["*:80/default.web.1"]);
    assert_eq!(
        notes(&run),
        [
            "note[NoEffect]: CanaryPolicy default/c targets the whole HTTPRoute default/web but skips the rule \
          HTTPRoute/default/web#0, which leads to no backend"
        ]
    );
    let (said, _) = said(&input);
    assert!(
        said.contains("= help: to target one rule of the route, name it in the sectionName of targetRef"),
        "{said}"
    );
    let validated = mooring().args(["validate", "-f", "-"]).stdin(&input).assert().success();
    let text = String::from_utf8_lossy(&validated.get_output().stdout).into_owned();
    assert!(text.contains("Accepted   HTTPRoute/default/web#1"), "{text}");
    assert!(!text.contains("Conflicted"), "{text}");
}

#[test]
fn a_route_without_any_backend_is_an_error() {
    let (said, status) = said(&with_rules(STICKY, &[REDIRECT]));
    assert!(said.contains("error[Invalid]: this rule has no backendRefs"), "{said}");
    assert_eq!(status, Some(3));
}

#[test]
fn a_policy_holds_for_the_rules_that_have_its_backend() {
    let other = "matches: [{path: {value: /api}}]\n    backendRefs: [{name: web, port: 80}, {name: beta, port: 80}]";
    let run = Generated::istio(&with_rules(&format!("{TESTERS}{STICKY}"), &[other, BOTH]));
    assert_eq!(managed(&run), ["*:80/default.web.0", "*:80/default.web.1"]);
    let notes = notes(&run);
    let [finding] = notes.as_slice() else {
        panic!("{notes:?}");
    };
    assert_eq!(
        *finding,
        "note[NoEffect]: CanaryPolicy default/c targets the whole HTTPRoute default/web but skips the rule \
         HTTPRoute/default/web#0, which has no backend default/web-canary; it has `web.default:80`, `beta.default:80`, with the canary \
         rule `testers`"
    );
    // The rest of the policy holds there too.
    assert!(run.rule(0).get("session").is_some());
    assert_eq!(run.rule(0).get("canary"), None);
    assert_eq!(run.rule(1)["canary"], json!({ "position": 0, "backends": [1] }));
    assert_eq!(run.canaries()[0]["rules"][0]["name"], "testers");
}

#[test]
fn a_policy_is_written_once_for_rules_with_different_backends() {
    let other =
        "matches: [{path: {value: /api}}]\n    backendRefs: [{name: web-canary, port: 80}, {name: beta, port: 80}]";
    let third = "matches: [{path: {value: /beta}}]\n    backendRefs: [{name: beta, port: 80}, {name: web, port: 80}]";
    let to = |name: &str, backend: &str| {
        format!(
            "{{name: {name}, matches: [{{header: {{name: x-test, value: {name}}}}}], backendRef: {{name: {backend}}}}}"
        )
    };
    let rules = format!("  rules: [{}, {}]\n", to("testers", "web-canary"), to("brave", "beta"));
    let run = Generated::istio(&with_rules(&rules, &[BOTH, other, third]));
    assert_eq!(run.canaries().as_array().unwrap().len(), 1);
    for (rule, backends) in [(0, json!([1, null])), (1, json!([0, 1])), (2, json!([null, 0]))] {
        assert_eq!(run.rule(rule)["canary"], json!({ "position": 0, "backends": backends }));
    }
}

#[test]
fn a_backend_that_no_rule_has_is_an_error() {
    let wrong = TESTERS.replacen("web-canary", "web-canari", 1);
    let (said, status) = said(&with_rules(&wrong, &[REDIRECT, BOTH]));
    assert!(
        said.contains("error[BackendNotFound]: the rule HTTPRoute/default/web#1 has no backend default/web-canari"),
        "{said}"
    );
    assert_eq!(status, Some(3));
}

#[test]
fn a_redirect_of_a_virtual_service_needs_no_name() {
    let http =
        format!("  - match: [{{uri: {{prefix: /old}}}}]\n    redirect: {{uri: /new}}\n  - name: web\n    {SPLIT}");
    let run = Generated::istio(&shop(&[
        &virtual_service("web", "[web.example.com]", &http),
        &super::shop::sticky("web"),
    ]));
    assert_eq!(managed(&run), ["web.example.com:80/web"]);
    assert!(
        run.findings.iter().all(|finding| finding.starts_with("note[NoEffect]")),
        "{:?}",
        run.findings
    );
}
