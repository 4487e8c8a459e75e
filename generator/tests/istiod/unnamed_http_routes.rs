//! Http routes of a `VirtualService` without a name, as Flagger and Argo Rollouts write them. Their Envoy routes have no name.

use serde_json::{Value, json};

use crate::{
    common::{Generated, validation::validate},
    istiod::shop::{SESSIONS, SPLIT, inserted_before, managed, said, shop, sticky, virtual_service},
};

const HOST: &str = "web.example.com:80";

fn web(http: &str) -> String {
    virtual_service("web", "[web.example.com]", http)
}

/// The matches of the inserted session routes, without the key.
fn matches(run: &Generated) -> Vec<Value> {
    let patches = run.patches("HTTP_ROUTE").into_iter();
    patches
        .map(|patch| {
            let mut one = patch["patch"]["value"]["match"].clone();
            let headers = one["headers"].as_array_mut().unwrap();
            headers.retain(|header| header["name"] != "x-mooring-backend");
            one
        })
        .collect()
}

#[test]
fn the_only_http_route_needs_no_name() {
    for policy in [SESSIONS, &sticky("web")] {
        let run = Generated::istio(&shop(&[&web(&format!("  - {SPLIT}")), policy]));
        assert_eq!(run.findings, [""; 0]);
        assert_eq!(managed(&run), [format!("{HOST}/")]);
        assert_eq!(run.rule(0)["id"], "VirtualService/default/web#0");
        let patches = run.patches("HTTP_ROUTE");
        assert_eq!(patches.len(), 2);
        for patch in patches {
            let before = json!({ "name": HOST, "route": { "action": "ROUTE" } });
            assert_eq!(patch["match"]["routeConfiguration"]["vhost"], before);
        }
    }
}

#[test]
fn a_policy_for_the_whole_route_applies_to_it() {
    let input = shop(&[&web(&format!("  - {SPLIT}")), &sticky("web")]);
    let run = validate(&["-o", "json"], &input);
    let validated: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let target = &validated["policies"][0]["targets"][0];
    assert_eq!(target["condition"], "Accepted", "{target}");
    assert_eq!(target["rules"][0]["id"], "VirtualService/default/web#0", "{target}");
}

#[test]
fn session_routes_match_what_the_http_route_matches() {
    let match_all = format!("  - {SPLIT}");
    let run = Generated::istio(&shop(&[&web(&match_all), SESSIONS]));
    assert_eq!(matches(&run), vec![json!({ "prefix": "/", "headers": [] }); 2]);

    let two = "match: [{uri: {prefix: /a}}, {uri: {exact: /b}, headers: {x-user: {exact: bee}}}]";
    let run = Generated::istio(&shop(&[&web(&format!("  - {two}\n    {SPLIT}")), SESSIONS]));
    let a = json!({ "prefix": "/a", "headers": [] });
    let b = json!({ "path": "/b", "headers": [{ "name": "x-user", "string_match": { "exact": "bee" } }] });
    assert_eq!(matches(&run), [a.clone(), b.clone(), a, b]);
}

#[test]
fn neither_named_routes_nor_redirects_change_the_identity() {
    let redirect = "  - match: [{uri: {exact: /old}}]\n    redirect: {uri: /new}\n";
    let named = "  - name: set-header\n    match: [{headers: {x-canary: {exact: a}}}]\n    route: [{destination: {host: \
                 web-canary}}]\n";
    for before in [redirect, named, &format!("{named}{redirect}")] {
        let run = Generated::istio(&shop(&[&web(&format!("{before}  - {SPLIT}")), &sticky("web")]));
        let rules = run.first("WasmPlugin")["spec"]["pluginConfig"]["rules"].clone();
        let unnamed = rules.as_array().unwrap().iter().find(|rule| rule["route"] == "");
        assert_eq!(unnamed.unwrap()["id"], "VirtualService/default/web#0", "{before}");
    }
}

#[test]
fn two_without_names_are_refused_and_the_named_one_stays() {
    let two = format!("  - match: [{{uri: {{prefix: /a}}}}]\n    {SPLIT}\n  - {SPLIT}");
    for policy in [SESSIONS, &sticky("web")] {
        let (said, status) = said(&shop(&[&web(&two), policy]));
        for (one, other) in [(0, 1), (1, 0)] {
            let message = format!(
                "error[Invalid]: VirtualService default/web, http route {one}: neither it nor http route {other} has a name, so \
                 Envoy cannot tell them apart"
            );
            assert!(said.contains(&message), "{said}");
        }
        assert_eq!(status, Some(3));
    }
    let named = format!("{two}\n");
    let three = web(&format!(
        "  - name: beta\n    match: [{{uri: {{prefix: /beta}}}}]\n    {SPLIT}\n{named}"
    ));
    let run = Generated::istio(&shop(&[&three, &sticky("web")]));
    assert_eq!(managed(&run), [format!("{HOST}/beta")]);
    let [one, other] = run.findings.as_slice() else {
        panic!("{:?}", run.findings)
    };
    assert!(
        one.starts_with("warning[NoEffect]: VirtualService default/web, http route 1: neither "),
        "{one}"
    );
    assert!(
        other.starts_with("warning[NoEffect]: VirtualService default/web, http route 2: neither "),
        "{other}"
    );
    // A session policy is meant for each of them, also beside a canary policy for the whole route.
    let version = sticky("web").replacen("sticky: {type: Cookie}", "versionLabel: version", 1);
    for policies in [SESSIONS.to_owned(), [SESSIONS, &version].concat()] {
        let (said, status) = said(&shop(&[&three, &policies]));
        assert!(
            said.contains("error[Invalid]: VirtualService default/web, http route 1: neither "),
            "{said}"
        );
        assert_eq!(status, Some(3));
    }
}

#[test]
fn one_without_a_name_that_keeps_no_sessions_is_in_the_way_too() {
    let other = "  - match: [{uri: {prefix: /a}}]\n    route: [{destination: {host: other}}]";
    let other_service = crate::istiod::shop::service("other");
    let (said, status) = said(&shop(&[
        &other_service,
        &web(&format!("{other}\n  - {SPLIT}")),
        SESSIONS,
    ]));
    assert!(
        said.contains("http route 1: neither it nor http route 0 has a name"),
        "{said}"
    );
    assert!(!said.contains("http route 0: neither"), "{said}");
    assert_eq!(status, Some(3));
}

#[test]
fn names_of_matches_tell_http_routes_apart() {
    let a = format!("  - match: [{{name: a, uri: {{prefix: /a}}}}]\n    {SPLIT}");
    let run = Generated::istio(&shop(&[&web(&format!("{a}\n  - {SPLIT}")), SESSIONS]));
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(managed(&run), [format!("{HOST}/"), format!("{HOST}/.a")]);
    assert_eq!(inserted_before(&run), managed(&run));
}

#[test]
fn those_of_several_virtual_services_are_told_apart() {
    let other = virtual_service(
        "cart",
        "[web.example.com]",
        &format!("  - match: [{{uri: {{prefix: /cart}}}}]\n    {SPLIT}"),
    );
    let run = Generated::istio(&shop(&[&web(&format!("  - {SPLIT}")), &other, SESSIONS]));
    assert_eq!(managed(&run), [format!("{HOST}/"), format!("{HOST}/")]);
    assert_eq!(run.rule(0)["id"], "VirtualService/default/cart#0");
    assert_eq!(run.rule(1)["id"], "VirtualService/default/web#0");
}

#[test]
fn those_for_different_proxies_do_not_meet() {
    let http = format!("  - match: [{{gateways: [mesh]}}]\n    {SPLIT}\n  - {SPLIT}");
    let both = web(&http).replacen("[gw]\n", "[mesh, gw]\n", 1);
    let run = Generated::istio(&shop(&[&both, SESSIONS]));
    assert_eq!(managed(&run), [format!("{HOST}/")]);
    assert_eq!(run.rule(0)["id"], "VirtualService/default/web#1");
}
