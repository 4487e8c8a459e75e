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
fn what_a_local_envoy_cannot_do() {
    refused(
        generate_envoy(&shop_with(
            "  - backendRefs:",
            "  - filters:\n    - type: URLRewrite\n      urlRewrite: {hostname: a.example}\n    timeouts: {request: 5s}\n    retry: {attempts: 3}\n    backendRefs:",
        )),
        str![[r#"
error[Unsupported]: a filter of a rule is not supported by --target envoy
  --> <stdin>:21:7
   |
21 |     - type: URLRewrite
   |       ^

error[Unsupported]: `timeouts` of a rule is not supported by --target envoy
  --> <stdin>:23:15
   |
23 |     timeouts: {request: 5s}
   |               ^

error[Unsupported]: `retry` of a rule is not supported by --target envoy
  --> <stdin>:24:12
   |
24 |     retry: {attempts: 3}
   |            ^


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
   = help: move one of them, with --listen 80=ADDRESS:PORT or --admin ADDRESS:PORT; of two Gateways with one port, leave one out


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
