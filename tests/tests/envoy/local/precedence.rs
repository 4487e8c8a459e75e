//! Which of several rules gets a request.

use super::{Local, header, http_route};

/// Rules, each with what it matches; the answer names the rule.
fn rules(matches: &[(&str, &str)]) -> String {
    let rule = |(name, matched): &(&str, &str)| {
        format!(
            "  - {{matches: [{{{matched}}}], filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-rule, value: {name}}}]}}}}], backendRefs: [{{name: a, port: 80}}]}}\n"
        )
    };
    matches.iter().map(rule).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn the_most_specific_rule_wins_whatever_the_order() {
    let local = Local::rules(&rules(&[
        ("all", "path: {value: /}"),
        ("query", "queryParams: [{name: q, value: '1'}]"),
        ("header", "headers: [{name: x-a, value: '1'}]"),
        ("headers", "headers: [{name: x-a, value: '1'}, {name: x-b, value: '1'}]"),
        ("method", "method: PUT"),
        // A trailing slash does not count.
        ("foo", "path: {value: /foo/}"),
        ("foo-two", "path: {value: /foo}, headers: [{name: version, value: two}]"),
        ("longer", "path: {value: /foo/bar}"),
        ("exact", "path: {type: Exact, value: /foo/bar}"),
    ]))
    .await;
    for (request, rule) in [
        (local.request("/"), "all"),
        (local.request("/?q=1"), "query"),
        (local.request("/?q=1").header("x-a", "1"), "header"),
        (local.request("/").header("x-a", "1").header("x-b", "1"), "headers"),
        (local.request("/").header("x-a", "1").method("PUT"), "method"),
        (local.request("/foo/x"), "foo"),
        (local.request("/foo"), "foo"),
        (local.request("/foo/x").header("version", "two"), "foo-two"),
        (local.request("/foox"), "all"),
        (local.request("/foo/bar/x").header("version", "two"), "longer"),
        (local.request("/foo/bar"), "exact"),
    ] {
        assert_eq!(header(&request.send().await.ok(), "x-rule").as_deref(), Some(rule));
    }
}

#[tokio::test]
async fn of_equal_rules_that_of_the_oldest_route_wins() {
    let route = |name: &str, created: &str| {
        let route = http_route(name, "", &rules(&[(name, "path: {value: /x}")]));
        route.replace(
            "namespace: shop}",
            &format!("namespace: shop, creationTimestamp: '{created}'}}"),
        )
    };
    let young = route("aaa", "2025-02-01T00:00:00Z");
    let old = route("bbb", "2025-01-01T00:00:00Z");
    let local = Local::serve(&format!("{young}---\n{old}")).await;
    assert_eq!(header(&local.get("/x").await.ok(), "x-rule").as_deref(), Some("bbb"));
}
