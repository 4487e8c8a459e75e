//! Which `DestinationRule` counts for a host (istiod: `PushContext.destinationRule`).

use crate::{
    common::Generated,
    istiod::shop::{in_namespace, managed, said, shop, sticky, virtual_service},
};

/// A gateway in `istio-ingress`, a `VirtualService` with two subsets of `web`, and these rules.
fn with(rules: &[&str]) -> String {
    let http = "  - name: a\n    route: [{destination: {host: web, subset: v1}, weight: 50}, {destination: {host: web, subset: v2}, weight: \
                50}]";
    let virtual_service = virtual_service("web", "[web.example.com]", http).replacen("[gw]", "[istio-ingress/gw]", 1);
    let rules = rules.join("---\n");
    in_namespace(&shop(&[&virtual_service, &sticky("web"), &rules]), "istio-ingress")
}

/// A rule with these subsets that hashes by a header of its own name.
fn rule(namespace: &str, name: &str, host: &str, subsets: &[&str], more: &str) -> String {
    let subsets: Vec<String> = subsets.iter().map(|name| format!("{{name: {name}}}")).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  host: \
         '{host}'\n  trafficPolicy: {{loadBalancer: {{consistentHash: {{httpHeaderName: x-{name}}}}}}}\n  subsets: [{}]\n{more}",
        subsets.join(", ")
    )
}

/// The header by which the inserted routes hash, all alike.
fn hashes_by(run: &Generated) -> Option<String> {
    let mut headers = run.patches("HTTP_ROUTE").into_iter().map(|patch| {
        let header = patch.pointer("/patch/value/route/hash_policy/0/header/header_name")?;
        header.as_str().map(str::to_owned)
    });
    let first = headers.next().unwrap();
    assert!(headers.all(|other| other == first));
    first
}

const BOTH: [&str; 2] = ["v1", "v2"];
const HOST: &str = "web.default.svc.cluster.local";

#[test]
fn the_most_specific_host_of_a_namespace_counts() {
    for (wildcard, narrower) in [
        ("*", "*.local"),
        ("*.local", "*.default.svc.cluster.local"),
        ("*.default.svc.cluster.local", "web"),
        ("*", HOST),
    ] {
        let alone = Generated::istio(&with(&[&rule("default", "wide", wildcard, &BOTH, "")]));
        assert_eq!(hashes_by(&alone).as_deref(), Some("x-wide"), "{wildcard}");
        assert_eq!(managed(&alone), ["web.example.com:80/a"]);
        for order in [["wide", "tight"], ["tight", "wide"]] {
            let rules = order.map(|name| match name {
                "wide" => rule("default", "wide", wildcard, &BOTH, ""),
                _ => rule("default", "tight", narrower, &BOTH, ""),
            });
            let run = Generated::istio(&with(&[&rules[0], &rules[1]]));
            assert_eq!(hashes_by(&run).as_deref(), Some("x-tight"), "{wildcard} {narrower}");
        }
    }
    // A wildcard of another domain covers nothing, and a less specific rule gives no subsets.
    for rules in [
        vec![rule("default", "other", "*.other.svc.cluster.local", &BOTH, "")],
        vec![
            rule("default", "wide", "*", &BOTH, ""),
            rule("default", "tight", HOST, &["v1"], ""),
        ],
    ] {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let (said, status) = said(&with(&rules));
        assert!(
            said.contains("the host `web.default.svc.cluster.local` has no subset `v2`"),
            "{said}"
        );
        assert_eq!(status, Some(3));
    }
}

#[test]
fn rules_for_one_host_in_one_namespace_are_merged_the_oldest_first() {
    let old = rule("default", "z", HOST, &["v1"], "").replacen(
        "name: z,",
        "name: z, creationTimestamp: '2026-01-01T00:00:00Z',",
        1,
    );
    let new = rule("default", "b", "web", &["v2"], "").replacen(
        "name: b,",
        "name: b, creationTimestamp: '2026-01-02T00:00:00Z',",
        1,
    );
    let run = Generated::istio(&with(&[&new, &old]));
    assert_eq!(managed(&run), ["web.example.com:80/a"]);
    assert_eq!(hashes_by(&run).as_deref(), Some("x-z"));
}

#[test]
fn the_namespaces_of_the_gateway_the_service_and_the_mesh_count_in_this_order() {
    let gateway = rule("istio-ingress", "gateway", "*.svc.cluster.local", &BOTH, "");
    let service = rule("default", "service", HOST, &BOTH, "");
    let root = rule("istio-system", "root", HOST, &BOTH, "");
    let other = rule("team", "other", HOST, &BOTH, "");
    for (rules, header) in [
        (vec![&other, &root, &service, &gateway], "x-gateway"),
        (vec![&other, &root, &service], "x-service"),
        (vec![&other, &root], "x-root"),
    ] {
        let rules: Vec<&str> = rules.into_iter().map(String::as_str).collect();
        assert_eq!(hashes_by(&Generated::istio(&with(&rules))).as_deref(), Some(header));
    }
    let (said, status) = said(&with(&[&other]));
    assert!(
        said.contains("no DestinationRule for it applies to the gateway"),
        "{said}"
    );
    assert!(
        said.contains("the namespace default or istio-system must export it there"),
        "{said}"
    );
    assert_eq!(status, Some(3));
}

#[test]
fn a_rule_counts_where_it_is_exported_to() {
    let exported =
        |namespace: &str, list: &str| rule(namespace, "hidden", HOST, &BOTH, &format!("  exportTo: {list}\n"));
    let root = rule("istio-system", "root", HOST, &BOTH, "");
    for (hidden, seen) in [
        (exported("default", "['.']"), false),
        (exported("default", "[other]"), false),
        (exported("default", "[istio-ingress]"), true),
        (exported("default", "['*']"), true),
        (exported("istio-ingress", "['.']"), true),
        (exported("istio-ingress", "[other]"), false),
    ] {
        let run = Generated::istio(&with(&[&hidden, &root]));
        let expected = if seen { "x-hidden" } else { "x-root" };
        assert_eq!(hashes_by(&run).as_deref(), Some(expected), "{hidden}");
    }
}

#[test]
fn a_rule_for_some_pods_counts_for_these() {
    let all = rule("istio-ingress", "all", HOST, &BOTH, "");
    let of = |labels: &str| {
        rule(
            "istio-ingress",
            "some",
            HOST,
            &BOTH,
            &format!("  workloadSelector: {{matchLabels: {labels}}}\n"),
        )
    };
    for (labels, header) in [
        ("{istio: ingressgateway}", "x-some"),
        ("{istio: egressgateway}", "x-all"),
        ("{app: a}", "x-all"),
    ] {
        let run = Generated::istio(&with(&[&all, &of(labels)]));
        assert_eq!(hashes_by(&run).as_deref(), Some(header), "{labels}");
    }
}
