//! Hosts of a `VirtualService` in the names of virtual hosts (istiod: `ResolveVirtualServiceShortnames`, `host.Names.Intersection`).

use crate::{
    common::Generated,
    istiod::shop::{SPLIT, inserted_before, managed, said, shop, sticky, virtual_service},
};

/// The virtual hosts of a `VirtualService` with these hosts on a server with those.
fn virtual_hosts(hosts: &str, servers: &str) -> Vec<String> {
    let input = shop(&[
        &virtual_service("web", hosts, &format!("  - name: a\n    {SPLIT}")),
        &sticky("web"),
    ]);
    let run = Generated::istio(&input.replacen("hosts: [\"*\"]", &format!("hosts: {servers}"), 1));
    assert_eq!(managed(&run), inserted_before(&run));
    let hosts: Vec<String> = run.virtual_hosts().into_iter().map(str::to_owned).collect();
    let routes: Vec<String> = hosts.iter().map(|host| format!("{host}/a")).collect();
    assert_eq!(managed(&run), routes);
    hosts
}

#[test]
fn a_short_host_is_that_of_a_service_in_the_namespace() {
    assert_eq!(virtual_hosts("[web]", "['*']"), ["web.default.svc.cluster.local:80"]);
    assert_eq!(
        virtual_hosts("[web, web.default.svc.cluster.local, web.example.com]", "['*']"),
        ["web.default.svc.cluster.local:80", "web.example.com:80"]
    );
    // The hosts of a server are not completed.
    let run = Generated::istio(
        &shop(&[
            &virtual_service("web", "[web]", &format!("  - name: a\n    {SPLIT}")),
            &sticky("web"),
        ])
        .replacen("hosts: [\"*\"]", "hosts: [web, '*.svc.cluster.local']", 1),
    );
    assert_eq!(managed(&run), ["web.default.svc.cluster.local:80/a"]);
}

#[test]
fn two_short_hosts_with_routes_of_one_name_are_two() {
    let http = format!("  - name: primary\n    {SPLIT}");
    let run = Generated::istio(&shop(&[
        &virtual_service("web", "[web]", &http),
        &virtual_service("api", "[api]", &http),
        &sticky("web"),
        &sticky("api"),
    ]));
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(
        inserted_before(&run),
        [
            "api.default.svc.cluster.local:80/primary",
            "web.default.svc.cluster.local:80/primary"
        ]
    );
}

#[test]
fn a_local_envoy_serves_a_short_host_by_its_full_name() {
    let run = Generated::envoy(&shop(&[&virtual_service("web", "[web]", &format!("  - {SPLIT}"))]));
    let hosts =
        run.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts");
    assert_eq!(
        hosts[0]["domains"],
        serde_json::json!(["web.default.svc.cluster.local"])
    );
}

#[test]
fn every_host_and_addresses_are_no_names_of_services() {
    assert_eq!(virtual_hosts("['*']", "['*']"), ["*:80"]);
    assert_eq!(virtual_hosts("['*']", "[shop.example.com]"), ["shop.example.com:80"]);
    assert_eq!(virtual_hosts("['10.0.0.1']", "['*']"), ["10.0.0.1:80"]);
    assert_eq!(virtual_hosts("['::1']", "['*']"), ["::1:80"]);
}

#[test]
fn wildcards_meet_in_the_narrower_one() {
    for (of_service, of_server, common) in [
        ("['*.example.com']", "['*']", "*.example.com:80"),
        ("['*.shop.example.com']", "['*.example.com']", "*.shop.example.com:80"),
        ("['*.example.com']", "['*.shop.example.com']", "*.shop.example.com:80"),
        ("['*.example.com']", "[a.example.com]", "a.example.com:80"),
        ("['*example.com']", "[example.com]", "example.com:80"),
    ] {
        assert_eq!(
            virtual_hosts(of_service, of_server),
            [common],
            "{of_service} {of_server}"
        );
    }
}

#[test]
fn a_host_of_a_server_may_be_for_one_namespace() {
    for servers in [
        "[default/web.example.com]",
        "[./web.example.com]",
        "['*/web.example.com']",
        "['./*']",
    ] {
        assert_eq!(
            virtual_hosts("[web.example.com]", servers),
            ["web.example.com:80"],
            "{servers}"
        );
    }
    let other = shop(&[
        &virtual_service("web", "[web.example.com]", &format!("  - name: a\n    {SPLIT}")),
        &sticky("web"),
    ]);
    let (said, status) = said(&other.replacen("hosts: [\"*\"]", "hosts: [other/web.example.com]", 1));
    assert!(said.contains("has no host in common with an HTTP server"), "{said}");
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn capitals_count_when_hosts_are_compared_and_not_in_the_name() {
    assert_eq!(virtual_hosts("[Web.Example.com]", "['*']"), ["web.example.com:80"]);
    assert_eq!(virtual_hosts("[Web]", "['*']"), ["web.default.svc.cluster.local:80"]);
    let input = shop(&[
        &virtual_service("web", "[web.Example.com]", &format!("  - name: a\n    {SPLIT}")),
        &sticky("web"),
    ]);
    let (said, _) = said(&input.replacen("hosts: [\"*\"]", "hosts: ['*.example.com']", 1));
    assert!(said.contains("has no host in common with an HTTP server"), "{said}");
}

#[test]
fn what_is_no_host_costs_that_host_only() {
    let input = shop(&[
        &virtual_service(
            "web",
            "['web.example.com:8080', a/b.example.com, web.example.com]",
            &format!("  - name: a\n    {SPLIT}"),
        ),
        &sticky("web"),
    ]);
    let run = Generated::istio(&input);
    assert_eq!(managed(&run), ["web.example.com:80/a"]);
    for (finding, host) in run.findings.iter().zip(["web.example.com:8080", "a/b.example.com"]) {
        let start = format!("warning[Invalid]: `{host}` is not a valid host of a VirtualService: ");
        assert!(finding.starts_with(&start), "{finding}");
    }
    assert_eq!(run.findings.len(), 2);
}

#[test]
fn a_gateway_is_named_in_four_ways() {
    for name in ["gw", "default/gw", "./gw", "gw.default", "gw.default.svc.cluster.local"] {
        let virtual_service = virtual_service("web", "[web.example.com]", &format!("  - name: a\n    {SPLIT}"));
        let virtual_service = virtual_service.replacen("[gw]", &format!("[{name}]"), 1);
        let run = Generated::istio(&shop(&[&virtual_service, &sticky("web")]));
        assert_eq!(managed(&run), ["web.example.com:80/a"], "{name}");
    }
}
