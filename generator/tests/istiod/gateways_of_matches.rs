//! Matches that are for the sidecars, another gateway, other pods or another port (istiod: `sourceMatchHTTP`).

use crate::{
    common::Generated,
    istiod::shop::{GATEWAY, SESSIONS, SPLIT, inserted_before, managed, shop, sticky, virtual_service},
};

/// A `VirtualService` for the sidecars and the gateway, with this route before the one that is public.
fn with_first(first: &str) -> String {
    let http = format!("  - {first}\n    {SPLIT}\n  - name: public\n    match: [{{gateways: [gw]}}]\n    {SPLIT}");
    let virtual_service = virtual_service("web", "[web.example.com]", &http);
    shop(&[&virtual_service.replacen("[gw]\n", "[mesh, gw]\n", 1), SESSIONS])
}

#[test]
fn a_route_that_is_elsewhere_needs_no_name() {
    for first in [
        "match: [{gateways: [mesh]}]",
        "match: [{gateways: [mesh], uri: {prefix: /a}}, {gateways: [other/gw]}]",
        "match: [{sourceNamespace: shop}]",
        "match: [{sourceLabels: {istio: egressgateway}}]",
        "match: [{port: 8080}]",
    ] {
        let run = Generated::istio(&with_first(first));
        assert_eq!(run.findings, [""; 0], "{first}");
        assert_eq!(managed(&run), ["web.example.com:80/public"], "{first}");
        assert_eq!(inserted_before(&run), ["web.example.com:80/public"], "{first}");
    }
}

#[test]
fn a_route_that_is_elsewhere_may_have_the_name_of_one_that_is_here() {
    for scope in ["gateways: [mesh]", "sourceNamespace: shop", "port: 8080"] {
        let run = Generated::istio(&with_first(&format!("name: public\n    match: [{{{scope}}}]")));
        assert_eq!(run.findings, [""; 0], "{scope}");
        assert_eq!(managed(&run), ["web.example.com:80/public"], "{scope}");
    }
}

#[test]
fn a_route_that_is_here_is_found_without_a_name() {
    for first in [
        "match: [{gateways: [mesh, gw]}]",
        "match: [{gateways: [mesh]}, {uri: {prefix: /a}}]",
        "match: [{sourceNamespace: default}]",
        // Where gateways are named, nothing else counts.
        "match: [{gateways: [./gw], sourceNamespace: shop, sourceLabels: {istio: egressgateway}}]",
        "match: [{sourceLabels: {istio: ingressgateway}}]",
        "match: [{port: 80}]",
    ] {
        let run = Generated::istio(&with_first(first));
        assert_eq!(run.findings, [""; 0], "{first}");
        let routes = ["web.example.com:80/", "web.example.com:80/public"];
        assert_eq!(managed(&run), routes, "{first}");
        assert_eq!(inserted_before(&run), routes, "{first}");
    }
}

#[test]
fn only_the_matches_that_are_here_give_names() {
    let first = "name: first\n    match: [{name: mesh, gateways: [mesh]}, {name: late, port: 8080}, {name: here, uri: {prefix: /a}}]";
    let run = Generated::istio(&with_first(first));
    assert_eq!(
        managed(&run),
        ["web.example.com:80/first.here", "web.example.com:80/public"]
    );
    assert_eq!(
        inserted_before(&run),
        ["web.example.com:80/first.here", "web.example.com:80/public"]
    );
}

#[test]
fn a_match_for_one_port_is_there_on_that_port() {
    let input = with_first("name: first\n    match: [{name: a, port: 80}, {name: b, port: 8080}]");
    let both = "servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}, {port: {number: 8080, name: b, protocol: \
                HTTP}, hosts: [\"*\"]}]";
    let one = "servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]";
    assert!(GATEWAY.contains(one));
    let run = Generated::istio(&input.replacen(one, both, 1));
    assert_eq!(
        managed(&run),
        [
            "web.example.com:80/first.a",
            "web.example.com:80/public",
            "web.example.com:8080/first.b",
            "web.example.com:8080/public"
        ]
    );
    assert_eq!(managed(&run), inserted_before(&run));
}

#[test]
fn two_gateways_of_the_same_pods_have_their_routes_in_one_virtual_host() {
    let second = GATEWAY.replacen("{name: gw}", "{name: gw2}", 1);
    let http =
        format!("  - name: a\n    match: [{{gateways: [gw]}}, {{gateways: [gw2], uri: {{prefix: /a}}}}]\n    {SPLIT}");
    let virtual_service = virtual_service("web", "[web.example.com]", &http);
    let virtual_service = virtual_service.replacen("[gw]\n", "[gw, gw2]\n", 1);
    let run = Generated::istio(&shop(&[&second, &virtual_service, &sticky("web")]));
    assert_eq!(managed(&run), ["web.example.com:80/a"]);
}

#[test]
fn a_route_counts_where_it_is_not_known_whether_the_labels_of_pods_match() {
    let there = |name: &str| {
        [
            format!("web.example.com:80/{name}"),
            "web.example.com:80/public".to_owned(),
        ]
    };
    let match_labels = "match: [{sourceLabels: {app: frontend}}]";
    let input = with_first(match_labels);
    let named = with_first(&format!("name: first\n    {match_labels}"));
    for (input, name) in [(&input, ""), (&named, "first")] {
        let run = Generated::istio(input);
        assert_eq!(run.findings, [""; 0]);
        assert_eq!(managed(&run), there(name));
    }
    let pod = |app: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: gw-1, labels: {{istio: ingressgateway, app: {app}}}}}\n---\n"
        )
    };
    let with_pod = Generated::istio(&(pod("gateway") + &input));
    assert_eq!(managed(&with_pod), ["web.example.com:80/public"]);
    assert_eq!(managed(&Generated::istio(&(pod("frontend") + &input))), there(""));
}

#[test]
fn a_canary_policy_asks_no_name_of_a_route_of_the_mesh() {
    let input = with_first("match: [{gateways: [mesh]}]").replacen(SESSIONS, &sticky("web"), 1);
    let run = Generated::istio(&input);
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(managed(&run), ["web.example.com:80/public"]);
}

#[test]
fn a_local_envoy_has_only_what_is_for_the_gateway() {
    let run = Generated::envoy(&with_first("match: [{gateways: [mesh]}]"));
    let routes = run
        .at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes");
    let names: Vec<_> = routes.as_array().unwrap().iter().map(|route| &route["name"]).collect();
    assert!(
        names.contains(&&"public".into()) && !names.contains(&&"".into()),
        "{names:?}"
    );
}
