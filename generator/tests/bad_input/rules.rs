//! Rules that cannot keep sessions.

use snapbox::str;

use super::{
    common::{SHOP, generate, shop_with},
    refused,
};

#[test]
fn weights_that_sum_to_nothing() {
    refused(
        generate(&shop_with(
            "      port: 80\n---",
            "      port: 80\n      weight: 0\n---",
        )),
        str![[r#"
error[Invalid]: the weights of all backends of this rule are 0, so that no new session could be placed
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
error[Invalid]: this rule has no backendRefs, so there is nothing to keep a session on
  --> <stdin>:20:5
   |
20 |   - sessionPersistence: {}
   |     ^


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
warning[Conflicted]: the rules HTTPRoute/default/other/shop and HTTPRoute/default/web/shop have the session name `shop` on the same host: they do not share sessions, and each replaces the other's cookie
  --> <stdin>:20:5
   |
20 |   - name: shop
   |     ^
...
33 |   - name: shop
   |     - the other rule
   |
   = help: give them different session names, or none: then each rule gets a name of its own

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
fn filters_of_one_backend_of_several() {
    refused(
        generate(&shop_with("      port: 80\n---", "      port: 80\n    - name: web\n      port: 81\n      filters:\n      - type: RequestHeaderModifier\n        requestHeaderModifier: {remove: [x]}\n---").replace("  - name: http\n    port: 80\n---", "  - name: http\n    port: 80\n  - name: more\n    port: 81\n---")),
        str![[r#"
error[Unsupported]: filters of one backend are not supported in a rule with sessions and several backends: the choice of the backend moves from Envoy's weighted clusters, which would carry them, to the session
  --> <stdin>:26:9
   |
26 |       - type: RequestHeaderModifier
   |         ^


"#]],
    );
}

#[test]
fn a_grpc_route_with_sessions() {
    refused(
        generate(&format!(
            "{SHOP}---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata:\n  name: api\nspec:\n  rules:\n  - sessionPersistence: {{}}\n"
        )),
        str![[r#"
error[Unsupported]: sessionPersistence on a GRPCRoute is not supported yet
  --> <stdin>:70:25
   |
70 |   - sessionPersistence: {}
   |                         ^


"#]],
    );
}
