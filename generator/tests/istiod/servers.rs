//! The protocols of servers that are HTTP to Istio (istiod: `protocol.Instance.IsHTTP`, `IsHTTPServer`).

use crate::{
    common::Generated,
    istiod::shop::{SPLIT, managed, said, shop, sticky, virtual_service},
};

fn with_server(protocol: &str, tls: &str) -> String {
    let input = shop(&[
        &virtual_service("web", "[web.example.com]", &format!("  - name: a\n    {SPLIT}")),
        &sticky("web"),
    ]);
    input.replacen("protocol: HTTP}", &format!("protocol: {protocol}}}{tls}"), 1)
}

#[test]
fn everything_that_istio_routes_as_http_keeps_sessions() {
    for protocol in [
        "HTTP",
        "http",
        "HTTP2",
        "Http2",
        "GRPC",
        "grpc",
        "GRPC-Web",
        "GRPC-WEB",
        "grpc-web",
        "HTTP_PROXY",
        "http_proxy",
    ] {
        let run = Generated::istio(&with_server(protocol, ""));
        assert_eq!(managed(&run), ["web.example.com:80/a"], "{protocol}");
        let redirecting = Generated::istio(&with_server(protocol, ", tls: {httpsRedirect: true}"));
        assert_eq!(managed(&redirecting), ["web.example.com:80/a"], "{protocol}");
        let local = Generated::envoy(&with_server(protocol, ""));
        assert_eq!(
            local.at("/static_resources/listeners").as_array().unwrap().len(),
            1,
            "{protocol}"
        );
    }
}

#[test]
fn tls_counts_where_the_gateway_ends_it() {
    for mode in ["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"] {
        for protocol in ["HTTPS", "https"] {
            let run = Generated::istio(&with_server(
                protocol,
                &format!(", tls: {{mode: {mode}, credentialName: a}}"),
            ));
            assert_eq!(managed(&run), ["web.example.com:80/a"], "{protocol} {mode}");
        }
    }
    for (protocol, tls) in [
        ("HTTPS", ", tls: {mode: PASSTHROUGH}"),
        ("https", ", tls: {mode: AUTO_PASSTHROUGH}"),
        ("TLS", ", tls: {mode: SIMPLE, credentialName: a}"),
        ("TCP", ""),
        ("MONGO", ""),
        ("HTTP3", ""),
    ] {
        let (said, status) = said(&with_server(protocol, tls));
        assert!(
            said.contains("has no host in common with an HTTP server"),
            "{protocol}{tls}: {said}"
        );
        assert_eq!(status, Some(0), "{protocol}{tls}: {said}");
    }
}
