//! Canary Ingresses: weights, rules and their order.

use serde_json::json;

use super::{Run, all, canary, ingress, named};

#[test]
fn weights_and_rules_of_a_canary() {
    let run = Run::on(&all(&[
        &ingress(&[]),
        &canary(&[
            ("canary-by-cookie", "tester"),
            ("canary-by-header", "x-canary"),
            ("canary-by-header-pattern", "beta"),
            ("canary-weight", "5"),
            ("canary-weight-total", "200"),
        ]),
    ]));
    assert_eq!((run.code, run.said.as_str()), (Some(0), ""));
    assert_eq!(
        run.rule()["backendRefs"],
        json!([
            {"name": "web", "port": 80, "weight": 195},
            {"name": "web-v2", "port": 80, "weight": 5},
        ])
    );
    let backend = json!({"name": "web-v2", "port": 80});
    let value = json!({"name": "x-canary", "type": "RegularExpression", "value": "(?s:.*)(?:beta)(?s:.*)"});
    assert_eq!(
        run.one("CanaryPolicy")["spec"],
        json!({
            "targetRef": {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "web"},
            "rules": [
                {"name": "by-header", "matches": [{"header": value}], "backendRef": backend},
                {"name": "by-cookie", "optIn": {"cookie": "tester"}, "backendRef": backend},
            ],
        })
    );
}

#[test]
fn a_weight_alone_needs_no_policy() {
    let run = Run::on(&all(&[
        &ingress(&[("affinity", "cookie")]),
        &canary(&[("canary-weight", "5")]),
    ]));
    assert!(run.of("CanaryPolicy").is_empty());
}

#[test]
fn legacy_behavior_has_no_equivalent() {
    let run = Run::on(&all(&[
        &ingress(&[("affinity", "cookie")]),
        &canary(&[("canary-weight", "5"), ("affinity-canary-behavior", "legacy")]),
    ]));
    assert_eq!(run.code, Some(3));
    assert!(
        run.said
            .contains("`affinity-canary-behavior: legacy` is not translated"),
        "{}",
        run.said
    );
}

#[test]
fn a_canary_of_one_of_several_paths_names_the_rule() {
    let path =
        "      - path: /api\n        pathType: Prefix\n        backend: {service: {name: api, port: {number: 80}}}\n";
    let canary = canary(&[("canary-by-cookie", "tester")]);
    let run = Run::on(&all(&[&format!("{}{path}", ingress(&[])), &canary]));
    let rules = run.one("HTTPRoute")["spec"]["rules"].as_array().unwrap();
    let names: Vec<&str> = rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["root", "api"]);
    assert_eq!(run.one("CanaryPolicy")["spec"]["targetRef"]["sectionName"], "root");
}

#[test]
fn wrong_canaries_are_left_out() {
    let second = named("zz", "web-v3", &[("canary", "true"), ("canary-weight", "7")]);
    let canary = canary(&[("canary-weight", "5")]);
    for (documents, expected) in [
        (
            vec![ingress(&[]), canary.clone(), second],
            "there are two canaries for `shop.example.com/`: ingress-nginx supports one, and uses the older",
        ),
        (
            vec![ingress(&[]), canary.replace("path: /", "path: /api")],
            "the canary for `shop.example.com/api` has no main Ingress: one with the same host, path and pathType",
        ),
        (
            vec![ingress(&[]), canary.replace("pathType: Prefix", "pathType: Exact")],
            "this path has the pathType Prefix",
        ),
        (
            vec![ingress(&[]), canary.replace("web-v2", "web")],
            "the canary for `shop.example.com/` has the same backend as its main Ingress",
        ),
        (
            vec![ingress(&[]), canary.replace("namespace: shop", "namespace: other")],
            "is in another namespace than its main Ingress shop/web",
        ),
    ] {
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        let run = Run::on(&all(&documents));
        assert_eq!(run.code, Some(3), "{}", run.said);
        assert!(run.said.contains(expected), "{expected}: {}", run.said);
        assert!(run.said.contains("left out because of errors: 1 rule"), "{}", run.said);
        assert_eq!(run.of("HTTPRoute").len(), 1);
    }
}
