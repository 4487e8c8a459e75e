//! Rules that cannot keep sessions.

use serde_json::json;
use snapbox::str;

use crate::common::{Generated, SHOP, generate, passed_over, refused, shop_with};

#[test]
fn weights_that_sum_to_nothing() {
    passed_over(
        generate(&shop_with(
            "      port: 80\n---",
            "      port: 80\n      weight: 0\n---",
        )),
        str![[r#"
warning[NoEffect]: the weights of all backends of this rule are 0: requests without a live session are answered with 500
  --> <stdin>:20:5
   |
20 |   - backendRefs:
   |     ^


"#]],
    );
}

#[test]
fn sessions_without_backends() {
    refused(
        generate(&shop_with(
            "  - backendRefs:\n    - name: web\n      port: 80",
            "  - sessionPersistence: {}",
        )),
        str![[r#"
error[Invalid]: this rule has no backendRefs, so it cannot keep sessions
  --> <stdin>:20:5
   |
20 |   - sessionPersistence: {}
   |     ^

warning[NoEffect]: BackendLBPolicy default/sticky has no effect on the Service default/web: no route leads there
  --> <stdin>:54:11
   |
54 |     name: web
   |           ^^^


"#]],
    );
}

#[test]
fn two_rules_of_one_name_in_one_virtual_host() {
    refused(
        generate(&shop_with(
            "  - backendRefs:\n    - name: web\n      port: 80\n",
            "  - name: shop\n    backendRefs:\n    - name: web\n      port: 80\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: other\nspec:\n  parentRefs:\n  - name: front\n  rules:\n  - name: shop\n    matches: [{path: {value: /other}}]\n    backendRefs:\n    - name: web\n      port: 80\n",
        )),
        str![[r#"
error[Duplicate]: two rules with the name `shop` are in the virtual host `*:80`, and Envoy cannot tell them apart: HTTPRoute/default/other/shop and HTTPRoute/default/web/shop
  --> <stdin>:20:11
   |
20 |   - name: shop
   |           ^^^^
...
33 |   - name: shop
   |           ---- the other one
   |
   = help: give one of them another name


"#]],
    );
}

#[test]
fn two_rules_of_one_name_in_one_route() {
    refused(
        generate(&shop_with(
            "  - backendRefs:\n    - name: web\n      port: 80\n",
            "  - name: shop\n    backendRefs:\n    - name: web\n      port: 80\n  - name: shop\n",
        )),
        str![[r#"
error[Duplicate]: two rules of HTTPRoute default/web have the name `shop`
  --> <stdin>:24:11
   |
20 |   - name: shop
   |           ---- the first one
...
24 |   - name: shop
   |           ^^^^


"#]],
    );
}

#[test]
fn filters_of_one_backend_of_several_are_in_its_session_route() {
    let input = shop_with(
        "      port: 80\n---",
        "      port: 80\n    - name: web\n      port: 81\n      filters:\n      - type: RequestHeaderModifier\n        \
         requestHeaderModifier: {remove: [x]}\n---",
    );
    let input = input.replace(
        "  - name: http\n    port: 80\n---",
        "  - name: http\n    port: 80\n  - name: more\n    port: 81\n---",
    );
    let run = Generated::istio(&input);
    assert_eq!(run.findings, [""; 0]);
    let filters = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}]);
    assert_eq!(
        run.first("HTTPRoute")["spec"]["rules"],
        json!([
            {
                "matches": [{"headers": [{
                    "name": "x-mooring-backend",
                    "value": "HTTPRoute/default/web#0/web.default:80",
                }]}],
                "backendRefs": [{"name": "web", "port": 80}],
            },
            {
                "matches": [{"headers": [{
                    "name": "x-mooring-backend",
                    "value": "HTTPRoute/default/web#0/web.default:81",
                }]}],
                "backendRefs": [{"name": "web", "port": 81, "filters": filters}],
            },
        ])
    );
}

#[test]
fn a_grpc_route_that_envoy_cannot_tell_from_a_rule_with_sessions() {
    let grpc = |name: &str, gateway: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata:\n  name: {name}\nspec:\n  parentRefs:\n  \
             - name: {gateway}\n  rules:\n  - backendRefs:\n    - name: web\n      port: 80\n"
        )
    };
    refused(
        generate(&format!("{SHOP}{}", grpc("web", "front"))),
        str![[r#"
error[Duplicate]: two rules with the name `default.web.0` are in the virtual host `*:80`, and Envoy cannot tell them apart: HTTPRoute/default/web#0 and GRPCRoute/default/web#0
  --> <stdin>:67:9
   |
15 |   name: web
   |         --- the other one
...
67 |   name: web
   |         ^^^
   |
   = help: give one of them another name

warning[Unsupported]: GRPCRoute default/web leads to port 80 of the Service default/web, which declares a protocol other than HTTP/2: calls will fail
  --> <stdin>:73:13
   |
32 |   - name: http
   |           ---- declared here
...
73 |     - name: web
   |             ^^^
   |
   = help: give the port `appProtocol: kubernetes.io/h2c` or a name that begins with `grpc`


"#]],
    );
    let (gateway, _) = SHOP.split_once("---").unwrap_or_default();
    let side = gateway.replace("front", "side");
    generate(&format!("{SHOP}{}---\n{side}", grpc("web", "side"))).success();
    generate(&format!("{SHOP}{}", grpc("api", "front"))).success();
}

#[test]
fn grpc_methods_that_do_not_exist() {
    refused(
        generate(
            &shop_with("kind: HTTPRoute", "kind: GRPCRoute").replace(
                "  - backendRefs:",
                "  - matches:\n    - method: {}\n    - method: {service: 'shop Cart'}\n    - method: {service: .shop.Cart, method: 1st}\n      \
                 headers: [{name: 'a b', value: c}]\n    - method: {type: RegularExpression, service: '.*'}\n    backendRefs:",
            ),
        ),
        str![[r#"
error[Invalid]: one or both of 'service' or 'method' must be specified
  --> <stdin>:21:15
   |
21 |     - method: {}
   |               ^

error[Invalid]: `shop Cart` is not the name of a gRPC service: letters, digits and _ are allowed between dots, not beginning with a digit
  --> <stdin>:22:25
   |
22 |     - method: {service: 'shop Cart'}
   |                         ^^^^^^^^^^^

error[Invalid]: `1st` is not the name of a gRPC method: letters, digits and _ are allowed, not beginning with a digit
  --> <stdin>:23:45
   |
23 |     - method: {service: .shop.Cart, method: 1st}
   |                                             ^^^

error[Invalid]: `a b` is not the name of a header: 1 to 256 letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:24:24
   |
24 |       headers: [{name: 'a b', value: c}]
   |                        ^^^^^

warning[Unsupported]: GRPCRoute default/web leads to port 80 of the Service default/web, which declares a protocol other than HTTP/2: calls will fail
  --> <stdin>:27:13
   |
27 |     - name: web
   |             ^^^
...
38 |   - name: http
   |           ---- declared here
   |
   = help: give the port `appProtocol: kubernetes.io/h2c` or a name that begins with `grpc`


"#]],
    );
}
