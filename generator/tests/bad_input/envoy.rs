//! What a local Envoy cannot do.

use snapbox::str;

use super::common::{SHOP, generate_envoy, nothing_written, refused, shop_with};

#[test]
fn an_https_listener_for_a_local_envoy() {
    nothing_written(
        generate_envoy(&shop_with("protocol: HTTP", "protocol: HTTPS")),
        str![[r#"
error[Unsupported]: a listener with the protocol HTTPS is not supported by --target envoy
  --> <stdin>:10:15
   |
10 |     protocol: HTTPS
   |               ^^^^^
   |
   = help: a local Envoy serves listeners with the protocol HTTP


"#]],
    );
}

#[test]
fn a_filter_that_a_local_envoy_does_not_have() {
    refused(
        generate_envoy(&shop_with(
            "  - backendRefs:",
            "  - filters:\n    - type: ExtensionRef\n      extensionRef: {group: example.com, kind: Limit, name: a}\n    backendRefs:",
        )),
        str![[r#"
error[Unsupported]: the filter ExtensionRef is not supported: --target envoy answers the requests of this rule with 500
  --> <stdin>:21:7
   |
21 |     - type: ExtensionRef
   |       ^


"#]],
    );
}

#[test]
fn a_filter_of_a_backend_that_a_local_envoy_does_not_have() {
    refused(
        generate_envoy(&shop_with(
            "      port: 80\n---",
            "      port: 80\n      filters:\n      - type: URLRewrite\n        urlRewrite: {hostname: a.example}\n---",
        )),
        str![[r#"
error[Unsupported]: the filter URLRewrite of a backend is not supported: --target envoy answers the requests of this rule with 500
  --> <stdin>:24:9
   |
24 |       - type: URLRewrite
   |         ^


"#]],
    );
}

#[test]
fn values_that_envoy_would_refuse() {
    refused(
        generate_envoy(&shop_with(
            "  - backendRefs:",
            "  - matches:\n    - path: {type: RegularExpression, value: '/a(?=b)'}\n    - path: {value: /c}\n    timeouts: {request: soon}\n    backendRefs:",
        )),
        str![[r#"
error[Invalid]: `soon` is not a duration, such as 10s, 500ms or 1h30m: --target envoy answers the requests of this rule with 500
  --> <stdin>:20:5
   |
20 |   - matches:
   |     ^

error[Invalid]: `/a(?=b)` is not a regular expression that Envoy takes: look-around, including look-ahead and look-behind, is not supported: with --target envoy this match never holds
  --> <stdin>:21:7
   |
21 |     - path: {type: RegularExpression, value: '/a(?=b)'}
   |       ^


"#]],
    );
}

#[test]
fn a_value_of_a_header_that_envoy_would_refuse() {
    refused(
        generate_envoy(&shop_with(
            "  - backendRefs:",
            "  - filters:\n    - type: RequestHeaderModifier\n      requestHeaderModifier: {set: [{name: x-share, value: 100%}]}\n    backendRefs:",
        )),
        str![[r#"
error[Invalid]: Envoy would take the `%` in `100%` for a command that it does not have; write `%%` for the character itself: --target envoy answers the requests of this rule with 500
  --> <stdin>:20:5
   |
20 |   - filters:
   |     ^


"#]],
    );
}

#[test]
fn endpoints_that_are_names() {
    refused(
        generate_envoy(&shop_with("addressType: IPv4", "addressType: FQDN")),
        str![[r#"
error[Unsupported]: an EndpointSlice with the addressType FQDN is not supported by --target envoy
  --> <stdin>:41:14
   |
41 | addressType: FQDN
   |              ^^^^


"#]],
    );
}

#[test]
fn an_endpoint_that_is_no_address() {
    refused(
        generate_envoy(&shop_with("127.0.9.1", "\"::1\"")),
        str![[r#"
error[Invalid]: `::1` is not an IPv4 address
  --> <stdin>:46:15
   |
46 | - addresses: ["::1"]
   |               ^^^^^


"#]],
    );
}

#[test]
fn two_gateways_on_one_port() {
    refused(
        generate_envoy(&format!(
            "{SHOP}---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: side\nspec:\n  gatewayClassName: istio\n  listeners:\n  - name: http\n    port: 80\n    protocol: HTTP\n"
        )),
        str![[r#"
error[Unsupported]: port 80 of Gateway default/side and port 80 of Gateway default/front would both listen on 127.0.0.1:10080
  --> <stdin>:72:11
   |
72 |     port: 80
   |           ^^
   |
   = help: move one of them, with --listen 80=ADDRESS:PORT or --admin ADDRESS:PORT; of two Gateways with one port, choose one with --gateway default/side


"#]],
    );
}

#[test]
fn no_gateway_for_a_local_envoy() {
    nothing_written(
        generate_envoy("apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec: {}\n"),
        str![[r#"
error[NoMatchingParent]: there is no Gateway in the input, so Envoy would listen nowhere


"#]],
    );
}
