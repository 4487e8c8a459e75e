//! What a local Envoy cannot do.

use snapbox::str;

use crate::common::{SHOP, generate_envoy, nothing_written, passed_over, refused, shop_with};

#[test]
fn an_https_listener_without_a_certificate() {
    passed_over(
        generate_envoy(&shop_with("protocol: HTTP", "protocol: HTTPS")),
        str![[r#"
warning[Unsupported]: the listener http of Gateway default/front is served without TLS, because it names no certificate
  --> <stdin>:10:15
   |
10 |     protocol: HTTPS
   |               ^^^^^
   |
   = help: name a Secret in tls.certificateRefs, or in tls.credentialName for an Istio Gateway


"#]],
    );
}

#[test]
fn a_certificate_that_is_not_in_the_input() {
    passed_over(
        generate_envoy(&shop_with(
            "    protocol: HTTP\n",
            "    protocol: HTTPS\n    tls: {certificateRefs: [{name: shop-tls, namespace: certs}]}\n",
        )),
        str![[r#"
warning[Unsupported]: the listener http of Gateway default/front is served without TLS, because no ReferenceGrant in the namespace of the Secret certs/shop-tls permits the Gateway to refer to it
  --> <stdin>:11:29
   |
11 |     tls: {certificateRefs: [{name: shop-tls, namespace: certs}]}
   |                             ^
   |
   = help: add the ReferenceGrant to the input, or use a Secret of the Gateway's namespace


"#]],
    );
}

#[test]
fn nothing_in_a_secret_is_ever_shown() {
    let gateway = shop_with(
        "    protocol: HTTP\n",
        "    protocol: HTTPS\n    tls: {certificateRefs: [{name: shop-tls}]}\n",
    );
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: shop-tls}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: \
                  hidden-certificate\n  tls.key: hidden-key\n";
    let run = generate_envoy(&format!("{gateway}{secret}")).code(0);
    let output = run.get_output();
    let all = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(all.contains("the Secret default/shop-tls has no certificate"), "{all}");
    assert!(!all.contains("hidden"), "{all}");
}

#[test]
fn a_listener_that_demands_certificates_of_its_clients() {
    let frontend = "spec:\n  tls: {frontend: {default: {validation: {caCertificateRefs: []}}, perPort: [{port: 444, tls: {}}, {port: 445, tls: \
                    {validation: {mode: AllowInsecureFallback}}}]}}\n  gatewayClassName: istio\n";
    let listeners = "    protocol: HTTP\n  - {name: a, port: 443, protocol: HTTPS}\n  - {name: b, port: 444, protocol: HTTPS}\n  - {name: c, port: \
                     445, protocol: HTTPS}\n";
    let input =
        shop_with("    protocol: HTTP\n", listeners).replacen("spec:\n  gatewayClassName: istio\n", frontend, 1);
    let run = generate_envoy(&input).code(0);
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    let notes: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("note[Unsupported]"))
        .collect();
    let expected = "note[Unsupported]: a listener that requires client certificates (`tls.frontend`) is not served by --target envoy";
    assert_eq!(notes, [expected], "{stderr}");
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let served = [443, 444, 445].map(|port| stdout.contains(&format!("name: default.front.{port}")));
    assert_eq!(served, [false, true, true]);
}

#[test]
fn listeners_that_speak_no_http() {
    passed_over(
        generate_envoy(&shop_with(
            "    protocol: HTTP\n",
            "    protocol: HTTP\n  - {name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}\n",
        )),
        str![[r#"
note[Unsupported]: a listener with the protocol TLS is not served by --target envoy
  --> <stdin>:11:39
   |
11 |   - {name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}
   |                                       ^^^
   |
   = help: a local Envoy serves only listeners with the protocol HTTP or HTTPS


"#]],
    );
    nothing_written(
        generate_envoy(&shop_with("protocol: HTTP", "protocol: TCP")),
        str![[r#"
note[Unsupported]: a listener with the protocol TCP is not served by --target envoy
  --> <stdin>:10:15
   |
10 |     protocol: TCP
   |               ^^^
   |
   = help: a local Envoy serves only listeners with the protocol HTTP or HTTPS

error[NoMatchingParent]: Gateway default/front does not accept HTTPRoute default/web: its listener is neither HTTP nor HTTPS
  --> <stdin>:18:11
   |
 4 |   name: front
   |         ----- the Gateway
...
18 |   - name: front
   |           ^^^^^


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

error[Invalid]: `/a(?=b)` is not a regular expression that Envoy accepts: look-around, including look-ahead and look-behind, is not supported: with --target envoy, this match never applies
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
error[Invalid]: Envoy would read the `%` in `100%` as the start of an unknown command; write `%%` for the character itself: --target envoy answers the requests of this rule with 500
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
   = help: move one of them, with --listen 80=ADDRESS:PORT or --admin ADDRESS:PORT; if two Gateways have the same port, select one with --gateway default/side


"#]],
    );
}

#[test]
fn no_gateway_for_a_local_envoy() {
    nothing_written(
        generate_envoy("apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec: {}\n"),
        str![[r#"
error[NoMatchingParent]: there is no Gateway in the input, so Envoy would have no listener


"#]],
    );
}
