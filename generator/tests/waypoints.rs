//! Sessions on waypoints: routes whose parent is a Service that uses a waypoint.

use crate::common::{self, Generated, ids, mooring, said, texts};
use serde_json::{Value, json};

/// A waypoint, `reviews` with two versions, and a route with a session. Tests change a line of it.
const MESH: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: bookinfo}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/use-waypoint: wp}}
spec: {ports: [{name: http, port: 9080}, {name: admin, port: 9081}, {name: tcp-debug, port: 9082}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v2, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: bookinfo}
spec:
  parentRefs: [{group: '', kind: Service, name: reviews, port: 9080}]
  rules:
  - name: main
    sessionPersistence: {sessionName: reviews-session}
    backendRefs:
    - {name: reviews-v1, port: 9080}
    - {name: reviews-v2, port: 9080}
";

/// A `CanaryPolicy` that binds sessions to backends only. The rule of the route has no session then.
const STICKY: &str = "---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: reviews, namespace: bookinfo}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews}
  sticky: {type: Header, header: {name: x-reviews}}
";

const LABELS: &str = "labels: {istio.io/use-waypoint: wp}";

/// The mesh with one text in place of another, which must be there.
fn mesh_with(old: &str, new: &str) -> String {
    assert!(MESH.contains(old), "the mesh has no {old:?}");
    MESH.replacen(old, new, 1)
}

fn sticky() -> String {
    mesh_with("    sessionPersistence: {sessionName: reviews-session}\n", "") + STICKY
}

fn namespace(name: &str, labels: &str) -> String {
    format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")
}

/// What a run says, and its exit status.
fn findings(input: &str) -> (Option<i32>, String) {
    common::findings(&[], input)
}

#[test]
fn a_service_with_a_waypoint_gets_a_plugin_and_its_filter_chain_the_filters() {
    let made = Generated::istio(MESH);
    assert_eq!(made.findings, [""; 0]);
    assert_eq!(
        ids(&made.objects("WasmPlugin")),
        ["bookinfo/mooring-wp-reviews-9147dc1d"]
    );
    assert_eq!(
        ids(&made.objects("EnvoyFilter")),
        ["bookinfo/mooring-wp-reviews-9147dc1d-http"]
    );
    let plugin = &made.first("WasmPlugin")["spec"];
    assert_eq!(
        plugin["targetRefs"],
        json!([{ "group": "", "kind": "Service", "name": "reviews" }])
    );
    assert_eq!((plugin.get("selector"), plugin.get("match")), (None, None));
    assert_eq!(made.rule(0)["virtualHosts"], json!(["inbound|http|9080"]));
    let filter = &made.first("EnvoyFilter")["spec"];
    assert_eq!(
        filter["targetRefs"],
        json!([{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "wp" }])
    );
    let patches: Vec<&Value> = filter["configPatches"].as_array().unwrap().iter().collect();
    assert_eq!(texts(&patches, "/match/context"), ["SIDECAR_INBOUND"; 4]);
    assert_eq!(
        texts(&patches, "/match/listener/filterChain/name"),
        ["inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local"; 4]
    );
    assert_eq!(
        texts(&patches, "/patch/operation"),
        ["MERGE", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_BEFORE"]
    );
    let filters = made.patches("HTTP_FILTER");
    assert_eq!(
        texts(&filters, "/patch/value/name"),
        [
            "mooring.header_sanitizer",
            "mooring.stateful_session",
            "mooring.header_removal"
        ]
    );
    // istiod patches no virtual host of a waypoint, so each filter must be enabled.
    assert!(
        filters
            .iter()
            .all(|filter| filter["patch"]["value"].get("disabled").is_none())
    );
    for apply_to in ["VIRTUAL_HOST", "ROUTE_CONFIGURATION", "HTTP_ROUTE"] {
        assert!(made.patches(apply_to).is_empty(), "{apply_to}");
    }
}

#[test]
fn each_http_port_of_the_service_has_its_filter_chain() {
    let made = Generated::istio(&mesh_with("name: reviews, port: 9080}", "name: reviews}"));
    assert_eq!(
        made.rule(0)["virtualHosts"],
        json!(["inbound|http|9080", "inbound|http|9081"])
    );
    let chains = made.patches("NETWORK_FILTER");
    assert_eq!(
        texts(&chains, "/match/listener/filterChain/name"),
        [9080, 9081].map(|port| format!("inbound-vip|{port}|http|reviews.bookinfo.svc.cluster.local"))
    );
}

#[test]
fn strict_sessions_have_their_own_filter() {
    let strict = mesh_with(
        "metadata: {name: reviews, namespace: bookinfo}\nspec:\n  parentRefs",
        "metadata: {name: reviews, namespace: bookinfo, annotations: {mooring.dev/strict: 'true'}}\nspec:\n  parentRefs",
    );
    let made = Generated::istio(&strict);
    let filters = made.patches("HTTP_FILTER");
    let strict = filters
        .iter()
        .find(|filter| filter["patch"]["value"]["name"] == "mooring.stateful_session.strict");
    let config = &strict.unwrap()["patch"]["value"]["typed_config"];
    assert_eq!(config["strict"], true);
    assert_eq!(config["session_state"]["typed_config"]["name"], "x-mooring-host-strict");
}

#[test]
fn sessions_of_backends_need_no_envoy_filter_and_the_module_knows_the_session_routes() {
    let made = Generated::istio(&sticky());
    assert_eq!(made.findings, [""; 0]);
    assert!(made.objects("EnvoyFilter").is_empty());
    let route = ids(&made.objects("HTTPRoute")).pop().unwrap().replace('/', ".");
    assert_eq!(
        made.first("WasmPlugin")["spec"]["pluginConfig"]["sessionRoutes"],
        json!([format!("{route}.0"), format!("{route}.1")])
    );
}

#[test]
fn the_names_of_many_session_routes_are_those_of_several_objects() {
    let names: Vec<String> = (0..20).map(|number| format!("web-{number}")).collect();
    let refs = names.iter().map(|name| format!("    - {{name: {name}, port: 9080}}\n"));
    let services = names.iter().map(|name| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: bookinfo}}\nspec: {{ports: [{{name: http, port: 9080}}]}}\n"
        )
    });
    let old = "    - {name: reviews-v1, port: 9080}\n    - {name: reviews-v2, port: 9080}\n";
    let input = mesh_with(old, &refs.collect::<String>()) + &services.collect::<String>();
    // 20 backends exceed the limit of 16 backendRefs of a rule, which only the API server checks.
    let made = Generated::istio(&input);
    let objects = made.objects("HTTPRoute");
    let expected = objects.iter().flat_map(|object| {
        let name = ids(&[object]).pop().unwrap().replace('/', ".");
        let rules = object["spec"]["rules"].as_array().unwrap().len();
        (0..rules).map(move |index| format!("{name}.{index}"))
    });
    let expected: Vec<String> = expected.collect();
    assert_eq!((objects.len(), expected.len()), (2, 20));
    assert_eq!(
        made.first("WasmPlugin")["spec"]["pluginConfig"]["sessionRoutes"],
        json!(expected)
    );
}

#[test]
fn session_routes_remove_internal_headers_with_the_users_filter() {
    let internal = ["x-mooring-backend", "x-mooring-host", "x-mooring-host-strict"];
    let filters = |written: &str| {
        let input = mesh_with("    backendRefs:\n", &format!("{written}    backendRefs:\n"));
        let made = Generated::istio(&input);
        let rules = made.first("HTTPRoute")["spec"]["rules"].as_array().unwrap().clone();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0]["filters"], rules[1]["filters"]);
        rules[0]["filters"].clone()
    };
    let modifier = |modifier: Value| json!({ "type": "RequestHeaderModifier", "requestHeaderModifier": modifier });
    assert_eq!(filters(""), json!([modifier(json!({ "remove": internal }))]));
    let users = "    filters:\n    - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [a]}}\n    \
                 - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: b, value: c}], remove: [d]}}\n";
    assert_eq!(
        filters(users),
        json!([
            { "type": "ResponseHeaderModifier", "responseHeaderModifier": { "remove": ["a"] } },
            modifier(json!({ "set": [{ "name": "b", "value": "c" }], "remove": ["d", internal[0], internal[1], internal[2]] })),
        ])
    );
    // The API allows 16 names.
    let fifteen: Vec<String> = (0..15).map(|number| format!("h{number}")).collect();
    let users = format!(
        "    filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{remove: [{}]}}}}]\n",
        fifteen.join(", ")
    );
    let removed = filters(&users)[0]["requestHeaderModifier"]["remove"].clone();
    assert_eq!(removed, json!([fifteen, vec![internal[0].to_owned()]].concat()));
}

#[test]
fn session_routes_of_gateways_keep_the_users_filters() {
    let gateway = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: bookinfo}\n\
                   spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n";
    let made = Generated::istio(
        &(mesh_with("{group: '', kind: Service, name: reviews, port: 9080}", "{name: front}") + gateway),
    );
    assert_eq!(made.first("HTTPRoute")["spec"]["rules"][0].get("filters"), None);
    let plugin = &made.first("WasmPlugin")["spec"]["pluginConfig"];
    assert_eq!(plugin.get("sessionRoutes"), None);
}

#[test]
fn the_label_of_the_namespace_counts_for_services_without_one() {
    let label = namespace("bookinfo", "istio.io/use-waypoint: wp");
    let plugins = |input: &str| ids(&Generated::istio(input).objects("WasmPlugin"));
    let all = ["bookinfo/mooring-wp-reviews-9147dc1d"];
    assert_eq!(plugins(&(mesh_with(LABELS, "labels: {}") + &label)), all);
    assert_eq!(
        plugins(&(mesh_with(LABELS, "labels: {istio.io/use-waypoint: none}") + &label)),
        [""; 0]
    );
    let other = namespace("bookinfo", "istio.io/use-waypoint: other");
    assert_eq!(plugins(&(MESH.to_owned() + &other)), all);
}

#[test]
fn a_waypoint_in_another_namespace_serves_the_services_that_it_allows() {
    let shared = |allowed: &str| {
        mesh_with("name: wp, namespace: bookinfo", "name: wp, namespace: infra")
            .replacen(
                LABELS,
                "labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra}",
                1,
            )
            .replacen("protocol: HBONE", &format!("protocol: HBONE{allowed}"), 1)
    };
    let made = Generated::istio(&shared(", allowedRoutes: {namespaces: {from: All}}"));
    assert_eq!(made.findings, [""; 0]);
    let plugin = ids(&made.objects("WasmPlugin")).pop().unwrap();
    assert!(plugin.starts_with("bookinfo/mooring-wp-reviews-"), "{plugin}");
    // An object applies to a waypoint only from its own namespace.
    let filter = ids(&made.objects("EnvoyFilter")).pop().unwrap();
    assert_eq!(filter, format!("{}-http", plugin.replace("bookinfo/", "infra/")));

    let selector = ", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {mesh: a}}}}";
    let input = |label: &str| shared(selector) + &namespace("bookinfo", label);
    assert_eq!(Generated::istio(&input("mesh: a")).objects("WasmPlugin").len(), 1);
    for input in [shared(""), input("mesh: b")] {
        let (status, said) = findings(&input);
        assert_eq!(status, Some(3));
        assert!(
            said.contains(
                "error[NoMatchingParent]: the waypoint infra/wp of the Service bookinfo/reviews does not serve its \
                 namespace, because the allowedRoutes of its listener exclude it"
            ),
            "{said}"
        );
    }
}

#[test]
fn a_waypoint_that_serves_no_services_is_named() {
    for (input, reason) in [
        (
            mesh_with(LABELS, "labels: {istio.io/use-waypoint: waypoint}"),
            "bookinfo/waypoint of the Service bookinfo/reviews is not in the input",
        ),
        (
            mesh_with("gatewayClassName: istio-waypoint", "gatewayClassName: istio"),
            "bookinfo/wp of the Service bookinfo/reviews has a class that is not the one of Istio's waypoints",
        ),
        (
            mesh_with(
                "name: wp, namespace: bookinfo",
                "name: wp, namespace: bookinfo, labels: {istio.io/waypoint-for: workload}",
            ),
            "bookinfo/wp of the Service bookinfo/reviews serves no Services, because of its label istio.io/waypoint-for",
        ),
    ] {
        let (status, said) = findings(&input);
        assert_eq!(status, Some(3), "{said}");
        assert!(
            said.contains(&format!("error[NoMatchingParent]: the waypoint {reason}")),
            "{said}"
        );
        assert!(!said.contains("--callers"), "{said}");
        assert!(
            said.contains("left out because of errors: 1 route (HTTPRoute/bookinfo/reviews)"),
            "{said}"
        );
    }
    let all = mesh_with(
        "name: wp, namespace: bookinfo",
        "name: wp, namespace: bookinfo, labels: {istio.io/waypoint-for: all}",
    );
    assert_eq!(Generated::istio(&all).objects("WasmPlugin").len(), 1);
}

#[test]
fn a_service_without_a_waypoint_needs_callers() {
    let (status, said) = findings(&mesh_with(LABELS, "labels: {}"));
    assert_eq!(status, Some(0));
    assert!(said.contains("--callers names no pods that call it"), "{said}");
}

#[test]
fn routes_of_a_third_namespace_do_not_reach_a_waypoint() {
    let in_namespace = |namespace: &str| {
        let grant = format!(
            "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: routes, namespace: bookinfo}}\n\
             spec:\n  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {namespace}}}]\n  to: [{{group: '', kind: Service}}]\n"
        );
        let route = mesh_with(
            "metadata: {name: reviews, namespace: bookinfo}\nspec:\n  parentRefs: [{group: '', kind: Service, name: reviews,",
            &format!(
                "metadata: {{name: reviews, namespace: {namespace}}}\nspec:\n  parentRefs: [{{group: '', kind: Service, name: reviews, namespace: bookinfo,"
            ),
        );
        let route = route.replace("- {name: reviews-v", "- {namespace: bookinfo, name: reviews-v");
        let waypoint = route
            .replacen("name: wp, namespace: bookinfo", "name: wp, namespace: infra", 1)
            .replacen(
                "protocol: HBONE",
                "protocol: HBONE, allowedRoutes: {namespaces: {from: All}}",
                1,
            );
        waypoint.replacen(
            LABELS,
            "labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra}",
            1,
        ) + &grant
    };
    let made = Generated::istio(&in_namespace("infra"));
    assert_eq!(made.rule(0)["id"], "HTTPRoute/infra/reviews/main");
    let (status, said) = findings(&in_namespace("client"));
    assert_eq!(status, Some(0));
    assert!(
        said.contains(
            "warning[NoEffect]: the waypoint infra/wp keeps no sessions for HTTPRoute client/reviews: it applies only \
             routes in its own namespace and in the namespace of the Service bookinfo/reviews"
        ),
        "{said}"
    );
}

#[test]
fn each_service_has_its_own_configuration() {
    let second = MESH
        .split("---\n")
        .nth(1)
        .unwrap()
        .replace("name: reviews,", "name: ratings,");
    let route = MESH.split("---\n").last().unwrap();
    let route = route
        .replace("name: reviews,", "name: ratings,")
        .replace("sessionName: reviews", "sessionName: ratings");
    let made = Generated::istio(&format!("{MESH}---\n{second}---\n{route}"));
    assert_eq!(made.findings, [""; 0]);
    let targets: Vec<&Value> = made.objects("WasmPlugin").into_iter().collect();
    assert_eq!(texts(&targets, "/spec/targetRefs/0/name"), ["ratings", "reviews"]);
    assert_eq!(
        texts(&targets, "/spec/pluginConfig/rules/0/id"),
        ["HTTPRoute/bookinfo/ratings/main", "HTTPRoute/bookinfo/reviews/main"]
    );
    assert_eq!(made.objects("EnvoyFilter").len(), 2);
}

#[test]
fn a_grpc_route_works_too() {
    let made = Generated::istio(&mesh_with("kind: HTTPRoute", "kind: GRPCRoute").replace("name: http", "name: grpc"));
    assert_eq!(made.findings, [""; 0]);
    assert_eq!(made.rule(0)["id"], "GRPCRoute/bookinfo/reviews/main");
    let rule = &made.first("GRPCRoute")["spec"]["rules"][0];
    assert_eq!(rule["filters"][0]["type"], "RequestHeaderModifier");
}

#[test]
fn sessions_of_a_virtual_service_are_refused_and_nothing_else_is_lost() {
    let virtual_service = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: bookinfo}
spec: {host: ratings, subsets: [{name: v1}, {name: v2}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings, namespace: bookinfo}
spec:
  hosts: [ratings]
  http:
  - name: all
    route:
    - {destination: {host: ratings, subset: v1}, weight: 90}
    - {destination: {host: ratings, subset: v2}, weight: 10}
---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: ratings, namespace: bookinfo}
spec:
  targetRef: {group: networking.istio.io, kind: VirtualService, name: ratings}
  sticky: {type: Header, header: {name: x-ratings}}
";
    let service = MESH
        .split("---\n")
        .nth(1)
        .unwrap()
        .replace("name: reviews,", "name: ratings,")
        .replace(", {name: admin, port: 9081}, {name: tcp-debug, port: 9082}", "");
    let input = format!("{MESH}---\n{service}{virtual_service}");
    let (status, said) = findings(&input);
    assert_eq!(status, Some(3));
    assert!(
        said.contains(
            "error[Unsupported]: no sessions are kept for VirtualService bookinfo/ratings on the waypoint bookinfo/wp of \
             the Service bookinfo/ratings: session routes cannot precede the routes of a VirtualService there"
        ),
        "{said}"
    );
    assert!(
        said.contains("left out because of errors: 1 route (VirtualService/bookinfo/ratings)"),
        "{said}"
    );
    assert!(!said.contains("--callers"), "{said}");
    let run = mooring()
        .args(["generate", "-f", "-", "-o", "json", "--wasm", common::WASM])
        .stdin(&input)
        .assert();
    let made: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let plugins = made["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["kind"] == "WasmPlugin");
    let plugins: Vec<&Value> = plugins.collect();
    assert_eq!(texts(&plugins, "/spec/targetRefs/0/name"), ["reviews"]);
}

#[test]
fn a_route_on_the_gateway_object_of_a_waypoint_keeps_no_sessions() {
    let (status, said) = findings(&mesh_with(
        "{group: '', kind: Service, name: reviews, port: 9080}",
        "{name: wp}",
    ));
    assert_eq!(status, Some(3), "{said}");
    assert!(
        said.contains("does not accept HTTPRoute bookinfo/reviews: its listener is neither HTTP nor HTTPS"),
        "{said}"
    );
}

#[test]
fn a_gateway_that_sends_through_the_waypoint_keeps_no_pod() {
    let gateway = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: bookinfo}\n\
                   spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n";
    let on_gateway = |labels: &str| {
        let input = mesh_with("{group: '', kind: Service, name: reviews, port: 9080}", "{name: front}");
        input.replacen(
            "name: reviews-v1, namespace: bookinfo, labels: {",
            &format!("name: reviews-v1, namespace: bookinfo, labels: {{{labels}"),
            1,
        ) + gateway
    };
    let warning = "warning[NoEffect]: sessions of the rule HTTPRoute/bookinfo/reviews/main do not stay on a pod: Gateway \
                   bookinfo/front sends requests for the Service bookinfo/reviews-v1 through the waypoint bookinfo/wp, which \
                   selects a pod again";
    let (_, said) = findings(&on_gateway(
        "istio.io/use-waypoint: wp, istio.io/ingress-use-waypoint: 'true', ",
    ));
    assert!(said.contains(warning), "{said}");
    let of_namespace = namespace("bookinfo", "istio.io/ingress-use-waypoint: 'true'");
    let (_, said) = findings(&(on_gateway("istio.io/use-waypoint: wp, ") + &of_namespace));
    assert!(said.contains(warning), "{said}");
    for harmless in [
        on_gateway("istio.io/use-waypoint: wp, "),
        on_gateway("istio.io/ingress-use-waypoint: 'true', "),
        on_gateway("istio.io/use-waypoint: wp, istio.io/ingress-use-waypoint: 'false', ") + &of_namespace,
    ] {
        let (_, said) = findings(&harmless);
        assert!(!said.contains("selects a pod again"), "{said}");
    }
}

#[test]
fn a_waypoint_can_be_selected_by_gateway() {
    let of = |gateway: &str| Generated::istio_with(&["--gateway", gateway], MESH);
    let made = of("bookinfo/wp");
    assert_eq!(made.findings, [""; 0]);
    assert_eq!(made.objects("WasmPlugin").len(), 1);
    let gateway = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: bookinfo}\n\
                   spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n";
    let made = Generated::istio_with(&["--gateway", "bookinfo/front"], &(MESH.to_owned() + gateway));
    assert_eq!(made.objects("WasmPlugin").len(), 0);
}

#[test]
fn a_rule_with_the_name_of_a_session_route_is_left_out() {
    let made = Generated::istio(MESH);
    let name = ids(&made.objects("HTTPRoute")).pop().unwrap().replace('/', ".");
    let rule = format!(
        "  - name: {name}.1\n    matches: [{{path: {{value: /other}}}}]\n    sessionPersistence: {{sessionName: other}}\n    \
         backendRefs: [{{name: reviews-v1, port: 9080}}]\n"
    );
    let (status, said) = findings(&(MESH.to_owned() + &rule));
    assert_eq!(status, Some(3));
    assert!(
        said.contains(&format!(
            "error[Duplicate]: the rule HTTPRoute/bookinfo/reviews/{name}.1 has the name `{name}.1` of a session route of \
             HTTPRoute/bookinfo/reviews/main, and Envoy cannot tell them apart"
        )),
        "{said}"
    );
    let other = MESH.to_owned() + &rule.replace(&format!("{name}.1"), &format!("{name}.2"));
    assert_eq!(findings(&other).0, Some(0));
}

#[test]
fn validate_names_the_waypoint() {
    let run = mooring().args(["validate", "-f", "-"]).stdin(MESH).assert();
    let text = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(
        text.contains("waypoint/bookinfo/wp of Service/bookinfo/reviews"),
        "{text}"
    );
    let run = mooring()
        .args(["validate", "-f", "-", "-o", "json"])
        .stdin(MESH)
        .assert();
    let json: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let id = |name: &str| json!({ "namespace": "bookinfo", "name": name });
    assert_eq!(
        json["rules"][0]["waypoints"],
        json!([{ "waypoint": id("wp"), "service": id("reviews") }])
    );
    assert_eq!(
        (&json["valid"], &json["rules"][0]["callers"]),
        (&json!(true), &json!([]))
    );
}

#[test]
fn a_local_envoy_is_no_waypoint() {
    let run = common::generate_envoy(MESH);
    let said = said(&run);
    assert!(
        said.contains("no sessions are kept on the parent Service bookinfo/reviews"),
        "{said}"
    );
}
