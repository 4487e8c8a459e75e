//! Listeners: which host names are whose, several ports, and TLS.

use mooring_tests::{Client, HOSTNAME, Manifests, NAMESPACE, settings};

use super::{Local, header, http_route};
use crate::tls::Certificate;

fn gateway(listeners: &str) -> Manifests {
    Manifests::of(&format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  gatewayClassName: istio
  listeners:
{listeners}"
    ))
}

fn on(section: &str, hostnames: &str, backend: &str) -> String {
    let rules =
        format!("  - {{matches: [{{path: {{value: /{section}}}}}], backendRefs: [{{name: {backend}, port: 80}}]}}\n");
    let route = http_route(section, &format!("  hostnames: [{hostnames}]\n"), &rules);
    format!(
        "{}---\n",
        route.replace("{name: web}]", &format!("{{name: web, sectionName: {section}}}]"))
    )
}

#[tokio::test]
async fn a_more_specific_listener_keeps_its_requests_from_the_routes_of_others() {
    let local = Local::on(
        gateway(
            "  - {name: any, port: 80, protocol: HTTP}
  - {name: wild, port: 80, protocol: HTTP, hostname: '*.example.com'}
  - {name: shop, port: 80, protocol: HTTP, hostname: '*.shop.example.com'}
  - {name: one, port: 80, protocol: HTTP, hostname: one.shop.example.com}
  - {name: bare, port: 80, protocol: HTTP, hostname: bare.example.com}
",
        ),
        &[
            on("any", "", "a"),
            on("wild", "'*.example.com', '*.shop.example.com'", "a"),
            on("shop", "", "b"),
            on("one", "", "b"),
        ]
        .concat(),
    )
    .await;
    let hosts = [
        "other.org",
        "x.example.com",
        "x.shop.example.com",
        "one.shop.example.com",
    ];
    let sections = ["any", "wild", "shop", "one"];
    for (number, host) in hosts.iter().enumerate() {
        for (position, section) in sections.iter().enumerate() {
            let reply = local.request(&format!("/{section}")).host(host).send().await;
            let expected = if number == position { 200 } else { 404 };
            assert_eq!(reply.status(), expected, "{host}/{section}");
        }
    }
    for section in sections {
        // No route is on this listener, and those of others do not count there.
        let reply = local
            .request(&format!("/{section}"))
            .host("bare.example.com")
            .send()
            .await;
        assert_eq!(reply.status(), 404, "{section}");
    }
}

#[tokio::test]
async fn each_port_is_a_listener_and_redirects_name_it() {
    let manifests = gateway(
        "  - {name: one, port: 80, protocol: HTTP}
  - {name: two, port: 8080, protocol: HTTP}
",
    );
    let rules = "  - matches: [{path: {value: /redirect}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: other.example}}]
  - backendRefs: [{name: a, port: 80}]
";
    let local = Local::on(manifests.ports(&[80, 8080]), &http_route("web", "", rules)).await;
    let second = Client::http1(local.envoy.address_of(8080));
    assert_eq!(second.get("/").await.ok().pod(), "a");
    assert_eq!(
        header(&local.get("/redirect").await, "location").as_deref(),
        Some("http://other.example/redirect")
    );
    let reply = second.get("/redirect").await;
    assert_eq!(
        header(&reply, "location").as_deref(),
        Some("http://other.example:8080/redirect")
    );
}

#[tokio::test]
async fn https_listeners_show_the_certificates_of_their_secrets() {
    let (first, second) = (Certificate::new(HOSTNAME), Certificate::new("b.example.org"));
    let secrets = [first.secret("first", NAMESPACE), second.secret("second", "certs")].concat();
    let grant = format!(
        "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: tls, namespace: certs}}\nspec:\n  from: \
         [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: {NAMESPACE}}}]\n  to: [{{group: '', kind: Secret}}]\n---\n"
    );
    let manifests = gateway(&format!(
        "  - {{name: first, port: 443, protocol: HTTPS, hostname: {HOSTNAME}, tls: {{certificateRefs: [{{name: first}}]}}}}
  - {{name: second, port: 443, protocol: HTTPS, hostname: '*.example.org', tls: {{certificateRefs: [{{name: second, namespace: certs}}]}}}}
"
    ));
    let routes = [on("first", "", "a"), on("second", "", "b")].concat();
    let redirect = http_route(
        "redirect",
        "",
        "  - {matches: [{path: {value: /redirect}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: other.example}}]}\n",
    );
    let local = Local::on(manifests.ports(&[443]), &format!("{secrets}{grant}{routes}{redirect}")).await;
    let https = local.envoy.address_of(443);
    assert_eq!(first.get(https, HOSTNAME, "/first").await.unwrap().ok().pod(), "a");
    assert_eq!(
        second.get(https, "b.example.org", "/second").await.unwrap().ok().pod(),
        "b"
    );
    // Neither host shows the other's certificate, or has its routes.
    assert!(first.get(https, "b.example.org", "/second").await.is_none());
    assert_eq!(first.get(https, HOSTNAME, "/second").await.unwrap().status(), 404);
    // The port of https is not written.
    let reply = first.get(https, HOSTNAME, "/redirect").await.unwrap();
    assert_eq!(
        header(&reply, "location").as_deref(),
        Some("https://other.example/redirect")
    );
}

#[tokio::test]
async fn a_listener_without_its_certificate_is_served_without_tls() {
    // The key is another certificate's: Envoy would refuse the pair, and everything else with it.
    let (first, other) = (Certificate::new(HOSTNAME), Certificate::new(HOSTNAME));
    let mixed = first.secret("mixed", NAMESPACE);
    let mixed = mixed.replace(
        &first.key().replace('\n', "\n    "),
        &other.key().replace('\n', "\n    "),
    );
    let manifests = gateway(
        "  - {name: mixed, port: 443, protocol: HTTPS, hostname: mixed.example, tls: {certificateRefs: [{name: mixed}]}}
  - {name: foreign, port: 443, protocol: HTTPS, hostname: foreign.example, tls: {certificateRefs: [{name: tls, namespace: certs}]}}
",
    );
    let documents = [
        mixed,
        first.secret("tls", "certs"),
        on("mixed", "", "a"),
        on("foreign", "", "b"),
    ]
    .concat();
    let local = Local::on(manifests.ports(&[443]), &documents).await;
    let client = Client::http1(local.envoy.address_of(443));
    for (host, pod) in [("mixed", "a"), ("foreign", "b")] {
        let reply = client
            .request(&format!("/{host}"))
            .host(&format!("{host}.example"))
            .send()
            .await
            .ok();
        assert_eq!(reply.pod(), pod);
    }
}

#[tokio::test]
async fn servers_of_istio_have_certificates_and_redirects_too() {
    let certificate = Certificate::new(HOSTNAME);
    let manifests = Manifests::of(&format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{HOSTNAME}], tls: {{httpsRedirect: true}}}}
  - {{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: [{HOSTNAME}], tls: {{mode: SIMPLE, credentialName: shop}}}}
  - {{port: {{number: 8443, name: pass, protocol: TLS}}, hosts: ['*'], tls: {{mode: PASSTHROUGH}}}}
"
    ));
    let route = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: {NAMESPACE}}}\nspec:\n  hosts: \
         [{HOSTNAME}]\n  gateways: [web]\n  http: [{{route: [{{destination: {{host: a}}}}]}}]\n"
    );
    let documents = format!("{}{route}", certificate.secret("shop", NAMESPACE));
    let local = Local::on(manifests.ports(&[80, 443]), &documents).await;
    let reply = local.get("/x").await;
    let location = format!("https://{HOSTNAME}/x");
    assert_eq!((reply.status(), header(&reply, "location")), (301, Some(location)));
    assert_eq!(
        certificate
            .get(local.envoy.address_of(443), HOSTNAME, "/x")
            .await
            .unwrap()
            .ok()
            .pod(),
        "a"
    );
}

#[test]
fn a_file_with_a_private_key_is_for_its_owner_alone_and_never_shown() {
    use std::os::unix::fs::PermissionsExt as _;

    let certificate = Certificate::new(HOSTNAME);
    let manifests = gateway("  - {name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}\n");
    let manifests = manifests.yaml(&certificate.secret("tls", NAMESPACE));
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input.yaml");
    std::fs::write(&input, manifests.text()).unwrap();
    let output = directory.path().join("output");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(settings::mooring());
        let command = command.args(arguments).arg("-f").arg(&input);
        command
            .args(["--target", "envoy", "--wasm", "mooring.wasm"])
            .output()
            .unwrap()
    };
    let written = run(&["generate", "--output-dir", output.to_str().unwrap()]);
    assert!(written.status.success(), "{written:?}");
    let file = output.join("envoy.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = certificate.key();
    let secret = secret.lines().nth(1).unwrap();
    assert!(text.contains(secret));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&file, text.replace("port_value", "port")).unwrap();
    let shown = run(&["diff", output.to_str().unwrap()]);
    let shown = [shown.stdout, shown.stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat();
    assert!(
        shown.contains("it contains a private key") && !shown.contains(secret),
        "{shown}"
    );
}
