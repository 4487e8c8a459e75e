//! Routes on listener sets (Gateway API: `ListenerSet`, `XListenerSet`).

use serde_json::json;

use crate::{
    common::{Generated, mooring},
    istiod::shop::{managed, said, service},
};

const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: istio
  allowedListeners: {namespaces: {from: All}}
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: a.example.com}]
---
";

/// A listener set with these listeners.
fn set(name: &str, listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: {name}}}\nspec:\n  parentRef: {{group: \
         gateway.networking.k8s.io, kind: Gateway, name: gw}}\n  listeners: [{listeners}]\n---\n"
    )
}

const B: &str = "{name: http, port: 80, protocol: HTTP, hostname: b.example.com}";

/// A route on this parent, with a named rule that splits and keeps clients where they are.
fn route(name: &str, parent: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{parent}]\n  rules:\n  \
         - name: default\n    backendRefs: [{{name: web, port: 80}}, {{name: web-canary, port: 80}}]\n---\napiVersion: \
         mooring.dev/v1alpha1\nkind: CanaryPolicy\nmetadata: {{name: {name}}}\nspec:\n  targetRef: {{group: gateway.networking.k8s.io, \
         kind: HTTPRoute, name: {name}}}\n  sticky: {{type: Cookie}}\n---\n"
    )
}

const ON_GATEWAY: &str = "{name: gw}";
const ON_SET: &str = "{group: gateway.networking.k8s.io, kind: ListenerSet, name: team}";

fn input(objects: &[&str]) -> String {
    let services = service("web") + &service("web-canary");
    [GATEWAY, &services]
        .into_iter()
        .chain(objects.iter().copied())
        .collect()
}

#[test]
fn routes_of_one_name_on_a_gateway_and_a_set_have_a_virtual_host_each() {
    let input = input(&[&set("team", B), &route("a", ON_GATEWAY), &route("b", ON_SET)]);
    let run = Generated::istio(&input);
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(managed(&run), ["a.example.com:80/default", "b.example.com:80/default"]);
    assert_eq!(run.virtual_hosts(), ["a.example.com:80", "b.example.com:80"]);
    assert_eq!(run.objects("WasmPlugin").len(), 1);
    // The session routes are on the listener set too.
    let parents: Vec<_> = run
        .objects("HTTPRoute")
        .iter()
        .map(|route| route["spec"]["parentRefs"][0]["kind"].clone())
        .collect();
    assert_eq!(parents, [json!(null), json!("ListenerSet")]);
    let validated = mooring().args(["validate", "-f", "-"]).stdin(&input).assert().success();
    let text = String::from_utf8_lossy(&validated.get_output().stdout).into_owned();
    assert!(text.contains("HTTPRoute/default/b/default  default/gw"), "{text}");
}

#[test]
fn the_set_of_an_earlier_gateway_api_counts_too() {
    let set = set(
        "team",
        "{name: http, protocol: HTTP, hostname: b.example.com}, {name: tls, port: 0, protocol: HTTPS, hostname: b.example.com}",
    );
    let set = set.replacen(
        "gateway.networking.k8s.io/v1\nkind: ListenerSet",
        "gateway.networking.x-k8s.io/v1alpha1\nkind: XListenerSet",
        1,
    );
    let parent = "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: team}";
    let run = Generated::istio(&input(&[&set, &route("b", parent)]));
    assert_eq!(managed(&run), ["b.example.com:443/default", "b.example.com:80/default"]);
}

#[test]
fn sections_and_allowed_routes_are_those_of_the_set() {
    let listeners = format!("{B}, {{name: other, port: 8080, protocol: HTTP}}");
    let section = ON_SET.replacen("name: team", "name: team, sectionName: other", 1);
    let run = Generated::istio(&input(&[&set("team", &listeners), &route("b", &section)]));
    assert_eq!(managed(&run), ["*:8080/default"]);
    // `Same` is the namespace of the set, not of the Gateway.
    let in_team = |text: String| text.replace("metadata: {name: ", "metadata: {namespace: team, name: ");
    let services = in_team(service("web") + &service("web-canary"));
    let set = in_team(set("team", B)).replacen(
        "kind: Gateway, name: gw",
        "kind: Gateway, name: gw, namespace: default",
        1,
    );
    let run = Generated::istio(&input(&[&services, &set, &in_team(route("b", ON_SET))]));
    assert_eq!(managed(&run), ["b.example.com:80/default"]);
    let (said, status) = said(&input(&[
        &set,
        &route("b", &ON_SET.replacen("name: team", "name: team, namespace: team", 1)),
    ]));
    assert!(
        said.contains(
            "ListenerSet team/team does not accept HTTPRoute default/b: the allowedRoutes of its listeners exclude it"
        ),
        "{said}"
    );
    assert_eq!(status, Some(3));
}

#[test]
fn a_gateway_says_which_sets_it_allows() {
    let with = |allowed: &str| {
        let allowed = format!("allowedListeners: {allowed}");
        input(&[&set("team", B), &route("b", ON_SET)]).replacen(
            "allowedListeners: {namespaces: {from: All}}",
            &allowed,
            1,
        )
    };
    for allowed in [
        "{namespaces: {from: Same}}",
        "{namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: default}}}}",
    ] {
        assert_eq!(
            managed(&Generated::istio(&with(allowed))),
            ["b.example.com:80/default"],
            "{allowed}"
        );
    }
    for allowed in [
        "{}",
        "{namespaces: {}}",
        "{namespaces: {from: None}}",
        "{namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: other}}}}",
    ] {
        let (said, status) = said(&with(allowed));
        assert!(
            said.contains("the allowedListeners of Gateway default/gw exclude the ListenerSet default/team"),
            "{allowed}: {said}"
        );
        assert_eq!(status, Some(3), "{allowed}");
    }
}

#[test]
fn of_two_listeners_for_one_host_the_first_counts() {
    let taken = set(
        "team",
        "{name: http, port: 80, protocol: HTTP, hostname: a.example.com}",
    );
    let (of_gateway, status) = said(&input(&[&taken, &route("b", ON_SET)]));
    assert!(
        of_gateway.contains(
            "ListenerSet default/team does not accept HTTPRoute default/b: it has no listener of this sectionName or port"
        ),
        "{of_gateway}"
    );
    assert_eq!(status, Some(3));
    let older = set("z-older", B).replacen(
        "name: z-older",
        "name: z-older, creationTimestamp: '2026-01-01T00:00:00Z'",
        1,
    );
    let newer = set("team", B).replacen("name: team", "name: team, creationTimestamp: '2026-01-02T00:00:00Z'", 1);
    let (of_older, _) = said(&input(&[&older, &newer, &route("b", ON_SET)]));
    assert!(
        of_older.contains("it has no listener of this sectionName or port"),
        "{of_older}"
    );
}

#[test]
fn what_leads_nowhere_is_named() {
    let (no_set, status) = said(&input(&[&route("b", ON_SET)]));
    assert!(
        no_set.contains("the ListenerSet default/team is not in the input"),
        "{no_set}"
    );
    assert_eq!(status, Some(3));
    let lost = set("team", B).replacen("name: gw}", "name: gone}", 1);
    let (no_gateway, status) = said(&input(&[&lost, &route("b", ON_SET)]));
    assert!(
        no_gateway.contains("the Gateway default/gone of the ListenerSet default/team is not in the input"),
        "{no_gateway}"
    );
    assert_eq!(status, Some(3));
    let other = set("team", B).replacen("kind: Gateway, name: gw}", "kind: Other, name: gw}", 1);
    let (other, status) = said(&input(&[&other, &route("b", ON_SET)]));
    assert!(other.contains("its parent is not a Gateway"), "{other}");
    assert_eq!(status, Some(0));
}

#[test]
fn a_local_envoy_listens_on_the_ports_of_a_set() {
    let set = set(
        "team",
        "{name: other, port: 8080, protocol: HTTP, hostname: b.example.com}",
    );
    let run = Generated::envoy(&input(&[&set, &route("b", ON_SET)]));
    let listeners = run.at("/static_resources/listeners").as_array().unwrap();
    let ports: Vec<_> = listeners
        .iter()
        .map(|listener| listener["address"]["socket_address"]["port_value"].clone())
        .collect();
    assert_eq!(ports, [json!(10080), json!(8080)]);
}
