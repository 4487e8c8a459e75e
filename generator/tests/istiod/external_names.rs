//! Services of the type `ExternalName`, which are other names of hosts (istiod: `GetDestinationCluster`).

use serde_json::json;

use crate::{
    common::Generated,
    istiod::shop::{SPLIT, managed, said, service, shop, sticky, virtual_service},
};

fn alias(name: &str, host: &str, ports: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: ExternalName, externalName: {host}{ports}}}\n---\n"
    )
}

const PORTS: &str = ", ports: [{name: http, port: 80}]";

/// A Service in the namespace `other`, with an endpoint.
fn target() -> String {
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: real-1, namespace: other, labels: \
                 {kubernetes.io/service-name: real}}\naddressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: \
                 [127.0.9.7]}]\n---\n";
    service("real").replacen("name: real,", "name: real, namespace: other,", 1) + slice
}

/// Half of the requests of a `VirtualService` go to the alias `web-canary`.
fn with(alias: &str, more: &str) -> String {
    let http = format!("  - name: a\n    {SPLIT}");
    let input = shop(&[
        &virtual_service("web", "[web.example.com]", &http),
        &sticky("web"),
        alias,
        more,
    ]);
    input.replacen(&service("web-canary"), "", 1)
}

#[test]
fn an_alias_has_the_cluster_of_the_service_that_it_stands_for() {
    for ports in [PORTS, ""] {
        let input = with(&alias("web-canary", "real.other.svc.cluster.local", ports), &target());
        // A destination without a port takes the only one of the Service, else that of the listener.
        let run = Generated::istio(&input);
        assert_eq!(run.findings, [""; 0]);
        assert_eq!(managed(&run), ["web.example.com:80/a"]);
        assert_eq!(run.rule(0)["backends"][1]["key"], "real.other:80");
        let clusters: Vec<_> = run
            .patches("HTTP_ROUTE")
            .iter()
            .map(|patch| patch["patch"]["value"]["route"]["cluster"].clone())
            .collect();
        assert_eq!(
            clusters,
            [
                "outbound|80||web.default.svc.cluster.local",
                "outbound|80||real.other.svc.cluster.local"
            ]
        );
        let references =
            &run.first("EnvoyFilter")["metadata"]["annotations"]["envoyfilter.istio.io/referenced-services"];
        assert_eq!(
            references,
            "default/web.default.svc.cluster.local,other/real.other.svc.cluster.local"
        );
    }
}

#[test]
fn a_local_envoy_has_the_endpoints_of_that_service() {
    let run = Generated::envoy(&with(
        &alias("web-canary", "real.other.svc.cluster.local", PORTS),
        &target(),
    ));
    let clusters = run.at("/static_resources/clusters").as_array().unwrap();
    let cluster = clusters
        .iter()
        .find(|cluster| cluster["name"] == "outbound|80||real.other.svc.cluster.local")
        .unwrap();
    let address = cluster
        .pointer("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address")
        .unwrap();
    assert_eq!(address, &json!({ "address": "127.0.9.7", "port_value": 8080 }));
}

#[test]
fn an_alias_beside_its_service_is_one_backend() {
    let input = with(&alias("web-canary", "web.default.svc.cluster.local", PORTS), "");
    let run = Generated::istio(&input);
    assert_eq!(run.rule(0)["backends"], json!([{ "key": "web.default:80" }]));
}

#[test]
fn an_alias_of_an_alias_has_no_cluster() {
    let second = alias("second", "real.other.svc.cluster.local", PORTS);
    let (said, status) = said(&with(
        &alias("web-canary", "second.default.svc.cluster.local", PORTS),
        &(second + &target()),
    ));
    assert!(
        said.contains(
            "error[BackendNotFound]: the Service default/web-canary is an alias of the Service default/second, which is \
             itself an alias of `real.other.svc.cluster.local`: Istio follows only one alias"
        ),
        "{said}"
    );
    assert!(
        said.contains("left out because of errors: 1 rule (VirtualService/default/web/a)"),
        "{said}"
    );
    assert_eq!(status, Some(3));
}

#[test]
fn a_host_that_is_not_in_the_mesh_is_warned_of() {
    let run = Generated::istio(&with(&alias("web-canary", "api.example.com", PORTS), ""));
    assert_eq!(
        run.findings,
        [
            "warning[BackendNotFound]: the Service default/web-canary is an alias of the host `api.example.com`, \
             which no Service and no ServiceEntry of the input has: without one, Istio has no cluster for it and \
             answers 503"
        ]
    );
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n  hosts: [api.example.com]\n  \
                 ports: [{number: 80, name: http, protocol: HTTP}]\n";
    let run = Generated::istio(&with(&alias("web-canary", "api.example.com", PORTS), entry));
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(run.rule(0)["backends"][1]["key"], "api.example.com:80");
}

#[test]
fn the_ports_are_those_of_the_service_that_it_stands_for() {
    let other = target().replacen("port: 80}", "port: 8000}", 1);
    let (said, status) = said(&with(
        &alias("web-canary", "real.other.svc.cluster.local", PORTS),
        &other,
    ));
    assert!(
        said.contains("the Service other/real does not have exactly one port") || said.contains("has no port 80"),
        "{said}"
    );
    assert_eq!(status, Some(3));
}

#[test]
fn an_unmanaged_alias_stops_nothing() {
    for host in ["api.example.com", "second.default.svc.cluster.local"] {
        let input = with(
            &alias("web-canary", host, PORTS),
            &alias("second", "api.example.com", ""),
        )
        .replacen(&sticky("web"), "", 1);
        let (said, status) = said(&input);
        assert_eq!(status, Some(0), "{said}");
        assert!(!said.contains("error["), "{said}");
    }
}
