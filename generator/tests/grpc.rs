//! `GRPCRoute`: what becomes of it for both targets.

use crate::common::{Generated, SHOP, annotations, generate, said, shop_with, without_policy};
use serde_json::{Value, json};

/// The shop with a `GRPCRoute`, and a port that is declared as gRPC.
fn grpc_shop() -> String {
    shop_with("kind: HTTPRoute", "kind: GRPCRoute")
        .replace("  - name: http\n    port: 80\n---", "  - name: grpc\n    port: 80\n---")
}

fn routes(run: &Generated) -> &Value {
    run.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes")
}

const HTTP2: &str = "/static_resources/clusters/0/typed_extension_protocol_options";

#[test]
fn a_service_policy_reaches_a_grpc_route() {
    let run = Generated::istio(&grpc_shop());
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(run.rule(0)["route"], "default.web.0");
    assert_eq!(run.rule(0)["id"], "GRPCRoute/default/web#0");
    assert_eq!(run.session(0)["name"], "shop");
    assert_eq!(run.rule(0)["virtualHosts"], json!(["*:80"]));
    assert_eq!(run.virtual_hosts(), ["*:80"]);
    assert_eq!(run.patches("HTTP_ROUTE"), Vec::<&Value>::new());
}

#[test]
fn a_rule_keeps_sessions_of_its_own() {
    let input = without_policy(&grpc_shop()).replace(
        "  - backendRefs:",
        "  - name: cart\n    sessionPersistence: {type: Header, header: {name: x-cart}}\n    backendRefs:",
    );
    let run = Generated::istio(&input);
    assert_eq!(run.rule(0)["route"], "cart");
    assert_eq!(run.rule(0)["id"], "GRPCRoute/default/web/cart");
    assert_eq!(run.session(0), &json!({ "name": "x-cart", "type": "Header" }));
}

#[test]
fn a_split_has_session_routes_of_its_kind() {
    let input = grpc_shop().replace(
        "      port: 80\n---",
        "      port: 80\n      weight: 9\n    - {name: beta, port: 80}\n    matches: [{method: {service: shop.Cart}}]\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {name: beta, labels: {istio.io/persistent-session: a}}\nspec: {ports: \
         [{name: grpc, port: 80}]}\n---",
    );
    let run = Generated::istio(&input);
    assert_eq!(run.objects("HTTPRoute"), Vec::<&Value>::new());
    let route = run.first("GRPCRoute");
    assert_eq!(route["apiVersion"], "gateway.networking.k8s.io/v1");
    assert_eq!(
        route["metadata"]["annotations"],
        annotations(&[("mooring.dev/rule", "GRPCRoute/default/web#0")])
    );
    let of = |name: &str| {
        let key = format!("GRPCRoute/default/web#0/{name}.default:80");
        json!({
            "backendRefs": [{ "name": name, "port": 80 }],
            "matches": [{
                "headers": [{ "name": "x-mooring-backend", "value": key }],
                "method": { "service": "shop.Cart" },
            }],
        })
    };
    assert_eq!(
        route["spec"],
        json!({ "parentRefs": [{ "name": "front" }], "rules": [of("web"), of("beta")] })
    );
}

#[test]
fn methods_become_paths_in_their_order() {
    let input = grpc_shop().replace(
        "  - backendRefs:",
        "  - matches:\n    - {}\n    - method: {method: Get}\n    - method: {service: shop.Cart}\n    - method: {service: \
         shop.Cart, method: Get}\n      headers: [{name: Tester, value: 'yes'}]\n    - method: {type: RegularExpression, \
         service: 'shop[.].+'}\n    backendRefs:",
    );
    let run = Generated::envoy(&input);
    let matches: Vec<&Value> = routes(&run)
        .as_array()
        .into_iter()
        .flatten()
        .map(|route| &route["match"])
        .collect();
    assert_eq!(
        matches,
        [
            &json!({
                "path": "/shop.Cart/Get",
                "headers": [{ "name": "tester", "string_match": { "exact": "yes" } }],
            }),
            &json!({ "path_separated_prefix": "/shop.Cart" }),
            &json!({ "safe_regex": { "regex": "/shop[.].+/.+" } }),
            &json!({ "safe_regex": { "regex": "/[^/]+/Get" } }),
            &json!({ "prefix": "/" }),
        ]
    );
}

#[test]
fn backends_speak_http2_where_the_service_says_so() {
    let http2 = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { "http2_protocol_options": {} },
        },
    });
    for port in [
        "name: grpc",
        "name: grpc-web",
        "name: http2-cart",
        "name: http\n    appProtocol: kubernetes.io/h2c",
        "appProtocol: grpc",
    ] {
        let input = SHOP.replace(
            "  - name: http\n    port: 80\n---",
            &format!("  - {port}\n    port: 80\n---"),
        );
        assert_eq!(Generated::envoy(&input).at(HTTP2), &http2, "{port}");
    }
    for port in [
        "name: http",
        "name: grpcs",
        "name: grpc\n    appProtocol: http",
        "name: web",
    ] {
        let input = SHOP.replace(
            "  - name: http\n    port: 80\n---",
            &format!("  - {port}\n    port: 80\n---"),
        );
        assert_eq!(Generated::envoy(&input).value.pointer(HTTP2), None, "{port}");
    }
}

#[test]
fn a_grpc_route_speaks_http2_where_nobody_says_anything() {
    let undeclared = grpc_shop().replace("- name: grpc", "- name: cart");
    assert!(Generated::envoy(&undeclared).value.pointer(HTTP2).is_some());
    let otherwise = grpc_shop().replace("- name: grpc", "- name: http");
    assert_eq!(
        Generated::istio(&otherwise).findings,
        [
            "warning[Unsupported]: GRPCRoute default/web leads to port 80 of the Service default/web, which declares \
             a protocol other than HTTP/2: calls will fail"
        ]
    );
}

#[test]
fn a_listener_and_a_grant_count_for_their_kind_of_route() {
    let kinds = |kind: &str| {
        grpc_shop().replace(
            "    protocol: HTTP\n",
            &format!("    protocol: HTTP\n    allowedRoutes: {{kinds: [{{kind: {kind}}}]}}\n"),
        )
    };
    assert_eq!(Generated::istio(&kinds("GRPCRoute")).findings, [""; 0]);
    let refused = generate(&kinds("HTTPRoute")).code(3);
    let stderr = said(&refused);
    assert!(
        stderr.starts_with("error[NoMatchingParent]: Gateway default/front does not accept GRPCRoute default/web"),
        "{stderr}"
    );
}

#[test]
fn an_http_route_and_a_grpc_route_of_one_name_cannot_be_told_apart() {
    let (_, rest) = SHOP.split_once("---\n").unwrap_or_default();
    let (route, _) = rest.split_once("---\n").unwrap_or_default();
    let both = format!("{SHOP}---\n{}", route.replace("HTTPRoute", "GRPCRoute"));
    let refused = generate(&both).code(3);
    let stderr = said(&refused);
    assert!(
        stderr.contains("HTTPRoute/default/web#0 and GRPCRoute/default/web#0"),
        "{stderr}"
    );
}
