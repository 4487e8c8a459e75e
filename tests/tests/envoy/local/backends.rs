//! Backends that are not there.

use mooring_tests::{Manifests, NAMESPACE};

use super::{Local, http_route};

#[tokio::test]
async fn a_rule_that_leads_nowhere_answers_500() {
    let elsewhere = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: elsewhere}\nspec: {ports: [{name: http, port: 80}]}\n---\n";
    let rules: Vec<String> = [
        ("none", ""),
        ("zero", "{name: a, port: 80, weight: 0}"),
        ("missing", "{name: nowhere, port: 80}"),
        ("port", "{name: a, port: 81}"),
        ("foreign", "{name: a, namespace: elsewhere, port: 80}"),
        ("kind", "{group: example.com, kind: Bucket, name: a, port: 80}"),
        (
            "all-missing",
            "{name: nowhere, port: 80, weight: 3}, {name: nobody, port: 80}",
        ),
    ]
    .iter()
    .map(|(path, refs)| format!("  - {{matches: [{{path: {{value: /{path}}}}}], backendRefs: [{refs}]}}\n"))
    .collect();
    let extension = "  - {matches: [{path: {value: /extension}}], filters: [{type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: \
                     d}}], backendRefs: [{name: a, port: 80}]}\n";
    let all = "  - backendRefs: [{name: a, port: 80}]\n";
    let route = http_route("web", "", &format!("{}{extension}{all}", rules.concat()));
    let local = Local::serve(&format!("{elsewhere}{route}")).await;
    for path in ["none", "zero", "missing", "foreign", "kind", "all-missing", "extension"] {
        let reply = local.get(&format!("/{path}/x")).await;
        assert_eq!(reply.status(), 500, "{path}: {reply:?}");
    }
    assert_eq!(local.get("/other").await.ok().pod(), "a");
}

#[tokio::test]
async fn the_share_of_a_backend_that_is_not_there_gets_500() {
    let local =
        Local::rules("  - backendRefs: [{name: a, port: 80, weight: 1}, {name: nowhere, port: 80, weight: 1}]\n").await;
    let mut failed = 0;
    for _ in 0..100 {
        let reply = local.get("/").await;
        assert!([200, 500].contains(&reply.status()), "{reply:?}");
        failed += usize::from(reply.status() == 500);
    }
    assert!((25..=75).contains(&failed), "{failed}");
}

#[tokio::test]
async fn a_service_without_endpoints_answers_503() {
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: empty, namespace: {NAMESPACE}}}\nspec: {{ports: [{{port: 80}}]}}\n---\n"
    );
    let route = http_route("web", "", "  - backendRefs: [{name: empty, port: 80}]\n");
    let local = Local::serve(&format!("{service}{route}")).await;
    assert_eq!(local.get("/").await.status(), 503);
}

#[tokio::test]
async fn a_route_without_rules_answers_500() {
    let route = http_route("web", "", "").replace("  rules:\n", "");
    let local = Local::on(Manifests::new(), &route).await;
    assert_eq!(local.get("/any").await.status(), 500);
}
