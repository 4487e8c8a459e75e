//! `VirtualService`s that delegate routes to others (istiod: `mergeVirtualServices`, `mergeHTTPRoute`).

use serde_json::json;

use crate::{
    common::{Generated, mooring},
    istiod::shop::{SESSIONS, SPLIT, inserted_before, managed, said, shop, sticky, virtual_service},
};

/// A `VirtualService` without hosts, with these http routes.
fn delegate(name: &str, http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  http:\n{http}\n---\n"
    )
}

/// A root with these http routes.
fn root(http: &str) -> String {
    virtual_service("root", "[shop.example.com]", http)
}

const SHOP: &str = "  - name: shop\n    match: [{uri: {prefix: /shop}}]\n    delegate: {name: shop}";

fn cart() -> String {
    delegate(
        "shop",
        &format!("  - name: cart\n    match: [{{uri: {{prefix: /shop/cart}}}}]\n    {SPLIT}"),
    )
}

fn validated(input: &str) -> String {
    let run = mooring().args(["validate", "-f", "-"]).stdin(input).assert().success();
    String::from_utf8_lossy(&run.get_output().stdout).into_owned()
}

#[test]
fn a_policy_of_the_delegate_of_the_root_and_of_a_service_takes_effect() {
    for (policy, row) in [
        (
            sticky("shop"),
            "CanaryPolicy default/shop  VirtualService default/shop  Accepted   VirtualService/default/root/shop-cart",
        ),
        (
            sticky("root"),
            "CanaryPolicy default/root  VirtualService default/root  Accepted   VirtualService/default/root/shop-cart",
        ),
        (
            SESSIONS.to_owned(),
            "XBackendTrafficPolicy default/sessions  Service default/web         Accepted   VirtualService/default/root/shop-cart",
        ),
    ] {
        let input = shop(&[&root(SHOP), &cart(), &policy]);
        let run = Generated::istio(&input);
        assert_eq!(run.findings, [""; 0]);
        assert_eq!(managed(&run), ["shop.example.com:80/shop-cart"]);
        assert_eq!(inserted_before(&run), ["shop.example.com:80/shop-cart"]);
        assert_eq!(run.rule(0)["id"], "VirtualService/default/root/shop-cart");
        let names: Vec<_> = run
            .patches("HTTP_ROUTE")
            .iter()
            .map(|patch| patch["patch"]["value"]["name"].clone())
            .collect();
        assert_eq!(
            names,
            [
                "VirtualService/default/root/shop-cart/web.default:80",
                "VirtualService/default/root/shop-cart/web-canary.default:80"
            ]
        );
        let text = validated(&input);
        assert!(text.contains(row), "{text}");
        assert!(
            text.contains("VirtualService/default/root/shop-cart  default/gw"),
            "{text}"
        );
    }
}

#[test]
fn names_are_joined_as_far_as_there_are_any() {
    for (of_root, of_delegate, merged) in [
        ("name: shop, ", "name: cart, ", "shop-cart"),
        ("name: shop, ", "", "shop"),
        ("", "name: cart, ", "cart"),
        ("", "", ""),
    ] {
        let root = root(&format!("  - {{{of_root}delegate: {{name: shop}}}}"));
        let delegate = delegate("shop", &format!("  - {{{of_delegate}{SPLIT}}}"));
        let input = shop(&[&root, &delegate, SESSIONS]);
        let route = format!("shop.example.com:80/{merged}");
        assert_eq!(managed(&Generated::istio(&input)), [route]);
    }
}

#[test]
fn two_routes_of_a_delegate_need_two_names() {
    let http = format!("  - match: [{{uri: {{exact: /a}}}}]\n    {SPLIT}\n  - {SPLIT}");
    let (said, status) = said(&shop(&[
        &root("  - name: shop\n    delegate: {name: shop}"),
        &delegate("shop", &http),
        SESSIONS,
    ]));
    assert!(
        said.contains("error[Duplicate]: two rules of VirtualService default/root have the name `shop`"),
        "{said}"
    );
    assert_eq!(status, Some(3));
}

#[test]
fn names_of_matches_are_joined_too() {
    let root = root(
        "  - name: shop\n    match: [{name: r, uri: {prefix: /}}, {uri: {prefix: /b}}]\n    delegate: {name: shop}",
    );
    let delegate = delegate(
        "shop",
        &format!("  - name: cart\n    match: [{{name: d, uri: {{prefix: /b/c}}}}]\n    {SPLIT}"),
    );
    let run = Generated::istio(&shop(&[&root, &delegate, SESSIONS]));
    assert_eq!(
        managed(&run),
        ["shop.example.com:80/shop-cart.d", "shop.example.com:80/shop-cart.r-d"]
    );
    assert_eq!(inserted_before(&run), ["shop.example.com:80/shop-cart.r-d"]);
}

/// What is said of a delegate with this match below a root with that one.
fn merges(of_root: &str, of_delegate: &str) -> bool {
    let root = root(&format!(
        "  - name: shop\n    match: [{of_root}]\n    delegate: {{name: shop}}"
    ));
    let delegate = delegate(
        "shop",
        &format!("  - name: cart\n    match: [{of_delegate}]\n    {SPLIT}"),
    );
    let run = Generated::istio(&shop(&[
        &root,
        &delegate,
        SESSIONS,
        &virtual_service("o", "[o.example.com]", &format!("  - name: o\n    {SPLIT}")),
    ]));
    let there = managed(&run).iter().any(|route| route.starts_with("shop.example.com"));
    let said = run
        .findings
        .iter()
        .any(|finding| finding.contains("has a match that is not narrower than those of the route in"));
    assert_ne!(there, said, "{:?}", run.findings);
    there
}

#[test]
fn a_route_that_is_not_narrower_is_left_out_as_istiod_does() {
    for (root, delegate) in [
        ("{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}"),
        ("{uri: {prefix: /a}}", "{uri: {exact: /a}}"),
        ("{uri: {exact: /a}}", "{uri: {exact: /a}}"),
        ("{uri: {regex: a.*}}", "{headers: {x: {exact: a}}}"),
        ("{uri: {prefix: /b}}, {uri: {prefix: /a}}", "{uri: {prefix: /a/b}}"),
        (
            "{headers: {x: {prefix: a}}}",
            "{headers: {x: {exact: ab}, z: {exact: b}}}",
        ),
        ("{port: 80}", "{uri: {prefix: /a}}"),
        ("{gateways: [gw, mesh]}", "{gateways: [default/gw]}"),
        ("{sourceLabels: {istio: ingressgateway}}", "{uri: {prefix: /a}}"),
        ("{scheme: {exact: http}}", "{authority: {exact: a}}"),
    ] {
        assert!(merges(root, delegate), "{root} {delegate}");
    }
    for (root, delegate) in [
        ("{uri: {prefix: /a/b}}", "{uri: {prefix: /a}}"),
        ("{uri: {exact: /a}}", "{uri: {prefix: /a}}"),
        ("{uri: {exact: /a}}", "{uri: {exact: /b}}"),
        ("{uri: {prefix: /a}}", "{uri: {regex: /a}}"),
        ("{uri: {regex: /a}}", "{uri: {exact: /a}}"),
        ("{headers: {x: {exact: a}}}", "{headers: {x: {}}}"),
        ("{withoutHeaders: {x: {exact: a}}}", "{withoutHeaders: {x: {exact: b}}}"),
        ("{queryParams: {x: {exact: a}}}", "{queryParams: {x: {exact: b}}}"),
        ("{method: {exact: GET}}", "{method: {exact: PUT}}"),
        ("{port: 80}", "{port: 8080}"),
        ("{ignoreUriCase: true, uri: {prefix: /a}}", "{uri: {prefix: /a}}"),
        ("{sourceNamespace: default}", "{uri: {prefix: /a}}"),
        ("{gateways: [gw]}", "{gateways: [gw, mesh]}"),
    ] {
        assert!(!merges(root, delegate), "{root} {delegate}");
    }
}

#[test]
fn what_the_delegate_does_not_say_comes_from_the_root() {
    let root = root(
        "  - name: shop\n    match: [{uri: {prefix: /shop}, headers: {x: {exact: a}}}, {uri: {prefix: /store}}]\n    timeout: 3s\n    rewrite: \
         {uri: /}\n    retries: {attempts: 7}\n    mirror: {host: web}\n    delegate: {name: shop, namespace: team}",
    );
    let http = "  - name: cart\n    timeout: 1s\n    route: [{destination: {host: web}, weight: 1}, {destination: {host: web-canary}, weight: 1}]";
    let delegate = delegate("shop", http).replacen("{name: shop}", "{name: shop, namespace: team}", 1);
    let in_team = |service: &str| {
        super::shop::service(service).replacen(
            &format!("{{name: {service},"),
            &format!("{{name: {service}, namespace: team,"),
            1,
        )
    };
    let policy = sticky("shop").replacen("{name: shop}", "{name: shop, namespace: team}", 1);
    let run = Generated::istio(&shop(&[
        &root,
        &delegate,
        &in_team("web"),
        &in_team("web-canary"),
        &policy,
    ]));
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(managed(&run), ["shop.example.com:80/shop-cart"]);
    let routes = run.patches("HTTP_ROUTE");
    // With a rewrite, each way to match the path has a route of its own.
    assert_eq!(routes.len(), 4);
    let first = &routes[0]["patch"]["value"];
    assert_eq!(first["match"]["prefix"], "/shop");
    assert_eq!(first["match"]["headers"][0]["name"], "x");
    assert_eq!(routes[1]["patch"]["value"]["match"]["prefix"], "/store");
    let action = &first["route"];
    assert_eq!(action["cluster"], "outbound|80||web.team.svc.cluster.local");
    assert_eq!(action["timeout"], "1s");
    assert_eq!(action["prefix_rewrite"], "/");
    assert_eq!(action["retry_policy"]["num_retries"], 7);
    // The mirror is one of the root's namespace.
    assert_eq!(
        action["request_mirror_policies"][0]["cluster"],
        "outbound|80||web.default.svc.cluster.local"
    );
}

#[test]
fn delegates_that_istiod_does_not_take_are_named() {
    let found = |objects: &[&str]| {
        let other = virtual_service("o", "[o.example.com]", &format!("  - name: o\n    {SPLIT}"));
        let run = Generated::istio(&shop(&[objects, &[SESSIONS, &other]].concat()));
        assert_eq!(managed(&run), ["o.example.com:80/o"]);
        run.findings
    };
    let missing = found(&[&root(SHOP)]);
    assert_eq!(
        missing,
        [
            "warning[NoEffect]: VirtualService default/root delegates to the VirtualService default/shop, which is not in the input: Istio \
          leaves this http route out"
        ]
    );
    let hidden = cart().replacen("spec:\n", "spec:\n  exportTo: [other]\n", 1);
    assert!(
        found(&[&root(SHOP), &hidden])[0].contains("which is not exported to the namespace default"),
        "{hidden}"
    );
    let with_hosts = cart().replacen("spec:\n", "spec:\n  hosts: [a.example.com]\n", 1);
    assert!(found(&[&root(SHOP), &with_hosts])[0].contains("which has hosts and so is no delegate"));
    let nested = delegate("shop", "  - name: cart\n    delegate: {name: other}");
    let findings = found(&[&root(SHOP), &nested]);
    assert!(
        findings[0].contains("a delegate cannot delegate to another VirtualService, here `other`"),
        "{findings:?}"
    );
    let unused = found(&[&cart()]);
    assert!(
        unused[0].contains("no VirtualService of the input delegates to it"),
        "{unused:?}"
    );
}

#[test]
fn one_delegate_may_serve_two_roots() {
    let second = virtual_service(
        "second",
        "[store.example.com]",
        "  - name: store\n    delegate: {name: shop}",
    );
    let input = shop(&[&root(SHOP), &second, &cart(), &sticky("shop")]);
    let run = Generated::istio(&input);
    assert_eq!(
        managed(&run),
        ["shop.example.com:80/shop-cart", "store.example.com:80/store-cart"]
    );
    let text = validated(&input);
    assert!(
        text.contains("VirtualService/default/second/store-cart  default/gw"),
        "{text}"
    );
}

#[test]
fn sections_are_the_names_that_are_written() {
    let section = |object: &str, name: &str| {
        let target = format!("name: {object}}}\n  sticky");
        sticky(object).replacen(&target, &format!("name: {object}, sectionName: {name}}}\n  sticky"), 1)
    };
    let other = format!("{SHOP}\n  - name: rest\n    {SPLIT}");
    for policy in [section("shop", "cart"), section("root", "shop")] {
        let run = Generated::istio(&shop(&[&root(&other), &cart(), &policy]));
        assert_eq!(managed(&run), ["shop.example.com:80/shop-cart"]);
    }
    let (said, status) = said(&shop(&[&root(SHOP), &cart(), &section("root", "shop-cart")]));
    assert!(said.contains("has no rule with the name `shop-cart`"), "{said}");
    assert_eq!(status, Some(3));
}

#[test]
fn a_policy_for_the_delegate_beats_one_for_the_root() {
    let of_root = sticky("root").replacen("{type: Cookie}", "{cookie: {name: of-root}}", 1);
    let of_delegate = sticky("shop").replacen("{type: Cookie}", "{cookie: {name: of-delegate}}", 1);
    let other = format!("{SHOP}\n  - name: rest\n    {SPLIT}");
    let input = shop(&[&root(&other), &cart(), &of_root, &of_delegate]);
    let run = Generated::istio(&input);
    assert_eq!(run.session(0)["name"], "of-delegate");
    assert_eq!(run.session(1)["name"], "of-root");
    let [finding] = run.findings.as_slice() else {
        panic!("{:?}", run.findings);
    };
    assert!(
        finding.contains("a policy for a delegate is more specific"),
        "{finding}"
    );
    let text = validated(&input);
    assert!(text.contains("Overridden"), "{text}");
}

#[test]
fn a_local_envoy_has_the_merged_routes() {
    let root = root("  - name: shop\n    match: [{headers: {x: {exact: a}}}]\n    delegate: {name: shop}");
    let run = Generated::envoy(&shop(&[&root, &cart(), &sticky("shop")]));
    let routes = run
        .at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes");
    let user = routes
        .as_array()
        .unwrap()
        .iter()
        .find(|route| route["name"] == "shop-cart")
        .unwrap();
    assert_eq!(
        user["match"],
        json!({ "prefix": "/shop/cart", "headers": [{ "name": "x", "string_match": { "exact": "a" } }] })
    );
}

#[test]
fn a_finding_stands_where_the_delegate_is_written() {
    let delegate = cart().replacen("host: web-canary", "host: web-canari", 1);
    let (said, status) = said(&shop(&[&root(SHOP), &delegate, SESSIONS]));
    assert!(
        said.contains(
            "no Service and no ServiceEntry of the input has the host `web-canari.default.svc.cluster.local`"
        ),
        "{said}"
    );
    assert!(said.contains("destination: {host: web-canari}"), "{said}");
    assert_eq!(status, Some(3));
}
